"""Convolution as layers: the same small weights at every place of an image, a sequence or a volume."""

from __future__ import annotations

from gradloom import functional as fn
from gradloom import options, windows
from gradloom.errors import ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn import activations, geometry
from gradloom.nn.bias import Biased
from gradloom.nn.geometry import Padding, Sizes
from gradloom.nn.init import Initializer
from gradloom.nn.init import get as initializer
from gradloom.nn.module import Module
from gradloom.tensor import Tensor
from gradloom.transforms import vjp


class _Convolution(Biased):
    """The options of both kinds, the bias and the activation, and the check of the input's channels."""

    weight: Tensor
    signed_padding = False  # whether padding after an axis may be negative

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
        super().__init__(bias, bias_init)
        who = type(self).__name__
        self.filters = options.whole(who, "filters", filters)
        self.size, self.strides = geometry.sizes(who, "size", size), geometry.sizes(who, "strides", strides)
        self.padding = geometry.padding(who, padding, signed=self.signed_padding)
        self.dilation = geometry.sizes(who, "dilation", dilation)
        self.groups = options.whole(who, "groups", groups)
        self.padding_mode = options.choice(who, "padding_mode", padding_mode, windows.PADDING_MODES)
        self.flip = options.flag(who, "flip", flip)
        self.activation = None if activation is None else activations.get(activation)
        initializer(init)
        self.init = init
        if self.filters % self.groups:
            raise ShapeError(
                who,
                rule="the groups divide the filters",
                got=f"{groups} groups of {filters} filters",
                fix=f"Use a multiple of {groups} filters.",
            )

    def _kernel_sizes(self, x: TensorType) -> tuple[int, ...]:
        who = type(self).__name__
        found = geometry.spread(self.size, geometry.check_image(who, x.shape, x))
        if len(found) != x.rank - 2:
            raise ShapeError(
                who,
                rule="size has one number for each spatial axis",
                got=f"size {self.size} for {x}, which has {x.rank - 2}",
                fix="The input is (N, *spatial, C): add an axis of channels with gl.expand_dims(x, -1), or one of "
                "examples with gl.expand_dims(x, 0).",
            )
        if x.shape[-1] % self.groups:
            raise ShapeError(
                who,
                rule="the groups divide the channels",
                got=f"{self.groups} groups for {x.shape[-1]} channels, {x}",
                fix="Use a number of groups that divides both the channels and the filters.",
            )
        return found

    def _checked_rank(self, x: Tensor, channels: int) -> int:
        """The number of spatial axes of x, which must have as many as the kernel, and this many channels."""
        rank = self.weight.ndim - 2
        if x.ndim != rank + 2:
            rule, got = f"expected (N, *spatial, C) with {rank} spatial axes", str(x.type)
        else:
            rule, got = f"expected {channels} channels on the last axis", f"{x.shape[-1]} in {x.type}"
        if x.ndim != rank + 2 or x.shape[-1] != channels:
            fix = "The layer took its kind from its first input: give inputs of that kind, or make a new layer."
            raise ShapeError(type(self).__name__, rule=rule, got=got, fix=fix)
        return rank

    def _kernel(self) -> Tensor:
        """W as the primitives take it, which do not turn it around."""
        return fn.flip(self.weight, tuple(range(self.weight.ndim - 2))) if self.flip else self.weight

    def _finished(self, y: Tensor) -> Tensor:
        y = self._shifted(y)
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
        padding_mode: what lies around: "zero", "reflect" (mirrored), "edge" (the outermost element repeated) or
            "circular" (the other end).
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

    def build(self, x: TensorType) -> None:
        """Make W and b for the channels of x."""
        shape = (*self._kernel_sizes(x), x.shape[-1] // self.groups, self.filters)
        self.add_parameter("weight", shape, initializer(self.init))
        self._add_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        """g(x ∗ W + b)."""
        self._checked_rank(x, self.weight.shape[-2] * self.groups)
        return self._finished(
            windows.conv(
                x,
                self._kernel(),
                strides=self.strides,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
                padding_mode=self.padding_mode,
            )
        )


class ConvTranspose(_Convolution):
    """The transpose of a :class:`Conv`, which makes images larger: a step of 1/stride ("fractionally strided").

    Every element of x adds the kernel, times itself, to the output at stride times its place.  Equivalently x is
    spread out with stride - 1 zeros between its elements and convolved with the kernel turned by 180°.  x is
    (N, *spatial, C), W (*size, filters / groups, C).  The options are those of the Conv that it is the transpose of;
    a trained deconvolution by 1/3 is ``ConvTranspose(filters, 3, strides=3)``.

    Args:
        filters: channels of the output.
        size: of the kernel.
        strides: how far apart the elements of x come to lie.
        padding: how much of the result is cut off: "valid" nothing, (W - 1)·stride + size elements stay; "same" so
            much that W·stride stay; or numbers as in :class:`Conv`.  Since several sizes of an input of a Conv give
            one of its output, less than a stride may be added after an axis by a negative number: ((1, 0), (1, -1))
            is what other libraries call padding 1 and "output padding" (1, 2).
        dilation: steps between the elements of the kernel.
        groups: groups of channels that do not mix.
        padding_mode: where that which is cut off goes: "zero" drops it, the others add it to the elements that a Conv
            of this mode would have read in its place ("circular" to those of the other end).
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

    signed_padding = True

    def build(self, x: TensorType) -> None:
        """Make W and b for the channels of x."""
        window = self._kernel_sizes(x)
        chosen = initializer(self.init)

        def by_inputs(key: Tensor, shape: tuple[int, ...]) -> Tensor:
            """Fans count what goes in and out of this layer, not of the one whose transpose it is."""
            return fn.moveaxis(chosen(key, (*shape[:-2], shape[-1], shape[-2])), -1, -2)

        self.add_parameter("weight", (*window, self.filters // self.groups, x.shape[-1]), by_inputs)
        self._add_bias(self.filters)

    def forward(self, x: Tensor) -> Tensor:
        """g(x ∗ᵀ W + b)."""
        who, rank = "ConvTranspose", self._checked_rank(x, self.weight.shape[-1])
        steps = windows.spread(who, "strides", self.strides, rank)
        spacing = windows.spread(who, "dilation", self.dilation, rank)
        extents = [d * (k - 1) + 1 for k, d in zip(self.weight.shape, spacing)]
        pairs = self._cut(extents, steps)
        whole = [(n - 1) * s + e for n, s, e in zip(x.shape[1:-1], steps, extents)]
        spatial = tuple(n - low - high for n, (low, high) in zip(whole, pairs))
        if min(spatial) < 1 or any(-high >= s for (_, high), s in zip(pairs, steps)):
            raise ShapeError(
                who,
                rule="padding leaves something of the result, and adds less than a stride after it",
                got=f"padding {pairs} of a result of {tuple(whole)}, strides {steps}, for {x.type}",
                fix="Use less padding.",
            )
        cut = [(low, max(high, 0)) for low, high in pairs]
        fold = self.padding_mode != "zero"
        y = windows.conv_transpose(
            x,
            self._kernel(),
            spatial=[n + low + high for n, (low, high) in zip(spatial, cut)] if fold else spatial,
            strides=steps,
            padding="valid" if fold else cut,
            dilation=spacing,
            groups=self.groups,
        )
        return self._finished(self._folded(y, spatial, cut) if fold else y)

    def _cut(self, extents: list[int], steps: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """How much is cut off before and after each axis."""
        if self.padding == "same":
            lows = [max(e - s, 0) // 2 for e, s in zip(extents, steps)]
            return tuple((low, e - s - low) for low, e, s in zip(lows, extents, steps))
        return windows.padding_pairs("ConvTranspose", self.padding, extents, extents, steps, steps)

    def _folded(self, y: Tensor, spatial: tuple[int, ...], cut: list[tuple[int, int]]) -> Tensor:
        """The transpose of padding: what came to lie outside, added to the elements that padding would repeat."""
        image = fn.zeros((y.shape[0], *spatial, y.shape[-1]), y.dtype)
        mode = windows.PADDING_MODES[self.padding_mode]
        _, transposed = vjp(lambda inside: fn.pad(inside, [(0, 0), *cut, (0, 0)], mode=mode), image)
        return transposed(y)[0]
