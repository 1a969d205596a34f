"""JAX's networks for images: ``lax.conv_general_dilated`` with channels last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks import networks

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def forward(layers: networks.Layers, given: Iterator[list[Any]], x: Any) -> Any:
    """What a network makes of images; layers that learn take their parameters one after the other."""
    for layer in layers:
        x = _layer(layer, given, x)
    return x


def _layer(layer: networks.Layer, given: Iterator[list[Any]], x: Any) -> Any:
    match layer:
        case networks.Conv():
            kernel, *bias = next(given)
            sides = [(layer.padding, layer.padding)] * 2
            y = lax.conv_general_dilated(x, kernel, (layer.stride,) * 2, sides, dimension_numbers=_LAYOUT)
            return y + bias[0] if bias else y
        case networks.Up(_, size):
            kernel, bias = next(given)
            turned = {"transpose_kernel": True, "dimension_numbers": _LAYOUT}
            return lax.conv_transpose(x, kernel, (size, size), "VALID", **turned) + bias
        case networks.Dense():
            weight, bias = next(given)
            return x @ weight + bias
        case networks.Norm():
            scale, shift = next(given)
            mean, variance = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
            return (x - mean) * (lax.rsqrt(variance + 1e-5) * scale) + shift
        case networks.Act(name):
            return jax.nn.relu(x) if name == "relu" else jnp.tanh(x)
        case networks.Pool(kind):
            square = ((1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            return (
                lax.reduce_window(x, -jnp.inf, lax.max, *square)
                if kind == "max"
                else (lax.reduce_window(x, 0.0, lax.add, *square) / 4)
            )
        case networks.Pad(channels):
            return jnp.pad(x[:, ::2, ::2], ((0, 0),) * 3 + ((0, channels - x.shape[-1]),))
        case networks.Residual(body, shortcut):
            y = forward(body, given, x)
            return y + forward(shortcut, given, x)
        case networks.Join(body):
            return jnp.concatenate([x, forward(body, given, x)], -1)
    return x.reshape(len(x), -1) if isinstance(layer, networks.Flatten) else jnp.mean(x, (1, 2))
