"""Normalising what flows between layers."""

from __future__ import annotations

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn import init
from gradloom.nn.module import Module, current_call
from gradloom.nn.single import as_given, in_single
from gradloom.tensor import Tensor


class BatchNorm(Module):
    """Each channel with mean 0 and variance 1 over the batch, then scaled and shifted.

        y = γ (x - μ) / √(σ² + ε) + β

    x is (N, ..., C), y likewise.  While training μ and σ² are those of the batch, over all axes but the last; σ² is
    biased (divided by the count).  When predicting they are the running ones, ``running = (1 - momentum) · running +
    momentum · batch``.

    Args:
        momentum: weight of the new batch in the running statistics; with ``momentum_of="old"`` that of the old ones.
        eps: ε.
        affine: whether there are γ (``scale``) and β (``shift``); without them fewer functions can be represented.
            "shift" is β alone, which is enough where the next layer can scale.
        momentum_of: "new" as in the notes, or "old".
        running_variance: "biased" as in training, or "unbiased": times m / (m - 1) for m values a channel.
        eps_mode: what x - μ is divided by: "inside" √(σ² + ε); "outside" √σ² + ε, whose gradient is NaN for a channel
            of one value; "variance" σ² + ε, a slip in part of the notes, which does not give variance 1.

    Raises:
        ShapeError: a training batch has one value a channel, or the number of channels changes.

    Source: Ioffe and Szegedy (2015); the notes (catalogue rows 159 to 163, A-V 9, typo 42).
    """

    scale: Tensor
    shift: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool | str = True,
        momentum_of: str = "new",
        running_variance: str = "biased",
        eps_mode: str = "inside",
    ) -> None:
        who = "BatchNorm"
        self.momentum = options.number(who, "momentum", momentum, low=0, high=1, fix="Usual is 0.1.")
        self.eps = options.epsilon(who, "eps", eps)
        self.affine = options.words(True, False, "shift")(who, "affine", affine)
        self.momentum_of = options.choice(who, "momentum_of", momentum_of, ("new", "old"))
        self.running_variance = options.choice(who, "running_variance", running_variance, ("biased", "unbiased"))
        self.eps_mode = options.choice(who, "eps_mode", eps_mode, ("inside", "outside", "variance"))

    def build(self, x: TensorType) -> None:
        """Make γ, β and the running statistics for the channels of x."""
        if x.rank < 2:
            raise ShapeError("BatchNorm", rule="the input needs axes of examples and of channels", got=str(x))
        channels = x.shape[-1:]
        if self.affine is True:
            self.add_parameter("scale", channels, init.ones)
        if self.affine:
            self.add_parameter("shift", channels, init.zeros)
        self.add_state("running_mean", fn.zeros(channels))
        self.add_state("running_var", fn.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised x."""
        if x.shape[-1:] != self.running_mean.shape:
            rule = f"expected {self.running_mean.shape[0]} channels on the last axis"
            got = f"{x.shape[-1]} in {x.type}" if x.shape else str(x.type)
            raise ShapeError("BatchNorm", rule=rule, got=got, fix="Give it the width of its first input.")
        wide = in_single(x)
        mean, var = self._of_batch(wide) if current_call().training else (self.running_mean, self.running_var)
        y = (wide - mean) * self._inverse_scale(var)
        y = y * self.scale if self.affine is True else y
        return as_given(y + self.shift if self.affine else y, x)

    def _inverse_scale(self, var: Tensor) -> Tensor:
        if self.eps_mode == "inside":
            return fn.rsqrt(var + self.eps)
        return 1 / (self.eps + (fn.sqrt(var) if self.eps_mode == "outside" else var))

    def _of_batch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The statistics of the batch, which are also mixed into the running ones."""
        if x.size <= x.shape[-1]:
            raise ShapeError(
                "BatchNorm",
                rule="a training batch needs more than one value a channel, for one alone has no variance",
                got=f"a batch of 1 example, {x.type}" if x.shape[0] == 1 else str(x.type),
                fix="Use larger batches, or leave out a last batch of a single example.",
            )
        axes = tuple(range(x.ndim - 1))
        mean, var = fn.mean(x, axes), fn.var(x, axes)
        self.running_mean = self._mixed(self.running_mean, mean)
        count = x.size // x.shape[-1]
        self.running_var = self._mixed(
            self.running_var, var if self.running_variance == "biased" else var * (count / (count - 1))
        )
        return mean, var

    def _mixed(self, running: Tensor, new: Tensor) -> Tensor:
        share = self.momentum if self.momentum_of == "new" else 1 - self.momentum
        return ((1 - share) * running + share * new).astype(running.dtype)


class _Standardized(Module):
    """Mean 0 and variance 1 within one example, then a scale and a shift for each channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, eps: float, affine: bool) -> None:
        who = type(self).__name__
        self.eps, self.affine = options.epsilon(who, "eps", eps), options.flag(who, "affine", affine)

    def build(self, x: TensorType) -> None:
        """Make γ and β for the channels of x."""
        if x.rank < 2:
            raise ShapeError(type(self).__name__, rule="the input needs axes of examples and of channels", got=str(x))
        if self.affine:
            self.add_parameter("scale", x.shape[-1:], init.ones)
            self.add_parameter("shift", x.shape[-1:], init.zeros)

    def _standardized(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        mean, var = fn.mean(x, axes, keepdims=True), fn.var(x, axes, keepdims=True)
        return (x - mean) * fn.rsqrt(var + self.eps)

    def _scaled(self, y: Tensor) -> Tensor:
        if self.affine and y.shape[-1:] != self.scale.shape:
            who, rule = type(self).__name__, f"expected {self.scale.shape[0]} channels on the last axis"
            got, fix = f"{y.shape[-1]} in {y.type}", "Give it the width of its first input."
            raise ShapeError(who, rule=rule, got=got, fix=fix)
        return y * self.scale + self.shift if self.affine else y


class LayerNorm(_Standardized):
    """The last axis of each example with mean 0 and variance 1, then scaled and shifted: γ (x - μ) / √(σ² + ε) + β.

    x is (N, ..., C), y likewise; of images each place is normalised for itself (``GroupNorm(1)`` takes them whole).
    Examples do not matter to each other, so training and predicting are alike.

    Args:
        eps: ε.
        affine: whether there are γ (``scale``) and β (``shift``), one for each place on the last axis.

    Source: Ba, Kiros and Hinton (2016).
    """

    def __init__(self, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(eps, affine)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised x."""
        return as_given(self._scaled(self._standardized(in_single(x), (x.ndim - 1,))), x)


class GroupNorm(_Standardized):
    """Groups of channels of each example with mean 0 and variance 1 over all places, then scaled and shifted.

        y = γ (x - μ) / √(σ² + ε) + β

    x is (N, ..., C), y likewise; μ and σ² are those of an example's group of C / groups neighbouring channels.

    Args:
        groups: how many; 1 normalises an example as a whole, as many as channels is instance normalisation.
        eps: ε.
        affine: whether there are γ (``scale``) and β (``shift``), one for each channel.

    Raises:
        ShapeError: the groups do not divide the channels.

    Source: Wu and He (2018).
    """

    def __init__(self, groups: int = 32, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(eps, affine)
        self.groups = options.whole("GroupNorm", "groups", groups)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised x."""
        *lead, channels = x.shape
        if channels % self.groups:
            raise ShapeError(
                "GroupNorm",
                rule="the groups divide the channels",
                got=f"{self.groups} groups for {x.type}",
                fix="Use a number that divides the channels.",
            )
        apart = in_single(x).reshape(*lead, self.groups, channels // self.groups)
        axes = (*range(1, x.ndim - 1), x.ndim)
        return as_given(self._scaled(self._standardized(apart, axes).reshape(x.shape)), x)
