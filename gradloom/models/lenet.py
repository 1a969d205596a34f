"""LeNet-5, the first convolutional network in wide use."""

from __future__ import annotations

from gradloom import nn, options


def LeNet5(classes: int = 10, *, activation: str = "tanh", pool: str = "avg") -> nn.Sequential:
    """LeNet-5 for images of 28 by 28: two convolutions with pooling, then three dense layers.

    (N, H, W, C) to (N, classes), from 12 by 12 on.

    Args:
        classes: number of logits.
        activation: name of the activation; "relu" trains faster than the paper's tanh.
        pool: "avg" as in the paper, or "max".

    Returns:
        A network with 61,706 parameters for one channel and 10 classes.  Of the paper it differs in that every filter
        of the second convolution sees all channels, pooling has no weights, and the last layer is an ordinary one.

    Raises:
        OptionError: there is no such pool.
        UnknownNameError: there is no such activation.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).
    """
    chosen = {"avg": nn.AvgPool, "max": nn.MaxPool}[options.choice("LeNet5", "pool", pool, ("avg", "max"))]
    return nn.Sequential(
        nn.Conv(6, (5, 5), padding=2, activation=activation),
        chosen(2),
        nn.Conv(16, 5, padding="valid", activation=activation),
        chosen(2),
        nn.Flatten(),
        nn.Dense(120, activation=activation),
        nn.Dense(84, activation=activation),
        nn.Dense(classes),
    )
