"""What layers have in common that may add a trained number to each channel of their output."""

from __future__ import annotations

from typing import Any

from gradloom import options
from gradloom.nn.init import Initializer
from gradloom.nn.init import get as initializer
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Biased(Module):
    """A layer with the option ``bias``, which says whether there is one, while the attribute is the tensor itself."""

    def __init__(self, bias: bool, bias_init: str | Initializer = "zeros") -> None:
        self.has_bias = options.flag(type(self).__name__, "bias", bias)
        initializer(bias_init)  # refuses unknown names now; the name as it is goes into model files
        self.bias_init = bias_init
        self.bias: Tensor | None = None

    def config(self) -> dict[str, Any]:
        """The options, ``bias`` as it was given."""
        return {**super().config(), "bias": self.has_bias}

    def _add_bias(self, channels: int) -> None:
        if self.has_bias:
            self.add_parameter("bias", (channels,), initializer(self.bias_init))

    def _shifted(self, y: Tensor) -> Tensor:
        """y + b."""
        return y if self.bias is None else y + self.bias
