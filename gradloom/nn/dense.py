"""The dense (fully connected) layer."""

from __future__ import annotations

from gradloom import options
from gradloom.errors import ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn import activations
from gradloom.nn.bias import Biased
from gradloom.nn.init import Initializer
from gradloom.nn.init import get as initializer
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Dense(Biased):
    """g(x W + b): every output sees every input.

    Rows are examples: x is (n, in), W (in, out), b (out,).  Inputs with more axes are worked on along their last.
    The size of the input is learned at the first call.

    Args:
        units: number of outputs.
        activation: name or module of g; None for a linear layer.
        bias: whether there is a b.
        init: name or function of the initialiser of W.
        bias_init: likewise of b.

    Raises:
        OptionError: the number of units is not a whole number from 1.
        UnknownNameError: no activation or initialiser has this name.
    """

    weight: Tensor

    def __init__(
        self,
        units: int,
        *,
        activation: str | Module | None = None,
        bias: bool = True,
        init: str | Initializer = "glorot_uniform",
        bias_init: str | Initializer = "zeros",
    ) -> None:
        super().__init__(bias, bias_init)
        self.units = options.whole("Dense", "units", units)
        self.activation = None if activation is None else activations.get(activation)
        initializer(init)
        self.init = init

    def build(self, x: TensorType) -> None:
        """Make W and b for as many features as x has."""
        if not x.rank:
            raise ShapeError("Dense", rule="the input needs an axis of features", got=str(x))
        self.add_parameter("weight", (x.shape[-1], self.units), initializer(self.init))
        self._add_bias(self.units)

    def forward(self, x: Tensor) -> Tensor:
        """g(x W + b)."""
        return self._activated(self._sums(self._checked(x)))

    def _checked(self, x: Tensor) -> Tensor:
        """x, which must be as wide as the first input."""
        expected = self.weight.shape[0]
        if x.shape[-1:] != (expected,):
            raise ShapeError(
                "Dense",
                rule=f"expected {expected} features on the last axis",
                got=f"{x.shape[-1] if x.shape else 'no axis'} in {x.type}",
                fix="The layer took its width from its first input: give inputs of that width, or make a new layer.",
            )
        return x

    def _sums(self, x: Tensor) -> Tensor:
        """x W + b."""
        return self._shifted(x @ self.weight)

    def _activated(self, sums: Tensor) -> Tensor:
        return sums if self.activation is None else self.activation(sums)
