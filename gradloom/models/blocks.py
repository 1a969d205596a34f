"""What residual networks of several kinds are made of."""

from __future__ import annotations

from collections.abc import Sequence

from gradloom import nn


def normed() -> list[nn.Module]:
    """Normalise and activate."""
    return [nn.BatchNorm(), nn.ReLU()]


def preactivated(
    convolutions: Sequence[nn.Module], shortcut: nn.Module | None, *, shared: bool, dropout: float = 0.0
) -> nn.Module:
    """A residual block that normalises and activates before each convolution, and adds without activating.

    Args:
        convolutions: of the block, one after the other.
        shortcut: the other way, None for the input itself.
        shared: whether both ways start from the normalised and activated input, rather than the body alone.
        dropout: the rate before the last convolution.

    Source: He, Zhang, Ren and Sun, "Identity mappings in deep residual networks" (2016).
    """
    body = list(convolutions[:1])
    for convolution in convolutions[1:]:
        body += normed()
        body += [nn.Dropout(dropout)] if dropout and convolution is convolutions[-1] else []
        body.append(convolution)
    if shared:
        return nn.Sequential(*normed(), nn.Residual(nn.Sequential(*body), shortcut))
    return nn.Residual(nn.Sequential(*normed(), *body), shortcut)
