"""Learning rates that change from step to step.

A schedule is a function of the number k of updates made so far, computed inside the training step: the first
update has k = 0.  Its numbers are hyperparameters of the step (``lr.initial``), so changing them compiles nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import reduce
from typing import Annotated, Any

from gradloom import functional as fn
from gradloom.errors import OptionError
from gradloom.ir.tensortype import promote
from gradloom.optim.names import named, under
from gradloom.options import Flag, NotNegative, Options, Positive, Rate, Share, Steps, rate, steps
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


class Schedule(Options, ABC):
    """Base of schedules.  For one of your own, write :meth:`rate` in a frozen dataclass."""

    def hyperparameters(self) -> dict[str, float]:
        """Numbers that are inputs of a compiled step, by name: the numbers among the options."""
        return self.numbers()

    def __call__(self, step: Any, hyper: Mapping[str, Any] | None = None) -> Tensor:
        """The learning rate.

        Args:
            step: number of updates made so far, a whole number or a tensor of such.
            hyper: hyperparameters as numbers or scalar tensors; those that are missing have the values of the options.

        Returns:
            Rates in the shape of ``step``, in the data type of the tensors in ``hyper``; float64 if there are none.
        """
        given = {name: value for name, value in (hyper or {}).items() if name in self.hyperparameters()}
        floats = [value.dtype for value in given.values() if isinstance(value, Tensor) and value.type.is_float]
        dtype = reduce(promote, floats) if floats else "float64"
        values = {name: tensor(v, dtype) for name, v in {**self.hyperparameters(), **given}.items()}
        return self.rate(tensor(step, dtype), values)

    @abstractmethod
    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The learning rate from the step and the hyperparameters, all of one float type."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate always; a number in place of a schedule means this."""

    value: Rate

    def hyperparameters(self) -> dict[str, float]:
        """One number, which is the learning rate itself."""
        return {"": self.value}

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """η."""
        return values[""] + fn.zeros_like(step)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """base^exponent for a base from 0 to 1; at 0, where powers below 1 have no slope, 0 with the slope 0."""
    return fn.where(base > 0, fn.where(base > 0, base, 1) ** exponent, 0)


def as_schedule(lr: float | Schedule) -> Schedule:
    """A number as a schedule."""
    return lr if isinstance(lr, Schedule) else Constant(lr)


def _rate_or_schedule(who: str, name: str, value: object) -> float | Schedule:
    return value if isinstance(value, Schedule) else rate(who, name, value)


LearningRate = Annotated[float | Schedule, _rate_or_schedule]


@dataclass(frozen=True)
class StepDecay(Schedule):
    """η_k = initial · factor^⌊k / every⌋.

    Args:
        initial: the first rate.
        factor: by which the rate is multiplied.
        every: after how many steps.
    """

    initial: Rate
    factor: Share = 0.1
    every: Steps = 1000

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        return values["initial"] * values["factor"] ** fn.floor(step / values["every"])


@dataclass(frozen=True)
class Exponential(Schedule):
    """η_k = initial · decay^(k / every).

    Args:
        initial: the first rate.
        decay: by which the rate has been multiplied after ``every`` steps.
        every: the number of steps.
    """

    initial: Rate
    decay: Share = 0.96
    every: Steps = 1000

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        return values["initial"] * values["decay"] ** (step / values["every"])


@dataclass(frozen=True)
class InverseTime(Schedule):
    """η_k = initial / (1 + decay · k)."""

    initial: Rate
    decay: NotNegative = 0.01

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        return values["initial"] / (1 + values["decay"] * step)


@dataclass(frozen=True)
class Linear(Schedule):
    """Annealing: η_k = (1 - k/τ) · initial + (k/τ) · final for k ≤ τ = steps, then ``final`` (catalogue 123)."""

    initial: Rate
    final: Rate
    steps: Steps

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        done = fn.minimum(step / values["steps"], 1)
        return (1 - done) * values["initial"] + done * values["final"]


@dataclass(frozen=True)
class Cosine(Schedule):
    """η_k = floor + (initial - floor) · (1 + cos(π k / steps)) / 2 for k ≤ steps, then ``floor``.

    From Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Args:
        initial: the first rate.
        steps: length of the half wave.
        floor: the lowest rate.
        restarts: begin again after each half wave.
    """

    initial: Rate
    steps: Steps
    floor: Rate = 0.0
    restarts: Flag = False

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        length = values["steps"]
        done = fn.remainder(step, length) / length if self.restarts else fn.minimum(step / length, 1)
        return values["floor"] + (values["initial"] - values["floor"]) * (1 + fn.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Polynomial(Schedule):
    """η_k = final + (initial - final) · (1 - k/τ)^power for k ≤ τ = steps, then ``final``.

    Args:
        initial: the first rate.
        steps: τ.
        power: 1 is :class:`Linear`; more falls fast at first.
        final: the last rate.
    """

    initial: Rate
    steps: Steps
    power: Positive = 2.0
    final: Rate = 0.0

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        left = 1 - fn.minimum(step / values["steps"], 1)
        return values["final"] + (values["initial"] - values["final"]) * _power(left, values["power"])


@dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """η_k = initial · √(steps / max(k, steps)): constant at first, then falling as 1/√k.

    Behind a :class:`WarmUp` of as many steps it is the schedule of Vaswani et al., "Attention is all you need" (2017).

    Args:
        initial: the first rate.
        steps: how long it is kept.
    """

    initial: Rate
    steps: Steps = 1000

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        return values["initial"] * fn.sqrt(values["steps"] / fn.maximum(step, values["steps"]))


@dataclass(frozen=True)
class Cyclical(Schedule):
    """Up and down in triangles: from ``low`` to ``high`` in ``steps`` steps, back in as many, and again.

    Args:
        low: the rate at the beginning and the end of a triangle.
        high: the rate at its tip.
        steps: half of its length.
        decay: by which the height of each triangle is multiplied to give that of the next; 1/2 is "triangular2".

    Source: Smith, "Cyclical learning rates for training neural networks" (2017).
    """

    low: Rate
    high: Rate
    steps: Steps = 1000
    decay: Share = 1.0

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        places = step / (2 * values["steps"])
        cycle = fn.floor(places)
        height = 1 - fn.abs(2 * (places - cycle) - 1)
        return values["low"] + (values["high"] - values["low"]) * height * values["decay"] ** cycle


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One triangle that ends far below where it began: up for a share of the steps, then down to ``final``.

    η rises linearly from ``initial`` to ``peak`` in rise · steps, then falls linearly to ``final`` at ``steps``.

    Args:
        peak: the largest rate.
        steps: of the whole cycle.
        initial: the first rate; a tenth of the peak is usual.
        final: the last one.
        rise: share of the steps that go up, between 0 and 1.

    Source: Smith and Topin, "Super-convergence" (2018), with straight lines; momentum stays as it is.
    """

    peak: Rate
    steps: Steps
    initial: Rate = 0.0
    final: Rate = 0.0
    rise: Share = 0.3

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        done, tip = fn.minimum(step / values["steps"], 1), values["rise"]
        up = values["initial"] + (values["peak"] - values["initial"]) * (done / tip)
        way_down = (done - tip) / fn.where(tip < 1, 1 - tip, 1)
        return fn.where(done <= tip, up, values["peak"] + (values["final"] - values["peak"]) * way_down)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear rise before another schedule, in equal parts from the first update on.

    η_k = start + (after_0 - start) · (k + 1) / (steps + 1) for k < steps, then after_(k - steps).

    Args:
        after: the schedule (or constant rate) that follows.
        steps: number of updates with a smaller rate than its first.
        start: where the rise begins.
    """

    after: LearningRate
    steps: Steps
    start: Rate = 0.0

    def hyperparameters(self) -> dict[str, float]:
        """Those of the rise, and those of what follows as ``after``."""
        return {"steps": float(self.steps), "start": self.start, **named("after", self._after.hyperparameters())}

    @property
    def _after(self) -> Schedule:
        return as_schedule(self.after)

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        steps, start, rest = values["steps"], values["start"], under("after", values)
        peak = self._after(fn.zeros_like(step), rest)
        rising = start + (peak - start) * ((step + 1) / (steps + 1))
        return fn.where(step < steps, rising, self._after(fn.maximum(step - steps, 0), rest))


@dataclass(frozen=True)
class Piecewise(Schedule):
    """The first rate until the first boundary, the second until the second, and so on.

    Args:
        boundaries: rising numbers of steps; from step ``boundaries[i]`` on the rate is ``rates[i + 1]``.
        rates: one more than there are boundaries.
    """

    boundaries: tuple[int, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        who = type(self).__name__
        for name, check in (("boundaries", steps), ("rates", rate)):
            entries = getattr(self, name)
            if not isinstance(entries, (list, tuple)):
                got = f"{name}={entries!r}"[:100]
                raise OptionError(who, rule=f"{name} is a list of numbers", got=got, fix="Put the numbers into a list.")
            checked = tuple(check(who, f"{name}[{i}]", entry) for i, entry in enumerate(entries))
            object.__setattr__(self, name, checked)
        if len(self.rates) != len(self.boundaries) + 1:
            raise OptionError(
                who,
                rule="there is one rate more than there are boundaries",
                got=f"{len(self.rates)} rates, {len(self.boundaries)} boundaries",
                fix="Give the rate before each boundary, and the one after the last.",
            )
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:])):
            got = f"boundaries={self.boundaries}"[:100]
            raise OptionError(who, rule="boundaries rise", got=got, fix="Sort them, and name each once.")

    def hyperparameters(self) -> dict[str, float]:
        """``boundaries.0``, ..., ``rates.0``, ..."""
        lists = {"boundaries": self.boundaries, "rates": self.rates}
        return {f"{name}.{i}": float(entry) for name, entries in lists.items() for i, entry in enumerate(entries)}

    def rate(self, step: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """See the class."""
        found = values["rates.0"] + fn.zeros_like(step)
        for i in range(len(self.boundaries)):
            found = fn.where(step < values[f"boundaries.{i}"], found, values[f"rates.{i + 1}"])
        return found
