"""Random numbers by counter: a key determines them, whatever the executor and the number of threads.

A key is a uint32[2] tensor.  A function given the same key gives the same numbers, so use every key once:
:func:`split` makes fresh ones, :func:`fold_in` one for a number such as a step or a layer.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): Threefry-2x32, 20 rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradloom import functional as fn
from gradloom.errors import DTypeError, OptionError
from gradloom.ir.graph import constant
from gradloom.ir.tensortype import DEFAULT_FLOAT, as_dtype, finfo, is_bfloat16, is_float
from gradloom.ops import elementwise, sampling
from gradloom.semantics import normal_shape
from gradloom.tensor import Tensor, tensor

Shape = int | Sequence[int]

# What a key is used for is mixed into it, so that draws, splits and folds of one key have nothing in common.
_SPLIT, _FOLD = 0x9E3779B9, 0x85EBCA6B


def key(seed: int) -> Tensor:
    """The key of a seed, a whole number from 0 to 2^64 - 1.

    Raises:
        OptionError: the seed lies outside.
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise OptionError(
            "random.key",
            rule="the seed is a whole number from 0 to 2^64 - 1",
            got=repr(seed),
            fix="Bring it into range, e.g. with int(seed) % 2**64.",
        )
    words = np.array([int(seed) >> 32, int(seed) & 0xFFFFFFFF], np.uint32)
    # Encrypting the seed once makes keys of neighbouring seeds unlike each other.
    return bits(Tensor(constant(words)), (2,))


def bits(key: Tensor, shape: Shape = ()) -> Tensor:
    """Uniform random 32-bit words."""
    return Tensor(sampling.random_bits(_checked(key).node, shape=normal_shape("random", shape)))


def _checked(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else tensor(value)


def split(key: Tensor, num: int = 2) -> Tensor:
    """``num`` fresh keys, shape (num, 2)."""
    mark = tensor(np.array([_SPLIT, 0], np.uint32))
    return bits(_checked(key) ^ mark, (num, 2))


def fold_in(key: Tensor, number: Any) -> Tensor:
    """The key for a whole number (a step, a layer, an example), which may be a traced tensor."""
    word = fn.cast(number, "uint32").reshape(1)
    mark = fn.concatenate([tensor(np.array([_FOLD], np.uint32)), word])
    return bits(_checked(key) ^ mark, (2,))


def uniform(key: Tensor, shape: Shape = (), low: float = 0.0, high: float = 1.0, dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Numbers uniform in [low, high): multiples of 2^-8 (bfloat16), 2^-11 (float16), 2^-24 (float32)
    or 2^-53 of the width.

    Raises:
        OptionError: ``low`` is above ``high``.
        DTypeError: the numbers are not to be floats.
    """
    wanted = as_dtype(dtype, "random.uniform")
    if not is_float(wanted):
        raise DTypeError("random.uniform", rule="the numbers are floats", got=wanted.name, fix="Use random.randint.")
    if low > high:
        raise OptionError("random.uniform", rule="low must not be above high", got=f"{low} and {high}")
    unit = _unit(key, normal_shape("random.uniform", shape), wanted)
    if (low, high) == (0.0, 1.0):
        return unit
    below = float(np.nextafter(wanted.type(high), wanted.type(low)))  # rounding may reach ``high``
    return fn.minimum(unit * (high - low) + low, below)


def _unit(key: Tensor, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    """Numbers uniform in [0, 1) with as many random bits as the type's significand has."""
    if dtype.name == "float64":
        words = bits(key, (2, *shape))
        high_part = fn.cast(_top(words[0], 27), dtype) * 2.0**26
        return (high_part + fn.cast(_top(words[1], 26), dtype)) * 2.0**-53
    count = {"bfloat16": 8, "float16": 11, "float32": 24}[dtype.name]
    return fn.cast(fn.cast(_top(bits(key, shape), count), "float32") * 2.0**-count, dtype)


def _top(words: Tensor, count: int) -> Tensor:
    """The upper ``count`` bits of each word."""
    return Tensor(elementwise.shift_right(words.node, fn.full(words.shape, 32 - count, "uint32").node))


def normal(key: Tensor, shape: Shape = (), dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Standard normal numbers.

    z = √(-2 log u) cos 2πv for uniform u in (0, 1] and v (Box and Muller, 1958).  Numbers in bfloat16 are those of
    float32, rounded.
    """
    if is_bfloat16(as_dtype(dtype, "random.normal")):
        return fn.cast(normal(key, shape), dtype)
    pair = uniform(key, (2, *normal_shape("random.normal", shape)), dtype=dtype)
    return fn.sqrt(fn.log(1 - pair[0]) * -2.0) * fn.cos(pair[1] * (2 * math.pi))


def bernoulli(key: Tensor, p: Any = 0.5, shape: Shape | None = None) -> Tensor:
    """True with probability ``p`` (a number or a tensor, of whose shape the result is by default)."""
    chance = tensor(p)
    return uniform(key, chance.shape if shape is None else shape) < chance


def randint(key: Tensor, shape: Shape, low: int, high: int) -> Tensor:
    """Whole numbers uniform in [low, high), at most 2^31 of them; the bias is below 2^-32 of a number's chance each.

    Raises:
        OptionError: the range is empty or too wide.
    """
    if not 0 < high - low <= 2**31:
        raise OptionError("random.randint", rule="the range holds 1 to 2^31 numbers", got=f"[{low}, {high})")
    words = fn.cast(bits(key, shape), "int64")
    scaled = elementwise.shift_right((words * (high - low)).node, fn.full(words.shape, 32, "int64").node)
    return Tensor(scaled) + low


def permutation(key: Tensor, x: Any) -> Tensor:
    """The numbers 0 to x - 1, or the slices of a tensor along its first axis, in random order."""
    count = x if isinstance(x, (int, np.integer)) else tensor(x).shape[0]
    order = fn.argsort(bits(key, (int(count),)))
    return order if isinstance(x, (int, np.integer)) else fn.take(x, order)


def gumbel(key: Tensor, shape: Shape = (), dtype: Any = DEFAULT_FLOAT) -> Tensor:
    """Standard Gumbel numbers, -log(-log u).  Numbers in bfloat16 are those of float32, rounded."""
    if is_bfloat16(as_dtype(dtype, "random.gumbel")):
        return fn.cast(gumbel(key, shape), dtype)
    return -fn.log(-fn.log(1 - uniform(key, shape, dtype=dtype)) + float(finfo(dtype).tiny))


def categorical(key: Tensor, logits: Any, axis: int = -1) -> Tensor:
    """Positions along an axis with probabilities softmax(logits), by the Gumbel-max rule."""
    scores = tensor(logits)
    return fn.argmax(scores + gumbel(key, scores.shape), axis)
