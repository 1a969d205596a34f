"""All that is examined: the run, its data, and what was measured of them, each when it is first asked for."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from gradloom import nn, random, tree
from gradloom.errors import GradloomError, OptionError
from gradloom.records import dataclass
from gradloom.tensor import tensor
from gradloom.train.diagnosis.budget import Budget
from gradloom.train.diagnosis.courses import Courses, learning_rate, recipe_of
from gradloom.train.diagnosis.images import are_images, reduced
from gradloom.train.diagnosis.neighbours import Opinion, ask
from gradloom.train.diagnosis.probe import Measured, Probe, entering
from gradloom.train.examples import Examples, as_examples, hold_out
from gradloom.train.inputs import check_inputs, only_input, two_examples
from gradloom.train.measuring import whole_batches
from gradloom.train.precision import in_floats
from gradloom.train.regularising import Regularization
from gradloom.train.step import Recipe, Tensors
from gradloom.train.trainer import Trainer
from gradloom.train.weighting import with_class_weights
from gradloom.transforms import jit

SAMPLE = 256
"""So many training examples go through the probe."""
CONFIRMING = 4096
"""Of at most so many it is asked whether units that look dead ever fire."""
ENTERING = 2**21
"""So many numbers of the inputs are looked at for their scales."""
HIGH_ERROR = 0.05
"""An error this much above the optimal one is high, and so is one on new data this much above that of training."""
HIGH_RESIDUAL = 0.1
"""The same for the share of variance that is not explained."""
MOST_COMPARED = 4096
"""Neighbours are asked where an example has no more numbers than these; large images are averaged before."""
_HOLD_OUT = 3  # which random key of a trainer holds examples out

Parts = Mapping[str, Examples]


@dataclass(frozen=True, eq=False)
class Case:
    """What is examined.

    Attributes:
        run: the trainer, which stays as it is.
        parts: ``training``, and ``validation`` and ``test`` where there are such.
        optimal_error: what the best of all models would get, see :attr:`errors`.
        experiments: whether short trainings may be made.
        budget: what they may cost, and what was left out.
    """

    run: Trainer
    parts: Parts
    optimal_error: float
    experiments: bool
    budget: Budget

    # The run ----------------------------------------------------------------------------------------------------

    @property
    def training(self) -> Examples:
        """The examples that the run was trained on."""
        return self.parts["training"]

    @cached_property
    def recipe(self) -> Recipe:
        """Model, loss and optimiser."""
        return recipe_of(self.run)

    @cached_property
    def hyper(self) -> dict[str, Any]:
        """The numbers of the recipe."""
        numbers = self.recipe.hyperparameters(self.run.l1, self.run.l2)
        return {name: tensor(value, "float64") for name, value in numbers.items()}

    @property
    def rate(self) -> float | None:
        """The learning rate, where the optimiser has one."""
        return learning_rate(self.run.optimizer)

    @property
    def batch_size(self) -> int:
        """Of the run."""
        return min(self.run.batch_size or SAMPLE, len(self.training))

    @cached_property
    def now(self) -> Tensors:
        """Where training stands."""
        carry = self.run.snapshot()
        if carry["optimizer"] is None:
            carry["optimizer"] = self.run.optimizer.init(carry["parameters"])
        return carry

    @cached_property
    def start(self) -> Tensors | None:
        """The weights that the seed began with; None where the model cannot be made anew."""
        model = anew(self.run.model)
        if model is None or self.run.input_type is None:
            return None
        dtype, shape = self.run.input_type
        model.initialize(two_examples(dtype, shape), seed=self.run.seed)
        parameters, state = (in_floats(part, self.run.dtype) for part in (model.parameters(), model.state()))
        if not tree.alike(parameters, self.now["parameters"]):
            return None
        return {"parameters": parameters, "state": state, "optimizer": self.run.optimizer.init(parameters)}

    # What was measured ------------------------------------------------------------------------------------------

    @cached_property
    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Some training examples, drawn at random."""
        draw = np.random.default_rng(0).permutation(len(self.training))[:SAMPLE]
        return self.training.take(np.sort(draw))

    @cached_property
    def _probe(self) -> Probe:
        return Probe(self.recipe, self.run.executor)

    @cached_property
    def layers_now(self) -> Measured:
        """What goes on in the layers."""
        return self._probe(self.now, self.sample, self.hyper)

    @cached_property
    def layers_at_start(self) -> Measured | None:
        """What went on in them at the first weights."""
        return None if self.start is None else self._probe(self.start, self.sample, self.hyper)

    def ever_active(self, carry: Tensors, share: float = 0.0) -> tuple[dict[str, np.ndarray], int]:
        """Which units of ReLUs are above 0 at any example or position, by layer, and how many examples were looked at.

        All training examples are, up to ``CONFIRMING``, as long as there is time: a unit that a few of a thousand wake
        is no dead one.  The unit of a convolution is a channel, wherever in an image it is above 0.

        Args:
            carry: the weights.
            share: of silent units that is nothing to look for: where no layer has more, the rest is not asked.
        """
        order = np.random.default_rng(0).permutation(len(self.training))[:CONFIRMING]
        found: dict[str, np.ndarray] = {}
        seen = 0
        for start in range(0, len(order), SAMPLE):
            if seen and not self.budget.left:
                break
            rows = order[start : start + SAMPLE]
            filled = np.resize(rows, min(SAMPLE, len(order)))  # of one size, for one program
            for layer in self._probe(carry, self.training.take(filled), self.hyper).layers:
                if layer.alive is not None:
                    found[layer.path] = found.get(layer.path, False) | (layer.alive > 0)
            seen += len(rows)
            if all(np.mean(~active) <= share for active in found.values()):
                break
        return found, seen

    @cached_property
    def entering(self) -> np.ndarray:
        """What the first layer with weights is given, one row an example (or position); empty where it is no floats."""
        inputs = self.training.inputs
        most = max(ENTERING // max(int(np.prod(inputs.shape[1:])), 1), 2)
        chosen = np.sort(np.random.default_rng(0).permutation(len(inputs))[:most])
        program = entering(self.run.model, self.run.executor)
        return program(self.now["parameters"], self.now["state"], inputs[chosen]).numpy().astype(np.float64)

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        """What the network answers, by part."""
        return {name: self.run.predict(part.inputs) for name, part in self.parts.items()}

    # Errors -----------------------------------------------------------------------------------------------------

    @property
    def is_classes(self) -> bool:
        """Whether targets are classes rather than numbers."""
        return self.run.loss.kind != "numbers"

    def answers(self, name: str) -> np.ndarray:
        """The answers of the network for a part, in the form of :meth:`labels`."""
        return self.as_answers(self.outputs[name])

    def as_answers(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of the network as answers."""
        if self.run.loss.kind == "classes":
            return outputs.argmax(-1).reshape(-1)
        if self.run.loss.kind == "binary":
            from_logits = getattr(self.run.loss, "from_logits", True)
            return (outputs > (0 if from_logits else 0.5)).astype(np.int64).reshape(-1)
        return outputs.reshape(-1).astype(np.float64)

    def labels(self, name: str) -> np.ndarray:
        """The targets of a part, one after the other: classes, or numbers."""
        targets = self.parts[name].targets
        if self.run.loss.kind == "classes":
            is_one_hot = targets.shape == self.outputs[name].shape
            return (targets.argmax(-1) if is_one_hot else targets).reshape(-1)
        if self.run.loss.kind == "binary":
            return (targets > 0.5).astype(np.int64).reshape(-1)
        return targets.reshape(-1).astype(np.float64)

    @cached_property
    def errors(self) -> dict[str, float]:
        """By part: the share of wrong answers, or of the variance of numbers that is not explained."""
        return {name: self.error(name, self.outputs[name]) for name in self.parts}

    def error(self, name: str, outputs: np.ndarray) -> float:
        """That of some outputs for a part; what the loss ignores does not count."""
        answers, labels = self.as_answers(outputs), self.labels(name)
        ignored = getattr(self.run.loss, "ignore", None)
        if self.is_classes:
            counts = np.ones(len(labels), bool) if ignored is None else labels != ignored
            return float(np.mean(answers[counts] != labels[counts])) if counts.any() else float("nan")
        return float(np.mean((answers - labels) ** 2)) / (float(np.var(labels)) or 1.0)

    @property
    def high(self) -> float:
        """By how much an error must be above another to be called high."""
        return HIGH_ERROR if self.is_classes else HIGH_RESIDUAL

    @property
    def avoidable_bias(self) -> float:
        """Training error above the optimal one."""
        return self.errors["training"] - self.optimal_error

    @property
    def has_failed(self) -> bool:
        """Whether training ended in numbers that are not finite."""
        return "NonFinite" in self.run.history.stopped

    @property
    def has_bias(self) -> bool:
        """Whether the network does not do on the training data what could be done."""
        return self.has_failed or self.avoidable_bias > self.high

    @property
    def variance(self) -> float:
        """Error on new data above that of training; 0 where there are no new data."""
        return self.errors.get("validation", self.errors["training"]) - self.errors["training"]

    @property
    def has_variance(self) -> bool:
        """Whether the network does clearly worse on new data than on those of training."""
        if "validation" not in self.parts:
            return False
        error, count = min(self.errors["validation"], 1.0), len(self.parts["validation"])
        spread = np.sqrt(error * (1 - error) / count) if self.is_classes else error * np.sqrt(2 / count)
        return bool(self.variance > max(self.high, 2.5 * spread))

    @property
    def is_ill(self) -> bool:
        """Whether there is trouble that findings could explain."""
        return self.has_bias or self.has_variance

    @cached_property
    def neighbours(self) -> Opinion | None:
        """What the nearest neighbours make of the training data; None where they cannot be asked, or the time is up."""
        if not self.budget.left:
            return None
        inputs, labels = self.training.inputs, self.labels("training")
        if are_images(inputs):
            inputs = reduced(inputs)
        size = int(np.prod(inputs.shape[1:]))
        what = "label noise and unrelated targets"
        if len(labels) != len(inputs):
            self.budget.skip(what, "Neighbours are asked where each example has one target.")
            return None
        if size > MOST_COMPARED:
            why = f"Neighbours are asked where an example has {MOST_COMPARED} numbers at most; here it has {size}."
            self.budget.skip(what, why)
            return None
        return ask(inputs, labels, is_classes=self.is_classes)

    def column(self, name: str) -> list[float]:
        """A quantity over the epochs; empty where the history has none."""
        return [row[name] for row in self.run.history.rows if name in row]

    def forward(self, carry: Tensors, inputs: np.ndarray) -> np.ndarray:
        """What the network would answer with other weights."""
        parts = [inputs[rows] for rows, _ in whole_batches(inputs)]
        counts = [count for _, count in whole_batches(inputs)]
        found = [self._forward(carry["parameters"], carry["state"], part).numpy() for part in parts]
        return np.concatenate([outputs[:count] for outputs, count in zip(found, counts)])

    @cached_property
    def _forward(self) -> Any:
        return jit(lambda p, s, x: nn.apply(self.run.model, p, s, x)[0], self.run.executor)

    # Experiments ------------------------------------------------------------------------------------------------

    @cached_property
    def courses(self) -> Courses:
        """Short trainings as the run's own."""
        return self._courses(self.recipe)

    @cached_property
    def courses_without_regularizers(self) -> Courses:
        """Short trainings without the regularisers beside l1 and l2."""
        if not self.run.regularizers:
            return self.courses
        recipe = replace(self.recipe, regularization=Regularization())
        return self._courses(recipe)

    @cached_property
    def courses_without_dropout(self) -> Courses:
        """Short trainings with dropout off."""
        return self._courses(self.recipe, drop=False)

    def _courses(self, recipe: Recipe, *, drop: bool = True) -> Courses:
        run = self.run
        return Courses(recipe, self.training.arrays, self.batch_size, run.executor, self.budget, drop=drop)


def anew(model: nn.Module) -> nn.Module | None:
    """The same network without parameters; None where it cannot be described as a model file would."""
    known = set(nn.registry.LAYERS)
    own = {type(m) for m in _modules(model)} - known
    try:
        return nn.registry.build(nn.registry.describe(model), extra=own)
    except GradloomError:
        return None


def _modules(module: nn.Module) -> list[nn.Module]:
    return [module, *(inner for _, child in module.children() for inner in _modules(child))]


def as_case(run: Trainer, data: Any, *, validation: Any, test: Any, **settings: Any) -> Case:
    """The case of a run; its other settings are those of :class:`Case`.

    Raises:
        OptionError: the run has no parameters yet, or an option is out of range.
        DataError: the data cannot be used, or are not such as the run was trained on.
    """
    if run.input_type is None:
        raise OptionError(
            "diagnose", rule="the run must have begun", got="a model without parameters", fix="Call fit before."
        )
    only_input(run.input_type, "diagnose")
    whole = as_examples(data, "diagnose", run.dtype)
    parts: dict[str, Examples] = {"training": whole}
    if isinstance(validation, (int, float)):
        key = random.fold_in(random.key(run.seed), _HOLD_OUT)
        parts["training"], parts["validation"] = hold_out(whole, validation, key)
    elif validation is not None:
        parts["validation"] = as_examples(validation, "diagnose validation", run.dtype)
    if test is not None:
        parts["test"] = as_examples(test, "diagnose test", run.dtype)
    for name, part in parts.items():
        check_inputs(part.inputs, run.input_type, f"diagnose {name}")
    parts["training"] = with_class_weights(parts["training"], run.class_weight)
    return Case(copy.copy(run), parts, **settings)
