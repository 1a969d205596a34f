"""A small convolutional network for small images."""

from __future__ import annotations

from gradloom import nn


def SmallCNN(classes: int = 10, *, width: int = 32, dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions of 3 by 3 with max-pooling, then a dense layer of 4·width and the logits.

    Args:
        classes: number of logits.
        width: filters of the first convolution; the second has twice as many.
        dropout: the rate before the last layer.
    """
    return nn.Sequential(
        nn.Conv(width, (3, 3), activation="relu"),
        nn.MaxPool(2),
        nn.Conv(2 * width, 3, activation="relu"),
        nn.MaxPool(2),
        nn.Flatten(),
        nn.Dense(4 * width, activation="relu", init="he_normal"),
        nn.Dropout(dropout),
        nn.Dense(classes),
    )
