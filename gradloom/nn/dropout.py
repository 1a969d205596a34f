"""Dropout: a network that cannot rely on any one of its units."""

from __future__ import annotations

from gradloom import functional as fn
from gradloom import options, random
from gradloom.errors import OptionError
from gradloom.nn.module import Module, current_call
from gradloom.tensor import Tensor


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
        self.rate = options.number("Dropout", "rate", rate, low=0, high=1, fix="Use e.g. 0.5, or 0 to drop nothing.")
        if self.rate == 1:
            raise OptionError("Dropout", rule="rate is below 1", got="1", fix="A rate of 1 would drop everything.")
        self.mode = options.choice("Dropout", "mode", mode, ("inverted", "weight_scaled"))

    def forward(self, x: Tensor) -> Tensor:
        """x with elements dropped while training."""
        keep, call = 1 - self.rate, current_call()
        if keep == 1:
            return x
        if not call.training or not call.drop:
            return x if self.mode == "inverted" else x * keep
        kept = random.bernoulli(call.next_key("Dropout"), keep, x.shape)
        return fn.where(kept, x / keep if self.mode == "inverted" else x, 0)
