"""Short trainings, to try what would be different: another learning rate, no penalty, no dropout, fewer examples.

All of them are one program, a loop over steps: the rows of each batch, its learning rate and the numbers of the recipe
are inputs.  The trainer and its model stay as they are.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradloom import functional as gl
from gradloom import random
from gradloom.optim import Optimizer
from gradloom.optim.optimizers import NamedOptimizer
from gradloom.optim.schedules import as_schedule
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor
from gradloom.train.diagnosis.budget import Budget, TimeIsUp
from gradloom.train.regularising import regularization
from gradloom.train.step import Recipe, Tensors
from gradloom.train.trainer import Trainer
from gradloom.transforms import jit, scan

STEPS = 100
"""How many steps one call of the program takes at most."""
_PACE = 2
_CALL = 0.25
"""Seconds that a call takes where time is bounded, for between calls a training can be broken off."""


@dataclass(frozen=True)
class Course:
    """A short training.

    Attributes:
        losses: of each step's batch before the update, without penalties.
        carry: what it led to.
    """

    losses: np.ndarray
    carry: Tensors

    @property
    def end(self) -> float:
        """The mean loss over the last tenth; infinite where a loss is not finite."""
        last = self.losses[-max(len(self.losses) // 10, 1) :]
        return float(last.mean()) if np.isfinite(self.losses).all() else float("inf")


class Courses:
    """The program of short trainings of a recipe.

    Args:
        recipe: model, loss and optimiser.
        data: inputs, targets and weights of all examples.
        batch_size: examples of a step.
        executor: what runs it.
        budget: what pays for it.
        drop: whether dropout drops.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Sequence[np.ndarray],
        batch_size: int,
        executor: str,
        budget: Budget,
        *,
        drop: bool = True,
    ) -> None:
        self._recipe = replace(recipe, optimizer=at_one_rate(recipe.optimizer))
        self._data = tuple(map(tensor, data))
        self._size, self._drop = min(batch_size, len(data[0])), drop
        self._budget, self._seconds = budget, 0.0
        self._program: Callable[..., Any] = jit(self._steps, executor, flush_denormals=True)

    def granted(self, what: str, steps: int, carry: Tensors, *, whole: bool = False) -> int:
        """How many of so many steps the budget has room for, by the time that one step takes; see ``Budget.grant``.

        Args:
            what: the experiment.
            steps: of all its trainings.
            carry: to measure a step with.
            whole: whether fewer steps are of no use.
        """
        if not self._seconds and self._budget.left and math.isfinite(self._budget.seconds):
            with contextlib.suppress(TimeIsUp):
                self(carry, np.zeros(1), {})  # which compiles the program
                started = time.perf_counter()
                self(carry, np.zeros(_PACE), {})
                self._seconds = (time.perf_counter() - started) / _PACE
        return self._budget.grant(what, steps, self._seconds, whole=whole)

    def __call__(
        self,
        carry: Tensors,
        rates: np.ndarray,
        hyper: Mapping[str, Any],
        *,
        seed: int = 0,
        rows: np.ndarray | None = None,
        fixed: bool = False,
    ) -> Course:
        """Train.

        Args:
            carry: where it starts: ``parameters`` and ``state``; the optimiser starts afresh.
            rates: the learning rate of each step.
            hyper: the numbers of the recipe; of the optimiser's own, those that are not there are its options.
            seed: of the order of the examples, and of dropout.
            rows: the examples to train on; None for all.
            fixed: take one batch again and again.

        Raises:
            TimeIsUp: the budget is spent before its end.
        """
        draw = np.random.default_rng(seed)
        from_rows = np.arange(len(self._data[0])) if rows is None else rows
        carry = {name: carry[name] for name in ("parameters", "state")}
        carry["optimizer"] = self._recipe.optimizer.init(carry["parameters"])
        carry["step"] = tensor(0)
        usual, names = (self._recipe.hyperparameters(rate, rate) for rate in (0.0, 1.0))  # a rate of 0 has no name
        given = {n: tensor(v, "float64") for n, v in {**usual, **hyper}.items() if n in names}
        chosen = _batches(draw, from_rows, len(rates) + STEPS, self._size)  # a call is given STEPS, used or not
        each = np.resize(rates, len(chosen))
        if fixed:
            chosen = np.broadcast_to(chosen[:1], chosen.shape)
        losses = []
        for start in range(0, len(rates), self._at_once):
            self._budget.check()
            now, count = slice(start, start + STEPS), min(len(rates) - start, self._at_once)
            turn = np.ascontiguousarray(chosen[now]), np.asarray(each[now], np.float64)
            carry, found = self._program(carry, self._data, turn, np.asarray(count), random.key(seed), given)
            losses.append(found.numpy().astype(np.float64)[:count])
        return Course(np.concatenate(losses), carry)

    @property
    def _at_once(self) -> int:
        """Steps of a call."""
        return min(max(int(_CALL / self._seconds), 1), STEPS) if self._seconds else STEPS

    def _steps(
        self, carry: Tensors, data: Any, turns: Any, count: Tensor, key: Tensor, hyper: Mapping[str, Any]
    ) -> tuple[Tensors, Tensor]:
        def step(carry: Tensors, turn: Any) -> tuple[Tensors, Tensor]:
            rows, rate = turn
            batch = tuple(gl.take(whole, rows) for whole in data)
            drawn = random.fold_in(key, carry["step"]) if self._drop else None
            numbers = {**hyper, "lr": rate}

            def objective(parameters: Tensors) -> tuple[Tensor, Any]:
                return self._recipe.objective(parameters, carry["state"], batch, numbers, drawn)

            optimizer = self._recipe.optimizer
            parameters, memory, aux = optimizer.step(objective, carry["parameters"], carry["optimizer"], numbers)
            _, state, loss = aux
            parameters = self._recipe.regularization.moved(parameters, optimizer, memory, numbers, batch[2])
            new = {"parameters": parameters, "state": state, "optimizer": memory, "step": carry["step"] + 1}
            return new, loss

        return scan(step, carry, turns, turns=count)


def recipe_of(run: Trainer) -> Recipe:
    """What a trainer's steps are made of, without metrics and without changes of the inputs."""
    return Recipe(run.model, run.loss, run.optimizer, [], regularization=regularization(run.regularizers))


def learning_rate(optimizer: Optimizer) -> float | None:
    """The rate that an optimiser begins with (the greatest of the first steps of a schedule); None if it has none."""
    if not isinstance(optimizer, NamedOptimizer):
        return None
    if isinstance(optimizer.lr, (int, float)):
        return float(optimizer.lr)
    schedule = as_schedule(optimizer.lr)
    return max(float(schedule(tensor(k), schedule.hyperparameters()).numpy()) for k in (0, 10, 100, 1000))


def at_one_rate(optimizer: Optimizer) -> Optimizer:
    """The optimiser with a number for its learning rate, which is then the hyperparameter ``lr``."""
    rate = learning_rate(optimizer)
    return optimizer if rate is None else replace(optimizer, lr=rate)  # type: ignore[type-var]


def _batches(draw: np.random.Generator, rows: np.ndarray, steps: int, size: int) -> np.ndarray:
    """The rows of each batch: epochs in random order, one behind the other."""
    needed = steps * size
    epochs = -(-needed // len(rows))
    order = np.concatenate([draw.permutation(rows) for _ in range(epochs)])
    return order[:needed].reshape(steps, size)
