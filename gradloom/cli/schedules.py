"""The schedules that ``train`` offers: each spans the whole run, from the learning rate to almost nothing."""

from __future__ import annotations

from collections.abc import Callable

from gradloom import optim
from gradloom.errors import OptionError, unknown_name
from gradloom.optim.schedules import Schedule
from gradloom.records import dataclass
from gradloom.train.batches import choose_batch_size


@dataclass(frozen=True)
class Length:
    """How long a run lasts, unless it is stopped early.

    Attributes:
        epochs: passes over the training part.
        updates: of an epoch.
    """

    epochs: int
    updates: int

    @classmethod
    def of(cls, epochs: int, rows: int, batch_size: int | str) -> Length:
        """That of a run on so many examples; the batch size as ``fit`` takes it."""
        return cls(epochs, -(-rows // choose_batch_size(batch_size, rows)))


SCHEDULES: dict[str, Callable[[float, int], Schedule]] = {
    "constant": lambda rate, steps: optim.schedules.Constant(rate),
    "linear": lambda rate, steps: optim.schedules.Linear(rate, 0.0, steps),
    "cosine": lambda rate, steps: optim.schedules.Cosine(rate, steps),
    "polynomial": lambda rate, steps: optim.schedules.Polynomial(rate, steps),
    "step": lambda rate, steps: optim.schedules.StepDecay(rate, 0.1, _share(steps, 3)),
    "exponential": lambda rate, steps: optim.schedules.Exponential(rate, 0.01, steps),
    "inverse-time": lambda rate, steps: optim.schedules.InverseTime(rate, 9 / steps),
    "inverse-sqrt": lambda rate, steps: optim.schedules.InverseSquareRoot(rate, _share(steps, 10)),
    "restarts": lambda rate, steps: optim.schedules.Cosine(rate, _share(steps, 4), restarts=True),
    "cyclical": lambda rate, steps: optim.schedules.Cyclical(rate / 10, rate, _share(steps, 8)),
    "one-cycle": lambda rate, steps: optim.schedules.OneCycle(rate, steps, rate / 10),
}
"""From the greatest rate and the number of updates to a schedule."""


def build_schedule(name: str | None, rate: float, warmup: int | None, length: Length) -> float | Schedule:
    """The learning rate over a run.

    Args:
        name: one of :data:`SCHEDULES`; None keeps the rate.
        rate: the greatest.
        warmup: epochs in which the rate rises to its first value; the schedule takes those that are left.
        length: of the run.

    Raises:
        UnknownNameError: there is no schedule of this name.
        OptionError: the warm-up takes the whole run.
    """
    if name is not None and name not in SCHEDULES:
        raise unknown_name("--schedule", "schedule", name, SCHEDULES)
    if warmup is not None and not 0 <= warmup < length.epochs:
        rule = f"a warm-up is shorter than the run, which has {length.epochs} epochs at most"
        raise OptionError("--warmup", rule=rule, got=str(warmup), fix="Use a few epochs, such as 5.")
    rising = (warmup or 0) * length.updates
    after = rate if name is None else SCHEDULES[name](rate, length.epochs * length.updates - rising)
    return optim.schedules.WarmUp(after, rising) if rising else after


def _share(steps: int, parts: int) -> int:
    return max(steps // parts, 1)
