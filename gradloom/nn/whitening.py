"""A first layer whose filters are computed from images and not trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradloom import options, windows
from gradloom.errors import ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.nn.bias import Biased
from gradloom.nn.geometry import check_image
from gradloom.nn.single import as_given, in_single
from gradloom.tensor import Tensor, tensor


class Whitening(Biased):
    """Patches of an image as coordinates of variance 1 that are not correlated, and their negatives.

        z = Eᵀ patch / √(λ + ε),   y = (z + b, -z + b')

    E and λ are eigenvectors and eigenvalues of the covariance of the patches of some images, which :meth:`fit` is
    given before training.  They are state: training leaves them alone and model files keep them.  With the negatives
    an activation such as ReLU or GELU loses nothing.  Before ``fit`` E is the identity and the spreads are 1.

    x is (N, *spatial, C), y (N, *out, 2·C·size^axes), without padding.

    Args:
        size: of a patch along every spatial axis.
        eps: ε, which keeps directions without variance from being blown up.
        bias: whether b and b' are added, which are trained.

    Source: Page, "How to train your ResNet" (2019); Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024).
    """

    weight: Tensor

    def __init__(self, size: int = 2, *, eps: float = 5e-4, bias: bool = True) -> None:
        super().__init__(bias)
        self.size = options.whole("Whitening", "size", size)
        self.eps = options.epsilon("Whitening", "eps", eps)

    def build(self, x: TensorType) -> None:
        """Make filters that give the elements of a patch themselves, and b."""
        window = (self.size,) * check_image("Whitening", x.shape, x)
        count = math.prod(window) * x.shape[-1]
        self.add_state("weight", _both_signs(np.eye(count), (*window, x.shape[-1])))
        self._add_bias(2 * count)

    def fit(self, images: Any) -> None:
        """Compute the filters from images, of which some thousands are enough.

        Args:
            images: (N, *spatial, C), prepared as those that the network will see.

        Raises:
            ShapeError: the images have other channels than the layer, or fewer patches than directions.
        """
        x = tensor(images).numpy()
        if not self._built:
            self.initialize(x[:1])
        *window, channels, _ = self.weight.shape
        if x.ndim != len(window) + 2 or x.shape[-1] != channels:
            rule = f"expected (N, *spatial, {channels}) with {len(window)} spatial axes"
            raise ShapeError("Whitening.fit", rule=rule, got=f"shape {x.shape}", fix="Give it images of the same kind.")
        axes = tuple(range(1, x.ndim - 1))
        patches = np.moveaxis(np.lib.stride_tricks.sliding_window_view(x, window, axes), len(window) + 1, -1)
        rows = patches.reshape(-1, math.prod(window) * channels).astype(np.float64)
        if len(rows) < rows.shape[1]:
            rule, fix = f"{rows.shape[1]} directions need at least as many patches", "Give it more images."
            raise ShapeError("Whitening.fit", rule=rule, got=f"{len(rows)} of {len(x)} images", fix=fix)
        values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True).reshape(rows.shape[1], -1))
        scaled = vectors / np.sqrt(np.maximum(values, 0) + self.eps)
        self.weight = _both_signs(scaled[:, ::-1], (*window, channels)).astype(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """The whitened patches and their negatives."""
        if x.ndim != self.weight.ndim or x.shape[-1] != self.weight.shape[-2]:
            rule = f"expected (N, *spatial, C) of rank {self.weight.ndim} with {self.weight.shape[-2]} channels"
            raise ShapeError("Whitening", rule=rule, got=str(x.type), fix="Give it images like its first ones.")
        return as_given(self._shifted(windows.conv(in_single(x), self.weight)), x)


def _both_signs(columns: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """Directions as filters (*window, C, 2·directions)."""
    return tensor(np.concatenate([columns, -columns], 1).reshape(*shape, -1), "float32")
