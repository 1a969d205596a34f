"""A set of images in memory, in the form that a trainer takes."""

from __future__ import annotations

from dataclasses import field, replace

import numpy as np

from gradloom.errors import DataError
from gradloom.records import dataclass

_CHUNK = 256


@dataclass(frozen=True)
class Images:
    """Images with what is to be learned of them.

    Attributes:
        inputs: shape (N, H, W, C), uint8, or float32 where a pixel has more than 8 bits.
        targets: class labels, int64 of shape (N,); or a class for each pixel, uint8 of shape (N, H, W); or None.
        classes: names of the classes by label.
        source: what was read, for messages and reports.
        names: of the files, where each image was one.
        levels: of masks, the value in the files that stands for each class.
        notes: what a user should know, a sentence each.
    """

    inputs: np.ndarray
    targets: np.ndarray | None
    classes: tuple[str, ...]
    source: str
    names: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.inputs.ndim != 4 or not self.inputs.size:
            raise DataError(
                self.source, rule="images have the shape (N, H, W, C), none of them 0", got=f"shape {self.inputs.shape}"
            )
        if self.targets is not None and len(self.targets) != len(self.inputs):
            raise DataError(
                self.source,
                rule="there must be as many targets as images",
                got=f"{len(self.inputs)} images and {len(self.targets)} targets",
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: np.ndarray) -> Images:
        """The images of these numbers.

        Args:
            rows: whole numbers, shape (n,).
        """
        return replace(
            self,
            inputs=self.inputs[rows],
            targets=None if self.targets is None else self.targets[rows],
            names=tuple(self.names[row] for row in rows) if self.names else (),
        )

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over all pixels, for ``nn.Normalize``.

            μ = Σ x / n,   σ² = Σ x² / n - μ²

        The sums are in float64, exact for whole numbers up to 2^53.  A channel that is the same everywhere has the
        deviation 1, so that dividing by it changes nothing.
        """
        channels = self.inputs.shape[-1]
        total, squares = np.zeros(channels), np.zeros(channels)
        for start in range(0, len(self.inputs), _CHUNK):
            pixels = self.inputs[start : start + _CHUNK].reshape(-1, channels).astype(np.float64)
            total += pixels.sum(axis=0)
            squares += (pixels * pixels).sum(axis=0)
        count = self.inputs.size // channels
        mean = total / count
        variance = squares / count - mean * mean
        varies = variance > 1e-12 * np.maximum(mean * mean, 1e-300)
        deviation = np.sqrt(np.where(varies, variance, 1.0))
        return tuple(mean.tolist()), tuple(deviation.tolist())
