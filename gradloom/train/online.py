"""Learning from a stream that never ends: a few examples at a time, each tested before it is learnt from.

Repeat forever: get (x, y), θ ← θ - α ∇l(θ; x, y) (catalogue 101, 219).  A model so follows what changes, as long as
the learning rate does not fall.  One example says little and its gradient is noisy; the same notes call learning from
single examples powerful in one place and not good in another (catalogue 220), so the rows of an update are an option.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gradloom import options, random, tree
from gradloom.compiling import Compiled
from gradloom.errors import OptionError, unknown_name
from gradloom.ir.graph import Graph
from gradloom.tensor import Tensor
from gradloom.train.drift import DriftDetector
from gradloom.train.examples import Examples, as_examples, first_weights
from gradloom.train.nonfinite import check_loss
from gradloom.train.settings import ClassWeight
from gradloom.train.source import Resident, Source
from gradloom.train.step import Recipe, Tensors
from gradloom.train.steps import Steps
from gradloom.train.weighting import refuse_balanced_stream, with_class_weights
from gradloom.transforms import jit

Sums = list[np.ndarray]


class Learning(ABC):
    """The part of a trainer that learns from a few examples at a time."""

    class_weight: ClassWeight
    dtype: str
    executor: str
    l1: float
    l2: float
    position: int
    step: int
    batch_size: int | None
    _compiled: Compiled
    _recipe: Recipe
    _learner: _Learner | None = None

    @abstractmethod
    def falls(self, column: str) -> bool:
        """Whether a column of the history should fall."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """All that training changes."""

    @abstractmethod
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a snapshot."""

    @abstractmethod
    def _prepare(self, source: Source, held_out: Source | None, batch_size: int | str) -> None:
        """Make parameters and optimiser state, and see that the data fit the model."""

    @abstractmethod
    def _check_data(self, examples: Examples, who: str, graph: Graph | None = None) -> Graph:
        """Refuse what the compiled steps could only stumble over."""

    @abstractmethod
    def _numbers_of_run(self) -> tuple[Tensor, dict[str, Any]]:
        """The random key of the draws, and the hyperparameters."""

    def partial_fit(self, x: Any, y: Any, weights: Any = None, *, batch_size: int | None = None) -> dict[str, Any]:
        """Learn from some rows once, in one update for every ``batch_size`` of them.

        The update is compiled once: fewer rows are filled up, at weight 0.  ``step`` counts updates; epochs and the
        history stay as they are.

        Args:
            x: inputs, shape (n, ...).
            y: targets, shape (n, ...).
            weights: of the rows.
            batch_size: rows of an update; by default as in the call before, at first the number of rows.

        Returns:
            Loss and metrics of the rows, in predict mode before each update: the rows are new, so this is a test.

        Raises:
            DataError: empty, non-finite or inconsistent data.
            OptionError: an epoch that was interrupted is not finished, or "balanced" class weights.
            NonFiniteError: the loss is no longer finite; the weights are those before the update.
        """
        examples = self._to_learn((x, y, weights))
        return self._recipe.finish(self._learner_for(examples, batch_size).learn(self, examples))

    def _to_learn(self, data: Any) -> Examples:
        """Checked and weighted rows."""
        refuse_balanced_stream(self.class_weight)
        return with_class_weights(as_examples(data, "partial_fit", self.dtype), self.class_weight)

    def _learner_for(self, examples: Examples, batch_size: int | None) -> _Learner:
        """What learns from such rows: the one there is, or a new one."""
        if self.position:
            raise OptionError(
                "partial_fit",
                rule="an interrupted epoch must be finished first",
                got=f"{self.position} batches of one",
                fix="Call fit with its data.",
            )
        now = self._learner
        if now is None or now.compiled_for is not self._compiled:  # the optimiser may be of another kind since
            self._prepare(Resident(examples), None, len(examples))
            now = None
        size = options.whole("partial_fit", "batch_size", batch_size or (now.size if now else len(examples)))
        graph = self._check_data(examples, "partial_fit", now and now.graph)
        if now is None or now.size != size:
            self._learner = now = _Learner(self, examples, size, graph)
        now.renew(self)
        self.batch_size = size
        return now


class _Learner:
    """Test and update as one program.

    Args:
        run: the trainer, whose parameters exist.
        examples: rows like those that will come.
        size: rows of an update.
        graph: the model's, for checks.

    Attributes:
        recipe: what a step is made of.
        compiled_for: the trainer's steps, which are others when this program must be.
        size, graph: as given.
    """

    def __init__(self, run: Learning, examples: Examples, size: int, graph: Graph) -> None:
        self.recipe, self.size, self.graph = run._recipe, size, graph
        self.compiled_for = run._compiled
        self._seen = run._recipe, run.l1, run.l2
        self._compiled = jit(self._tested_and_trained, run.executor, flush_denormals=True)
        carry, numbers = run.snapshot(), run._numbers_of_run()
        self._steps = Steps(self._compiled, carry, *numbers)
        self._program = self._compiled.prepare(carry, self._batch(examples), *numbers).program

    def renew(self, run: Learning) -> None:
        """Take over numbers that have changed; that compiles nothing."""
        now = run._recipe, run.l1, run.l2
        if now != self._seen:
            self._seen, self.recipe = now, run._recipe
            self._steps.renew(self._compiled, run.snapshot(), run._numbers_of_run()[1])

    def _tested_and_trained(self, carry: Tensors, batch: Any, key: Tensor, hyper: Any) -> tuple[Tensors, list[Tensor]]:
        _, sums = self.recipe.measure(carry["parameters"], carry["state"], batch)
        new, _ = self.recipe.train(carry, batch, random.fold_in(key, carry["step"]), hyper)
        return new, sums

    def _batch(self, examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """At most ``size`` rows, filled up to so many with rows that do not count."""
        count = min(len(examples), self.size)
        inputs, targets, weights = examples.take(np.resize(np.arange(count), self.size))
        return inputs, targets, first_weights(weights, count)

    def learn(self, run: Learning, examples: Examples) -> Sums:
        """Test all rows and learn from them, update by update; gives their sums."""
        starts = range(0, len(examples), self.size)
        return _added([self._step(run, Examples(*examples.take(slice(i, i + self.size)))) for i in starts])

    def _step(self, run: Learning, examples: Examples) -> Sums:
        carry = self._steps.flat(run.snapshot())
        found = self._program([*carry, *tree.leaves(self._batch(examples)), *self._steps.numbers])
        sums = [s.astype(np.float64) for s in found[len(carry) :]]
        check_loss(sums[1], f"update {run.step + 1}")
        run.restore(self._steps.nested(found[: len(carry)]))
        return sums


def online(
    trainer: Learning,
    stream: Iterable[Any],
    *,
    batch_size: int | None = None,
    window: int = 200,
    monitor: str = "loss",
    drift: DriftDetector | None = None,
    on_drift: str = "tell",
) -> Iterator[dict[str, Any]]:
    """Learn from a stream, item by item, for as long as it gives any and somebody asks.

    Every item is a test before it is learnt from (the prequential error), so the error is an honest one and no data
    need be held out.

    Args:
        trainer: what learns; a :class:`gradloom.train.Trainer`.
        stream: of (inputs, targets) or (inputs, targets, weights), a few rows each.
        batch_size: the most rows of an update; by default those of the first item.
        window: rows over which the error is taken: the last ones, at least so many.
        monitor: what the detector watches, "loss" or a metric.
        drift: tells when that gets worse.
        on_drift: what is done then: "tell" only, "forget" what the optimiser keeps of earlier gradients, or "restart"
            from the weights that the stream began with.

    Yields:
        For each item: ``rows`` and ``step`` so far, ``drift``, whether a drift was told, and loss and metrics over the
        window.

    Raises:
        OptionError: an option is out of range.
        UnknownNameError: there is no such metric.

    Sources: Dawid, "Statistical theory: the prequential approach" (1984); Gama, Sebastião and Rodrigues, "On evaluating
    stream learning algorithms" (2013).
    """
    options.whole("online", "window", window)
    options.choice("online", "on_drift", on_drift, ("tell", "forget", "restart"))
    kept: deque[tuple[int, Sums]] = deque()
    rows, within = 0, 0
    start: dict[str, Any] | None = None
    for item in stream:
        examples = trainer._to_learn(item)
        learner = trainer._learner_for(examples, batch_size)
        start = start or trainer.snapshot()
        sums = learner.learn(trainer, examples)
        kept.append((len(examples), sums))
        rows, within = rows + len(examples), within + len(examples)
        while within - kept[0][0] >= window:
            within -= kept.popleft()[0]
        row = learner.recipe.finish(_added([s for _, s in kept]))
        if monitor not in row:
            raise unknown_name("online", "metric", monitor, row)
        error = learner.recipe.finish(sums)[monitor]
        has_risen = drift is not None and drift.update(error if trainer.falls(monitor) else -error)
        if has_risen and on_drift != "tell":
            trainer.restore(_begun_anew(trainer.snapshot(), start if on_drift == "restart" else {}, learner.recipe))
        yield {"rows": rows, "step": trainer.step, "drift": has_risen, **row}


def _begun_anew(now: dict[str, Any], start: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Where learning goes on after a drift: with an optimiser that remembers nothing, at the weights of ``start``."""
    place = {**now, **start, "step": now["step"]}
    return {**place, "optimizer": recipe.optimizer.init(place["parameters"])}


def _added(sums: Sequence[Sums]) -> Sums:
    """The sums over several updates."""
    return [np.add.reduce(each) for each in zip(*sums)]
