"""Random numbers: the published vectors of Threefry, and the distributions."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import gradloom as gl
from gradloom.errors import DTypeError, OptionError, ShapeError
from gradloom.ops.sampling import threefry2x32

COUNT = 20_000
LEAST_P = 1e-3  # with fixed seeds a test either passes always or never


@pytest.mark.parametrize(
    ("key", "counter", "wanted"),
    [
        ("00000000 00000000", "00000000 00000000", "6b200159 99ba4efe"),
        ("ffffffff ffffffff", "ffffffff ffffffff", "1cb996fc bb002be7"),
        ("13198a2e 03707344", "243f6a88 85a308d3", "c4923a9c 483df7a0"),
    ],
)
def test_known_answers_of_random123(key: str, counter: str, wanted: str):
    """kat_vectors of Random123 1.14, threefry 2x32, 20 rounds."""
    k0, k1, c0, c1 = (np.array([int(word, 16)], np.uint32) for word in f"{key} {counter}".split())
    assert " ".join(f"{int(w[0]):08x}" for w in threefry2x32((k0, k1), (c0, c1))) == wanted


def test_the_stream_is_the_encrypted_counter():
    """Words 2i and 2i + 1 are the encryption of the counter (i, 0)."""
    key = np.array([0, 0], np.uint32)
    found = gl.random.bits(gl.tensor(key), (6,)).tolist()
    assert [f"{w:08x}" for w in found[:2]] == ["6b200159", "99ba4efe"]
    for i in range(3):
        counter = np.array([i], np.uint32), np.array([0], np.uint32)
        assert found[2 * i : 2 * i + 2] == [int(w[0]) for w in threefry2x32((key[0], key[1]), counter)]


def test_a_key_determines_the_numbers():
    key = gl.random.key(7)
    np.testing.assert_array_equal(gl.random.normal(key, (9,)).numpy(), gl.random.normal(key, (9,)).numpy())


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_executors_give_the_same_words_and_functions_of_them_to_rounding(executor: str):
    key = gl.random.key(7)
    draws = {name: getattr(gl.random, name) for name in ("bits", "uniform", "normal")}
    found = gl.jit(lambda k: {name: draw(k, (9,)) for name, draw in draws.items()}, executor=executor)(key)
    for name in ("bits", "uniform"):
        np.testing.assert_array_equal(found[name].numpy(), draws[name](key, (9,)).numpy())
    # The logarithm and the cosine of native code may differ from NumPy's in the last place.
    np.testing.assert_allclose(found["normal"].numpy(), gl.random.normal(key, (9,)).numpy(), rtol=1e-6)


def test_vmap_over_keys_is_a_loop():
    keys = gl.random.split(gl.random.key(0), 4)
    found = gl.vmap(lambda k: gl.random.uniform(k, (3,)))(keys).numpy()
    np.testing.assert_array_equal(found, [gl.random.uniform(k, (3,)).numpy() for k in keys])


def test_keys_of_neighbouring_seeds_are_unlike():
    keys = np.array([gl.random.key(seed).tolist() for seed in range(200)], np.uint32)
    assert len(np.unique(keys)) == keys.size
    flipped = np.bitwise_count(keys[1:] ^ keys[:-1]).mean() / 32
    assert 0.48 < flipped < 0.52


def test_all_ways_to_make_keys_give_different_ones():
    key = gl.random.key(3)
    made = [key, *gl.random.split(key, 50), *(gl.random.fold_in(key, i) for i in range(50)), gl.random.bits(key, (2,))]
    assert len({tuple(k.tolist()) for k in made}) == len(made)
    assert all(k.dtype == "uint32" for k in made)


def test_split_and_fold_in_of_traced_values():
    key = gl.random.key(0)
    found = gl.jit(gl.random.fold_in)(key, 5)
    assert found.tolist() == gl.random.fold_in(key, 5).tolist()
    assert gl.jit(lambda k: gl.random.split(k, 3))(key).tolist() == gl.random.split(key, 3).tolist()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_uniform(dtype: str):
    found = gl.random.uniform(gl.random.key(1), (COUNT,), dtype=dtype)
    assert found.dtype == dtype
    u = found.numpy().astype(float)
    assert (u >= 0).all()
    assert (u < 1).all()
    if dtype in ("float32", "float64"):  # the steps of the others are too coarse for a continuous test
        assert scipy.stats.kstest(u, "uniform").pvalue > LEAST_P
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 4 / np.sqrt(COUNT)


def test_float64_uses_53_bits():
    scaled = gl.random.uniform(gl.random.key(1), (1000,), dtype="float64").numpy() * 2.0**53
    np.testing.assert_array_equal(scaled, np.floor(scaled))
    assert (scaled % 2).mean() == pytest.approx(0.5, abs=0.06)  # the last bit is random as well


def test_uniform_stays_below_its_upper_bound_in_spite_of_rounding():
    u = gl.random.uniform(gl.random.key(0), (200_000,), 1000.0, 1000.001).numpy()
    assert u.min() >= np.float32(1000)
    assert u.max() < np.float32(1000.001)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype: str):
    z = gl.random.normal(gl.random.key(2), (COUNT,), dtype=dtype)
    assert z.dtype == dtype
    found = z.numpy().astype(float)
    assert scipy.stats.kstest(found, "norm").pvalue > LEAST_P
    moments = [found.mean(), found.var(), (found**3).mean(), (found**4).mean()]
    spread = np.sqrt(np.array([1, 2, 15, 96]) / COUNT)
    assert (np.abs(moments - np.array([0, 1, 0, 3])) < 4 * spread).all()


def test_bernoulli():
    chances = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    found = gl.random.bernoulli(gl.random.key(3), chances, (COUNT, 5))
    assert found.dtype == "bool"
    spread = np.sqrt(chances * (1 - chances) / COUNT)
    assert (np.abs(found.numpy().mean(0) - chances) <= 4 * spread).all()
    assert gl.random.bernoulli(gl.random.key(0), np.full((2, 3), 0.5)).shape == (2, 3)


def test_randint():
    found = gl.random.randint(gl.random.key(4), (COUNT,), -3, 4).numpy()
    assert found.dtype == np.int64
    counts = np.bincount(found + 3, minlength=7)
    assert counts.sum() == COUNT
    assert scipy.stats.chisquare(counts).pvalue > LEAST_P
    wide = gl.random.randint(gl.random.key(4), (1000,), 0, 2**31).numpy()
    assert wide.min() >= 0
    assert wide.max() > 2**30


def test_permutation():
    found = gl.random.permutation(gl.random.key(5), 1000).numpy()
    np.testing.assert_array_equal(np.sort(found), np.arange(1000))
    assert (found == np.arange(1000)).sum() < 10
    rows = np.arange(10).reshape(5, 2)
    shuffled = gl.random.permutation(gl.random.key(5), rows).numpy()
    np.testing.assert_array_equal(shuffled[np.argsort(shuffled[:, 0])], rows)
    # All 24 orders of four are equally likely.
    keys = gl.random.split(gl.random.key(6), 4800)
    orders = gl.vmap(lambda k: gl.random.permutation(k, 4))(keys).numpy() @ [64, 16, 4, 1]
    assert scipy.stats.chisquare(np.unique(orders, return_counts=True)[1]).pvalue > LEAST_P


def test_categorical():
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-30]]))
    found = gl.random.categorical(gl.random.key(7), np.broadcast_to(logits, (COUNT, 2, 3))).numpy()
    counts = np.array([np.bincount(column, minlength=3) for column in found.T])
    assert scipy.stats.chisquare(counts[0], COUNT * np.array([0.1, 0.2, 0.7])).pvalue > LEAST_P
    assert counts[1, 2] == 0
    assert scipy.stats.chisquare(counts[1, :2]).pvalue > LEAST_P


def test_gumbel():
    found = gl.random.gumbel(gl.random.key(8), (COUNT,), dtype="float64").numpy()
    assert scipy.stats.kstest(found, "gumbel_r").pvalue > LEAST_P


def test_shapes():
    key = gl.random.key(0)
    assert gl.random.uniform(key).shape == ()
    assert gl.random.uniform(key, 3).shape == (3,)
    assert gl.random.normal(key, (2, 0)).shape == (2, 0)
    assert gl.random.randint(key, 4, 0, 2).shape == (4,)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda k: gl.random.key(-1), OptionError, "random.key: the seed is a whole number from 0 to 2^64 - 1; got -1. Bring it into range, e.g. with int(seed) % 2**64."),
        (lambda k: gl.random.key(0.5), OptionError, "random.key: the seed is a whole number from 0 to 2^64 - 1; got 0.5. Bring it into range, e.g. with int(seed) % 2**64."),  # type: ignore[arg-type]
        (lambda k: gl.random.uniform(gl.tensor(5)), ShapeError, "random_bits: a random key is uint32[2]; got int64[]. Make one with gl.random.key(seed)."),
        (lambda k: gl.random.uniform(k, (2, -1)), ShapeError, "random.uniform: sizes are whole numbers from 0; got (2, -1)"),
        (lambda k: gl.random.uniform(k, (), 2.0, 1.0), OptionError, "random.uniform: low must not be above high; got 2.0 and 1.0"),
        (lambda k: gl.random.uniform(k, (), dtype="int64"), DTypeError, "random.uniform: the numbers are floats; got int64. Use random.randint."),
        (lambda k: gl.random.randint(k, (), 3, 3), OptionError, "random.randint: the range holds 1 to 2^31 numbers; got [3, 3)"),
    ],
)  # fmt: skip
def test_golden_messages(call, kind, message: str):
    with pytest.raises(kind) as caught:
        call(gl.random.key(0))
    assert str(caught.value) == message
