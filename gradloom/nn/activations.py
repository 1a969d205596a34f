"""Activations: the non-linear functions between layers, as modules.

Between linear layers something must bend, or the whole stack is one linear layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import OptionError, ShapeError
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Identity(Module):
    """x: the output of a regression."""

    def forward(self, x: Tensor) -> Tensor:
        """x."""
        return x


class ReLU(Module):
    """max(x, 0).

    Args:
        derivative_at_zero: 0 as in other libraries, or 1 as in the course notes; elsewhere the derivative is known.
    """

    def __init__(self, *, derivative_at_zero: int = 0) -> None:
        if derivative_at_zero not in (0, 1):
            raise OptionError("ReLU", rule="the derivative at 0 is 0 or 1", got=repr(derivative_at_zero))
        self.derivative_at_zero = int(derivative_at_zero)

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return fn.where(x >= 0, x, 0) if self.derivative_at_zero else fn.relu(x)


class LeakyReLU(Module):
    """x for x ≥ 0, else ``slope`` · x.

    Args:
        slope: where x is negative.
        derivative_at_zero: 1 as in the course notes and JAX, or "slope" as in PyTorch.
    """

    def __init__(self, slope: float = 0.01, *, derivative_at_zero: int | str = 1) -> None:
        self.slope = options.number("LeakyReLU", "slope", slope)
        if derivative_at_zero not in (1, "slope"):
            raise OptionError("LeakyReLU", rule="the derivative at 0 is 1 or 'slope'", got=repr(derivative_at_zero))
        self.derivative_at_zero = derivative_at_zero

    def forward(self, x: Tensor) -> Tensor:
        """x or slope · x."""
        return fn.where(x >= 0 if self.derivative_at_zero == 1 else x > 0, x, x * self.slope)


class ELU(Module):
    """x for x > 0, else ``alpha`` (e^x - 1).  Clevert, Unterthiner and Hochreiter (2016)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = options.number("ELU", "alpha", alpha)

    def forward(self, x: Tensor) -> Tensor:
        """x or alpha (e^x - 1)."""
        # The exponential is kept from the large x of the other branch, where it would overflow.
        return fn.where(x > 0, x, self.alpha * fn.expm1(fn.where(x > 0, 0, x)))


class GELU(Module):
    """x Φ(x) for the normal distribution function Φ.  Hendrycks and Gimpel (2016).

    Args:
        form: "exact", or the paper's approximations: "tanh" for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), which errs
            by up to 5e-4, or "sigmoid" for x σ(1.702 x), which errs by up to 0.02.
    """

    def __init__(self, *, form: str = "exact") -> None:
        self.form = options.choice("GELU", "form", form, ("exact", "tanh", "sigmoid"))

    def forward(self, x: Tensor) -> Tensor:
        """x Φ(x), or what is near it."""
        if self.form == "sigmoid":
            return x * fn.sigmoid(1.702 * x)
        if self.form == "tanh":
            return 0.5 * x * (1 + fn.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
        return x * 0.5 * (1 + fn.erf(x * math.sqrt(0.5)))


class SiLU(Module):
    """x σ(x), also called swish.  Elfwing, Uchibe and Doya (2018)."""

    def forward(self, x: Tensor) -> Tensor:
        """x σ(x)."""
        return x * fn.sigmoid(x)


class Sigmoid(Module):
    """1/(1 + e^-x), in (0, 1).

    Not before a loss that takes logits, which applies it itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        """1/(1 + e^-x)."""
        return fn.sigmoid(x)


class Tanh(Module):
    """(e^x - e^-x)/(e^x + e^-x) = 2σ(2x) - 1, in (-1, 1) and centred at 0."""

    def forward(self, x: Tensor) -> Tensor:
        """tanh x."""
        return fn.tanh(x)


class Softplus(Module):
    """log(1 + e^x), a smooth ReLU; its derivative is the sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        """log(1 + e^x)."""
        return fn.softplus(x)


class Softmax(Module):
    """e^x_j / Σ_k e^x_k along the last axis: positive, sums to 1.

    Not before a loss that takes logits, which applies it itself.

    Args:
        groups: sizes of groups of outputs, each with a softmax of its own; one group by default.
    """

    def __init__(self, *, groups: Sequence[int] | None = None) -> None:
        self.groups = None if groups is None else tuple(options.whole("Softmax", "a group", n) for n in groups)

    def forward(self, x: Tensor) -> Tensor:
        """The softmax of each group."""
        if self.groups is None:
            return fn.softmax(x)
        if sum(self.groups) != x.shape[-1]:
            raise ShapeError(
                "Softmax",
                rule="the groups must cover the last axis",
                got=f"groups {self.groups} (together {sum(self.groups)}) for {x.type}",
            )
        ends = [sum(self.groups[:i]) for i in range(1, len(self.groups))]
        return fn.concatenate([fn.softmax(part) for part in fn.split(x, ends, axis=-1)], axis=-1)


class Step(Module):
    """1 for x > 0, 0 for x < 0.  Its derivative is 0 everywhere, so gradients cannot train through it.

    Args:
        at_zero: the value at 0: 0 as in the course notes, ½ or 1.
    """

    def __init__(self, *, at_zero: float = 0.0) -> None:
        self.at_zero = _value_at_zero("Step", at_zero, (0.0, 0.5, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Whether x > 0."""
        return fn.where(x > 0, fn.ones_like(x), fn.where(x < 0, fn.zeros_like(x), self.at_zero))


class Sign(Module):
    """1 for x > 0, -1 for x < 0: the perceptron's.  Its derivative is 0 everywhere.

    Args:
        at_zero: the value at 0: 1 as in the course notes, which decide for one of two classes; 0 as mathematics and
            other libraries have it; or -1.
    """

    def __init__(self, *, at_zero: float = 1.0) -> None:
        self.at_zero = _value_at_zero("Sign", at_zero, (-1.0, 0.0, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """1 or -1."""
        return fn.where(x > 0, fn.ones_like(x), fn.where(x < 0, -fn.ones_like(x), self.at_zero))


def _value_at_zero(who: str, value: float, choices: tuple[float, ...]) -> float:
    if options.number(who, "at_zero", value) not in choices:
        raise OptionError(who, rule=f"at_zero is one of {', '.join(f'{c:g}' for c in choices)}", got=repr(value))
    return float(value)


NAMES: dict[str, Callable[[], Module]] = {
    "identity": Identity,
    "linear": Identity,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softplus": Softplus,
    "softmax": Softmax,
    "step": Step,
    "sign": Sign,
}


def get(activation: str | Module) -> Module:
    """The activation of a name, such as "relu"; a module is returned as it is.

    Raises:
        UnknownNameError: no activation has this name.
    """
    if isinstance(activation, Module):
        return activation
    return options.named("Activation", "activation", activation, NAMES)()


class Activation(Module):
    """The activation of a name, with its usual options.

    Args:
        name: "relu", "tanh", "sigmoid", "softplus", "softmax", "gelu", ...
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.function = get(name)

    def forward(self, x: Tensor) -> Tensor:
        """The named function of x."""
        return self.function(x)
