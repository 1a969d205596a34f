"""Convolution as layers: the same small weights at every place of an image, a sequence or a volume."""

from __future__ import annotations

from typing import Any

from gradloom import functional as fn
from gradloom import options, windows
from gradloom.errors import ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn import activations
from gradloom.nn.geometry import Padding, Sizes, check_image, padding, sizes, spread
from gradloom.nn.init import Initializer
from gradloom.nn.init import get as initializer
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class _Convolution(Module):
    """What both kinds have in common: filters, bias, activation, and the check of the input's channels."""

    weight: Tensor

    def __init__(
        self,
        filters: int,
        size: Sizes,
        *,
        strides: Sizes,
        padding_: Padding,
        dilation: Sizes,
        groups: int,
        activation: str | Module | None,
        bias: bool,
        init: str | Initializer,
        bias_init: str | Initializer,
    ) -> None:
        who = type(self).__name__
        self.filters = options.whole(who, "filters", filters)
        self.size, self.strides = sizes(who, "size", size), sizes(who, "strides", strides)
        self.dilation, self.padding = sizes(who, "dilation", dilation), padding(who, padding_)
        self.groups = options.whole(who, "groups", groups)
        self.activation = None if activation is None else activations.get(activation)
        self.has_bias = options.flag(who, "bias", bias)
        for chosen in (init, bias_init):
            initializer(chosen)
        self.init, self.bias_init = init, bias_init
        self.bias: Tensor | None = None
        if self.filters % self.groups:
            raise ShapeError(who, rule="the groups divide the filters", got=f"{groups} groups of {filters} filters")

    def config(self) -> dict[str, Any]:
        """The options; ``bias`` says whether there is one, while the attribute is the tensor itself."""
        return {**super().config(), "bias": self.has_bias}

    def _kernel_sizes(self, x: TensorType) -> tuple[int, ...]:
        who = type(self).__name__
        found = spread(self.size, check_image(who, x.shape, x))
        if len(found) != x.rank - 2:
            raise ShapeError(who, rule="size has one number for each spatial axis", got=f"{self.size} for {x}")
        if x.shape[-1] % self.groups:
            raise ShapeError(who, rule="the groups divide the channels", got=f"{self.groups} groups for {x}")
        return found

    def _add_bias(self) -> None:
        if self.has_bias:
            self.add_parameter("bias", (self.filters,), initializer(self.bias_init))

    def _check_channels(self, x: Tensor, expected: int) -> None:
        if x.shape[-1:] != (expected,):
            raise ShapeError(
                type(self).__name__,
                rule=f"expected {expected} channels on the last axis",
                got=str(x.type),
                fix="The layer took its channels from its first input: give inputs of that kind, or make a new layer.",
            )

    def _finished(self, y: Tensor) -> Tensor:
        y = y if self.bias is None else y + self.bias
        return y if self.activation is None else self.activation(y)


class Conv(_Convolution):
    """g(x ∗ W + b): cross-correlation, in one, two or three dimensions, as the input has.

        y[n, q, o] = g(Σ x[n, stride·q + dilation·p - low, i] W[p, i, o] + b[o])

    x is (N, *spatial, C), W (*size, C / groups, filters).  The size of the input is learned at the first call.

    Args:
        filters: channels of the output.
        size: of the kernel, one number or one for each spatial axis.
        strides: steps from one window to the next.
        padding: "same" (⌈W / stride⌉ windows; the odd element after the axis), "valid" (none), a number for all
            sides, or a number or pair (before, after) for each axis.
        dilation: steps between elements of a window.
        groups: groups of channels that do not mix; as many as channels make a depthwise convolution.
        padding_mode: what lies around: "zero", "reflect", "edge" or "circular".
        flip: whether the kernel is turned around, as in mathematics' convolution; learned kernels do not need it.
        activation: name or module of g; None for a linear layer.
        bias: whether there is a b.
        init: name or function of the initialiser of W; its fan-in is the window times the channels of a group.
        bias_init: likewise of b.

    Raises:
        OptionError: an option is out of its range.
        ShapeError: the input has other channels than the first had, or the window does not fit.

    Source: the notes (catalogue rows 227 to 231); Dumoulin and Visin (2016) for the arithmetic.
    """

    def __init__(
        self,
        filters: int,
        size: Sizes,
        *,
        strides: Sizes = 1,
        padding: Padding = "same",
        dilation: Sizes = 1,
        groups: int = 1,
        padding_mode: str = "zero",
        flip: bool = False,
        activation: str | Module | None = None,
        bias: bool = True,
        init: str | Initializer = "he_normal",
        bias_init: str | Initializer = "zeros",
    ) -> None:
        super().__init__(
            filters,
            size,
            strides=strides,
            padding_=padding,
            dilation=dilation,
            groups=groups,
            activation=activation,
            bias=bias,
            init=init,
            bias_init=bias_init,
        )
        self.padding_mode = options.choice("Conv", "padding_mode", padding_mode, windows.PADDING_MODES)
        self.flip = options.flag("Conv", "flip", flip)

    def build(self, x: TensorType) -> None:
        """Make W and b for the channels of x."""
        shape = (*self._kernel_sizes(x), x.shape[-1] // self.groups, self.filters)
        self.add_parameter("weight", shape, initializer(self.init))
        self._add_bias()

    def forward(self, x: Tensor) -> Tensor:
        """g(x ∗ W + b)."""
        self._check_channels(x, self.weight.shape[-2] * self.groups)
        weight = fn.flip(self.weight, tuple(range(self.weight.ndim - 2))) if self.flip else self.weight
        return self._finished(
            windows.conv(
                x,
                weight,
                strides=self.strides,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
                padding_mode=self.padding_mode,
            )
        )


class ConvTranspose(_Convolution):
    """The transpose of :class:`Conv`, which makes images larger: a step of 1/stride ("fractionally strided").

    Every element of x adds the kernel, times itself, to the output at stride times its place.  Equivalently x is
    spread out with stride - 1 zeros between its elements and convolved with the kernel turned by 180°.  x is
    (N, *spatial, C), W (*size, filters / groups, C).

    Args:
        filters: channels of the output.
        size: of the kernel.
        strides: how far apart the elements of x come to lie.
        padding: how much of the result is cut off: "valid" nothing, (W - 1)·stride + size elements stay; "same" so
            much that W·stride stay; or numbers as in :class:`Conv`.
        output_padding: elements more after each axis, since several sizes of an input give one of the output.
        dilation: steps between the elements of the kernel.
        groups: groups of channels that do not mix.
        flip: whether the kernel is turned around, so that x spread out is cross-correlated with W itself.
        activation: name or module of g; None for a linear layer.
        bias: whether there is a b.
        init: name or function of the initialiser of W; its fan-in is the window times the channels of x.
        bias_init: likewise of b.

    Raises:
        OptionError: an option is out of its range.
        ShapeError: the input has other channels than the first had, or more is cut off than there is.

    Source: the notes' fractional strides (catalogue row 234, oracle O5, which has ``flip=True``); Dumoulin and Visin
    (2016).
    """

    def __init__(
        self,
        filters: int,
        size: Sizes,
        *,
        strides: Sizes = 1,
        padding: Padding = "same",
        output_padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        flip: bool = False,
        activation: str | Module | None = None,
        bias: bool = True,
        init: str | Initializer = "he_normal",
        bias_init: str | Initializer = "zeros",
    ) -> None:
        super().__init__(
            filters,
            size,
            strides=strides,
            padding_=padding,
            dilation=dilation,
            groups=groups,
            activation=activation,
            bias=bias,
            init=init,
            bias_init=bias_init,
        )
        self.output_padding = sizes("ConvTranspose", "output_padding", output_padding, least=0)
        self.flip = options.flag("ConvTranspose", "flip", flip)

    def build(self, x: TensorType) -> None:
        """Make W and b for the channels of x."""
        window = self._kernel_sizes(x)
        chosen = initializer(self.init)

        def by_inputs(key: Tensor, shape: tuple[int, ...]) -> Tensor:
            """Fans count what goes in and out of this layer, not of the one whose transpose it is."""
            return fn.moveaxis(chosen(key, (*shape[:-2], shape[-1], shape[-2])), -1, -2)

        self.add_parameter("weight", (*window, self.filters // self.groups, x.shape[-1]), by_inputs)
        self._add_bias()

    def forward(self, x: Tensor) -> Tensor:
        """g(x ∗ᵀ W + b)."""
        self._check_channels(x, self.weight.shape[-1])
        rank = x.ndim - 2
        steps, spacing = spread(self.strides, rank), spread(self.dilation, rank)
        extents = [d * (k - 1) + 1 for k, d in zip(self.weight.shape, spacing)]
        extra = spread(self.output_padding, rank)
        pairs = self._cut(extents, steps)
        spatial = tuple(
            (n - 1) * s + max(e, s if self.padding == "same" else 0) - low - high + more
            for n, s, e, (low, high), more in zip(x.shape[1:-1], steps, extents, pairs, extra, strict=True)
        )
        weight = fn.flip(self.weight, tuple(range(rank))) if self.flip else self.weight
        return self._finished(
            windows.conv_transpose(
                x, weight, spatial=spatial, strides=steps, padding=pairs, dilation=spacing, groups=self.groups
            )
        )

    def _cut(self, extents: list[int], steps: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """How much is cut off before and after each axis."""
        if self.padding == "valid":
            return ((0, 0),) * len(steps)
        if self.padding == "same":
            totals = [max(e - s, 0) for e, s in zip(extents, steps)]
            return tuple((t // 2, t - t // 2) for t in totals)
        given = self.padding if isinstance(self.padding, tuple) else (self.padding,) * len(steps)
        return tuple((p, p) if isinstance(p, int) else p for p in given)
