"""A small convolutional network for small images."""

from __future__ import annotations

from gradloom import nn


def SmallCNN(classes: int = 10, *, width: int = 32, dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions of 3 by 3 with max-pooling, then a dense layer of 4·width and the logits.

    (N, H, W, C) to (N, classes), from 4 by 4 on.  All activations are ReLU.

    Args:
        classes: number of logits.
        width: filters of the first convolution; the second has twice as many.
        dropout: the rate before the last layer.

    Returns:
        A network with 421,642 parameters for images of 28 by 28 with one channel, and 10 classes.
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
