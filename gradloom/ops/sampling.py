"""Random bits by counter: the same key gives the same bits in every executor and on any number of threads.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), Threefry-2x32 with
20 rounds.
"""

from __future__ import annotations

import math

import numpy as np

from gradloom.errors import ShapeError
from gradloom.ir.graph import Op
from gradloom.ir.tensortype import TensorType

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_BLOCK = 2**15
"""Counters that are encrypted together: their words stay in the nearer caches."""


def threefry2x32(
    key: tuple[np.ndarray, np.ndarray], counter: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Encrypt a counter of two 32-bit words under a key of two: two words of random bits."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
    high = np.empty_like(x1)
    for block in range(5):
        for places in _ROTATIONS[block % 2]:  # in place: new memory would take longer than the arithmetic
            x0 += x1
            np.left_shift(x1, np.uint32(places), out=high)
            x1 >>= np.uint32(32 - places)
            x1 |= high
            x1 ^= x0
        x0 += keys[(block + 1) % 3]
        x1 += keys[(block + 2) % 3] + np.uint32(block + 1)
    return x0, x1


def _bits_type(keys: TensorType, *, shape: tuple[int, ...]) -> TensorType:
    if keys.shape[-1:] != (2,) or keys.dtype.name != "uint32":
        raise ShapeError(
            "random_bits",
            rule="a random key is uint32[2]",
            got=str(keys),
            fix="Make one with gl.random.key(seed).",
        )
    return keys.with_shape((*keys.shape[:-1], *shape))


def _random_bits(keys: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Word i is the first (even i) or second (odd i) word of the encrypted counter (i // 2, 0)."""
    count = math.prod(shape)
    pairs = np.empty((*keys.shape[:-1], (count + 1) // 2, 2), np.uint32)
    with np.errstate(over="ignore"):  # 32-bit words wrap around
        for first in range(0, pairs.shape[-2], _BLOCK):
            block = pairs[..., first : first + _BLOCK, :]
            counter = np.arange(first, first + block.shape[-2], dtype=np.uint32)
            words = threefry2x32((keys[..., :1], keys[..., 1:]), (counter, np.zeros_like(counter)))
            block[..., 0], block[..., 1] = words
    words_of_keys = pairs.reshape((*keys.shape[:-1], 2 * pairs.shape[-2]))[..., :count]
    return words_of_keys.reshape((*keys.shape[:-1], *shape))


random_bits = Op(
    "random_bits",
    _bits_type,
    _random_bits,
    batch=lambda size, node, inputs, batched: random_bits(inputs[0], shape=node.attrs["shape"]),
)
"""Uniform 32-bit words in ``shape`` for every key of (..., 2), determined by the key alone."""
