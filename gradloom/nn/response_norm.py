"""Local response normalisation, which older networks have where newer ones normalise batches."""

from __future__ import annotations

from gradloom import functional as fn
from gradloom import options, pooling
from gradloom.nn.geometry import check_image
from gradloom.nn.module import Module
from gradloom.nn.single import as_given, in_single
from gradloom.tensor import Tensor


class LocalResponseNorm(Module):
    """Each element divided by what its neighbours have, y = x / (k + α/n Σ x²)^β, a kind of lateral inhibition.

    x is (N, *spatial, C), y likewise.

    Args:
        size: n, how many neighbours the sum has: n channels, or a window of n along each spatial axis. The element is
            in the middle (of an even number the upper middle, as in PyTorch; ONNX has the lower); outside there are
            zeros.
        alpha: α.
        beta: β.
        k: k.
        mode: "across" channels at one place, or "within" one channel around the place.
        alpha_over_n: whether α is divided by the number of neighbours, as in the notes and in Caffe; the network of
            Krizhevsky et al. has the plain sum (and k = 2).

    Raises:
        OptionError: an option is out of its range.
        ShapeError: the input is not (N, *spatial, C).

    Source: Krizhevsky, Sutskever and Hinton (2012); the notes (catalogue rows 165 and 166).
    """

    def __init__(
        self,
        size: int = 5,
        *,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        mode: str = "across",
        alpha_over_n: bool = True,
    ) -> None:
        who = "LocalResponseNorm"
        self.size = options.whole(who, "size", size)
        self.alpha, self.beta = options.not_negative(who, "alpha", alpha), options.not_negative(who, "beta", beta)
        self.k = options.positive(who, "k", k)
        self.mode = options.choice(who, "mode", mode, ("across", "within"))
        self.alpha_over_n = options.flag(who, "alpha_over_n", alpha_over_n)

    def forward(self, x: Tensor) -> Tensor:
        """x / (k + α/n Σ x²)^β."""
        rank = check_image("LocalResponseNorm", x.shape, x.type)
        low, high = self.size // 2, (self.size - 1) // 2
        wide = in_single(x)
        squares = wide * wide
        if self.mode == "within":
            sums = pooling.sum_pool(squares, self.size, strides=1, padding=[(low, high)] * rank)
            count = self.size**rank
        else:
            padded = fn.pad(squares, [(0, 0)] * (rank + 1) + [(low, high)])
            channels, count = x.shape[-1], self.size
            sums = padded[..., :channels]
            for shift in range(1, self.size):
                sums = sums + padded[..., shift : shift + channels]
        scale = self.k + (self.alpha / count if self.alpha_over_n else self.alpha) * sums
        return as_given(wide * fn.power(scale, -self.beta), x)
