"""A network of AlexNet's kind for images of 32 by 32, with its local response normalisation."""

from __future__ import annotations

from gradloom import nn


def AlexNetSmall(classes: int = 10, *, width: int = 64, dropout: float = 0.5) -> nn.Sequential:
    """Two convolutions of 5 by 5 with overlapping pooling and response normalisation, then three dense layers.

    (N, H, W, C) to (N, classes), from 7 by 7 on.  The normalisation has the constants of the paper, k = 2, α = 10⁻⁴
    times the sum, β = 0.75, n = 5.

    Args:
        classes: number of logits.
        width: filters of each convolution.
        dropout: the rate after both hidden dense layers.

    Returns:
        A network with 1,387,786 parameters for images of 32 by 32 with three channels, and 10 classes.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks"
    (2012), made smaller for small images as in Krizhevsky's cuda-convnet.
    """

    def block() -> list[nn.Module]:
        norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, alpha_over_n=False)
        return [nn.Conv(width, (5, 5), activation="relu"), norm, nn.MaxPool(3, strides=2)]

    return nn.Sequential(
        *block(),
        *block(),
        nn.Flatten(),
        nn.Dense(6 * width, activation="relu", init="he_normal"),
        nn.Dropout(dropout),
        nn.Dense(3 * width, activation="relu", init="he_normal"),
        nn.Dropout(dropout),
        nn.Dense(classes),
    )
