"""Noise while training: on what comes in, or on weights; for noise on gradients see ``optim.AddNoise``."""

from __future__ import annotations

from gradloom import options, random
from gradloom.nn.dense import Dense
from gradloom.nn.init import Initializer
from gradloom.nn.module import Module, current_call
from gradloom.tensor import Tensor


class GaussianNoise(Module):
    """x + ε with ε from N(0, std²), drawn anew for each element while training; x itself when predicting.

    In front of a linear model it acts on average as the penalty std² Σw², in front of others much like it.

    Args:
        std: standard deviation of the noise.

    Raises:
        OptionError: it is negative, or a training call has no key.

    Source: Bishop, "Training with noise is equivalent to Tikhonov regularization" (1995).
    """

    def __init__(self, std: float = 0.1) -> None:
        self.std = options.not_negative("GaussianNoise", "std", std)

    def forward(self, x: Tensor) -> Tensor:
        """x with noise while training."""
        call = current_call()
        return x + _drawn("GaussianNoise", self.std, x) if self.std and call.training and call.drop else x


class NoisyDense(Dense):
    """g(x (W + ε) + b) with ε from N(0, std²), drawn anew for each batch while training; a dense layer when predicting.

    Weights that must not be exact lie in flat minima, and need few bits to be written down.

    Args:
        units: number of outputs.
        std: standard deviation of the noise.
        activation: name or module of g; None for a linear layer.
        bias: whether there is a b, which has no noise.
        init: name or function of the initialiser of W.
        bias_init: likewise of b.

    Raises:
        OptionError: an option is out of range, or a training call has no key.

    Source: Hinton and van Camp, "Keeping neural networks simple by minimizing the description length of the weights"
    (1993), with a fixed std.
    """

    def __init__(
        self,
        units: int,
        std: float = 0.05,
        *,
        activation: str | Module | None = None,
        bias: bool = True,
        init: str | Initializer = "glorot_uniform",
        bias_init: str | Initializer = "zeros",
    ) -> None:
        super().__init__(units, activation=activation, bias=bias, init=init, bias_init=bias_init)
        self.std = options.not_negative("NoisyDense", "std", std)

    def _sums(self, x: Tensor) -> Tensor:
        call = current_call()
        if not self.std or not call.training or not call.drop:
            return super()._sums(x)
        return self._shifted(x @ (self.weight + _drawn("NoisyDense", self.std, self.weight)))


def _drawn(who: str, std: float, like: Tensor) -> Tensor:
    return std * random.normal(current_call().next_key(who), like.shape, like.dtype)
