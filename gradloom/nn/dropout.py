"""Dropout: a network that cannot rely on any one of its units or channels."""

from __future__ import annotations

from gradloom import functional as fn
from gradloom import options, random
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.module import Module, current_call
from gradloom.tensor import Tensor

MODES = ("inverted", "weight_scaled")


def checked_rate(who: str, rate: float) -> float:
    """The probability to drop.

    Raises:
        OptionError: it does not lie in [0, 1).
    """
    found = options.number(who, "rate", rate, low=0, high=1, fix="Use e.g. 0.5, or 0 to drop nothing.")
    if found == 1:
        raise OptionError(who, rule="rate is below 1", got="1", fix="A rate of 1 would drop everything.")
    return found


class Dropout(Module):
    """Sets each element to 0 with probability ``rate`` while training; each example has a mask of its own.

    Inverted dropout divides what is kept by 1 - rate, so its mean stays the same and prediction leaves x alone.
    Weight-scaled dropout, the older form, keeps it as it is and multiplies by 1 - rate when predicting.

    Args:
        rate: the probability to drop, from 0 to below 1 (the notes' keep_prob is 1 - rate).
        mode: "inverted" or "weight_scaled".

    Raises:
        OptionError: the rate lies outside, or a training call has no key.

    Source: Srivastava et al. (2014).
    """

    def __init__(self, rate: float = 0.5, *, mode: str = "inverted") -> None:
        who = type(self).__name__
        self.rate = checked_rate(who, rate)
        self.mode = options.choice(who, "mode", mode, MODES)

    def forward(self, x: Tensor) -> Tensor:
        """x with elements dropped while training."""
        keep, call = 1 - self.rate, current_call()
        if keep == 1:
            return x
        if not call.training or not call.drop:
            return x if self.mode == "inverted" else x * keep
        kept = random.bernoulli(call.next_key(type(self).__name__), keep, self._mask_shape(x))
        return fn.where(kept, x / keep if self.mode == "inverted" else x, 0)

    def _mask_shape(self, x: Tensor) -> tuple[int, ...]:
        return x.shape


class SpatialDropout(Dropout):
    """Dropout of whole channels: neighbouring pixels say much the same, so dropping single ones would drop little.

    Args:
        rate: the probability to drop a channel of an example.
        mode: as in :class:`Dropout`.

    Raises:
        OptionError: as in :class:`Dropout`.
        ShapeError: the input is not (n, *spatial, channels).

    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """

    def _mask_shape(self, x: Tensor) -> tuple[int, ...]:
        if x.ndim < 3:
            raise ShapeError("SpatialDropout", rule="the input is (n, *spatial, channels)", got=str(x.type))
        return (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
