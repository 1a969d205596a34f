"""Random numbers under many keys, compiled: each key has its own stream, whichever loop runs over the keys."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl


@pytest.mark.parametrize("count", [1, 2, 3, 33])
@pytest.mark.parametrize("keys", [1, 5, 40])
def test_numbers_under_many_keys(keys: int, count: int):
    many = gl.random.split(gl.random.key(1), keys)
    found = gl.jit(lambda k: gl.random.uniform(k, (count,)), "native")(many).numpy()
    one_by_one = [gl.random.uniform(key, (count,)).numpy() for key in many.numpy()]
    np.testing.assert_array_equal(found, np.stack(one_by_one))


def test_keys_made_of_keys():
    def f(keys: gl.Tensor) -> list[gl.Tensor]:
        return [gl.random.uniform(gl.random.fold_in(keys, i), (1,)) for i in range(3)]

    keys = gl.random.split(gl.random.key(2), 9)
    for fast, plain in zip(gl.jit(f, "native")(keys), f(keys)):
        np.testing.assert_array_equal(fast.numpy(), plain.numpy())
