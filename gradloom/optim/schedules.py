"""How the learning rate changes with the number of updates.

A schedule is evaluated inside the training step, from the step count and from its own numbers, which are inputs of
the compiled program: changing one compiles nothing anew.  η₀ is the initial rate, k the number of updates made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from gradloom import functional as gl
from gradloom.errors import OptionError
from gradloom.tensor import Tensor

Hyper = Mapping[str, Any]  # numbers or scalar tensors, by name


def check(who: str, rule: str, holds: bool, got: object) -> None:
    """Refuse an option that breaks a rule."""
    if not holds:
        raise OptionError(who, rule=rule, got=str(got))


def double(value: Any) -> Tensor:
    """A number, count or scalar tensor in float64: hyperparameters keep their digits until they meet a parameter."""
    return gl.cast(value, "float64") if isinstance(value, Tensor) else gl.full((), value, "float64")


@dataclass(frozen=True)
class Schedule:
    """Base: fields that are numbers become inputs of the program under ``lr.<field>``."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, (int, float)):
                who = type(self).__name__
                check(who, f"{f.name} must be finite and not negative", math.isfinite(value) and value >= 0, value)

    def hyperparameters(self) -> dict[str, float]:
        """The schedule's numbers by name."""
        return {f.name: float(v) for f in fields(self) if isinstance(v := getattr(self, f.name), (int, float))}

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """The learning rate after ``step`` updates (float64), with the numbers in ``hyper``."""
        raise NotImplementedError

    def __call__(self, step: int | Tensor) -> Tensor:
        """The learning rate after ``step`` updates, with the schedule's own numbers."""
        return self.rate(double(step), self.hyperparameters())


@dataclass(frozen=True)
class Constant(Schedule):
    """η = η₀."""

    initial: float

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """η₀, whatever the step."""
        return double(hyper["initial"])


@dataclass(frozen=True)
class StepDecay(Schedule):
    """η = η₀ · factor^⌊k / every⌋: the rate drops by ``factor`` after every so many updates."""

    initial: float
    factor: float = 0.1
    every: int = 1000

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """η₀ · factor^⌊k / every⌋."""
        return double(hyper["initial"]) * double(hyper["factor"]) ** gl.floor(step / double(hyper["every"]))


@dataclass(frozen=True)
class Exponential(Schedule):
    """η = η₀ · decay^k."""

    initial: float
    decay: float = 0.999

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """η₀ · decay^k."""
        return double(hyper["initial"]) * double(hyper["decay"]) ** step


@dataclass(frozen=True)
class InverseTime(Schedule):
    """η = η₀ / (1 + decay · k)."""

    initial: float
    decay: float = 0.001

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """η₀ / (1 + decay · k)."""
        return double(hyper["initial"]) / (1.0 + double(hyper["decay"]) * step)


@dataclass(frozen=True)
class Linear(Schedule):
    """η_k = (1 - k/τ) η₀ + (k/τ) η_τ, and η_τ from then on.

    The course notes call it annealing (S3:369); there the loop ends at τ, here the rate stays.
    """

    initial: float
    final: float = 0.0
    steps: int = 1000

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """The point between η₀ and η_τ."""
        done = progress(step, hyper["steps"])
        return (1.0 - done) * double(hyper["initial"]) + done * double(hyper["final"])


@dataclass(frozen=True)
class Cosine(Schedule):
    """η = η_min + ½ (η₀ - η_min)(1 + cos πk/τ), and η_min from then on (Loshchilov and Hutter, 2017)."""

    initial: float
    final: float = 0.0
    steps: int = 1000

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """Half a wave from η₀ down to η_min."""
        share = 0.5 * (1.0 + gl.cos(progress(step, hyper["steps"]) * math.pi))
        final = double(hyper["final"])
        return final + share * (double(hyper["initial"]) - final)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """η = (k + 1)/n · η₀ for the first n updates, then the schedule that it leads to, counted from its start.

    Args:
        then: what follows; its first rate is where the warm-up ends.
        steps: n.
    """

    then: Schedule
    steps: int = 100

    def hyperparameters(self) -> dict[str, float]:
        """Its own number, and those of what follows."""
        inner = {f"then.{name}": value for name, value in self.then.hyperparameters().items()}
        return {"steps": float(self.steps), **inner}

    def rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        """A line up to the first rate of what follows, then that."""
        inner = {name.removeprefix("then."): v for name, v in hyper.items() if name.startswith("then.")}
        steps = double(hyper["steps"])
        rising = (step + 1.0) / gl.maximum(steps, 1.0) * self.then.rate(double(0), inner)
        later = self.then.rate(gl.maximum(step - steps, 0.0), inner)
        return gl.where(step < steps, rising, later)


def progress(step: Tensor, steps: Any) -> Tensor:
    """k/τ, at most 1."""
    return gl.minimum(step / gl.maximum(double(steps), 1.0), 1.0)


SCHEDULES: dict[str, type[Schedule]] = {
    cls.__name__: cls for cls in (Constant, StepDecay, Exponential, InverseTime, Linear, Cosine, WarmUp)
}
"""The schedules by name."""
