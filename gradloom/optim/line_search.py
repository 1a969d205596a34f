"""How far to go in a direction: a line search for the strong Wolfe conditions.

With φ(a) the loss at x + a d, a length is accepted where

    φ(a) ≤ φ(0) + c₁ a φ'(0)    and    |φ'(a)| ≤ c₂ |φ'(0)|,

low enough, and flat enough.  Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6, give two
loops, one that finds an interval and one that makes it smaller.  Here they are one: the interval goes from ``low``,
the best length so far, to ``high``, which is infinite until a length has been too far; the same rule moves both.
Where the loss has not risen by more than rounding, a slope that is flat enough is enough (Hager and Zhang, 2005), so
that near a minimum, where losses no longer differ, the gradient can still be brought to 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gradloom import functional as fn
from gradloom.optim.second_order import FlatLoss, Point, choose, evaluated, repeat, rounding
from gradloom.tensor import Tensor, tensor


class Trial(NamedTuple):
    """A length, the loss there, and its slope in the direction."""

    length: Tensor
    value: Tensor
    slope: Tensor


class Search(NamedTuple):
    """Where a search stands: the best trial with its gradient, the other end, and the length to try next."""

    low: Trial
    gradient: Tensor
    high: Trial
    next: Tensor
    evaluations: Tensor
    is_done: Tensor


class Rules(NamedTuple):
    """What is accepted: c₁, c₂, and whether slopes count."""

    armijo: Tensor
    wolfe: Tensor
    strong: bool


def search(
    loss: FlatLoss, at: Point, direction: Tensor, first: Tensor, rules: Rules, most: int
) -> tuple[Point, Tensor, Tensor]:
    """Go from a point in a direction.

    Args:
        loss: to be lessened.
        at: where the search begins.
        direction: with a negative slope.
        first: the first length to try.
        rules: what is accepted.
        most: evaluations of the loss at most.

    Returns:
        ``(point, evaluations, moved)``.  Where no length was accepted, the point is the lowest one that was found; it
        is the first one, and ``moved`` is False, where none was low enough.
    """
    slope = fn.dot(at.gradient, direction)
    start = Trial(fn.zeros_like(first), at.value, slope)
    far = Trial(*(fn.full((), np.inf, first.dtype) for _ in Trial._fields))

    def turn(now: Search) -> Search:
        point = evaluated(loss, at.x + now.next * direction)
        tried = Trial(now.next, point.value, fn.dot(point.gradient, direction))
        return _moved(now, tried, point.gradient, start, rules)

    begun = Search(start, at.gradient, far, first, tensor(0, "int64"), tensor(False))
    end = repeat(turn, begun, most, lambda now: now.is_done)
    low = end.low
    found = Point(at.x + low.length * direction, low.value, end.gradient)
    return found, end.evaluations, low.length > 0


def _moved(now: Search, tried: Trial, gradient: Tensor, start: Trial, rules: Rules) -> Search:
    """The search after a trial."""
    is_flat = fn.abs(tried.slope) <= rules.wolfe * fn.abs(start.slope)
    # Written so that a loss of NaN is too far.
    falls = fn.logical_and(tried.value < start.value, tried.value <= now.low.value)
    enough = fn.logical_and(falls, tried.value <= start.value + rules.armijo * tried.length * start.slope)
    is_level = fn.logical_and(is_flat, tried.value <= start.value + rounding(start.value))
    is_low = fn.logical_or(enough, is_level)
    accepted = fn.logical_and(is_low, is_flat) if rules.strong else is_low
    # Past the minimum between the ends, the old best becomes the other end.
    has_turned = fn.equal(tried.slope >= 0, now.high.length > now.low.length)
    high = choose(is_low, choose(has_turned, now.low, now.high), tried)
    low = choose(is_low, tried, now.low)
    following = fn.where(fn.isfinite(high.length), _between(low, high), _beyond(now.low, tried))
    # An interval of a few roundings holds no other length worth trying.
    is_spent = fn.abs(high.length - low.length) <= rounding(fn.maximum(high.length, low.length))
    done = fn.logical_or(accepted, fn.logical_and(fn.isfinite(high.length), is_spent))
    best = fn.where(is_low, gradient, now.gradient)
    return Search(low, best, high, following, now.evaluations + 1, done)


def _between(low: Trial, high: Trial) -> Tensor:
    """A length between two trials, off both by a tenth at least: the cubic's minimum, or else the middle."""
    width = high.length - low.length
    share = (_cubic_minimum(low, high) - low.length) / width
    sound = fn.where(fn.isfinite(share), share, 0.5)
    return low.length + fn.clip(sound, 0.1, 0.9) * width


def _beyond(before: Trial, last: Trial) -> Tensor:
    """A length behind the last one, two to ten times as far."""
    guess = _cubic_minimum(before, last)
    sound = fn.where(fn.isfinite(guess), guess, 10 * last.length)
    is_beyond = sound > last.length
    return fn.clip(fn.where(is_beyond, sound, 10 * last.length), 2 * last.length, 10 * last.length)


def _cubic_minimum(a: Trial, b: Trial) -> Tensor:
    """Where the cubic through two trials, values and slopes, has its minimum; NaN where it has none."""
    width = b.length - a.length
    mean = a.slope + b.slope - 3 * (b.value - a.value) / width
    root = fn.sign(width) * fn.sqrt(mean * mean - a.slope * b.slope)
    return b.length - width * (b.slope + root - mean) / (b.slope - a.slope + 2 * root)
