"""The order of an epoch, place by place: a permutation, as random as any, and the same wherever it is computed."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.executors.native.program import NativeProgram
from gradloom.train.shuffling import SORTED, factors, shuffled

LEAST_P = 1e-4


def orders(count: int, epochs: int) -> np.ndarray:
    """The orders of so many keys, shape (epochs, count)."""

    def each(keys: gl.Tensor) -> gl.Tensor:
        return gl.scan(lambda none, key: (none, shuffled(key, count, np.arange(count))), (), keys)[1]

    return gl.jit(each, "native")(gl.random.split(gl.random.key(0), epochs)).numpy()


@settings(max_examples=40)
@given(count=st.one_of(st.integers(1, 40), st.integers(1000, 40_000)), seed=st.integers(0, 2**32))
def test_an_order_has_every_number_once(count: int, seed: int):
    found = shuffled(gl.random.key(seed), count, np.arange(count)).numpy()
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(count))


@given(st.integers(SORTED + 1, 10**9))
def test_factors_are_near_the_root_and_little_is_left(count: int):
    a, b = factors(count)
    assert a * b % 2 == 0
    assert 0 <= a * b - count < count**0.5
    assert 16 <= a <= b <= 5 * a


@pytest.mark.parametrize("count", [3, 4, 5])
def test_all_orders_of_a_few_are_equally_likely(count: int):
    found = orders(count, 12_000)
    codes = found @ (count ** np.arange(count))
    possible = [int(np.dot(p, count ** np.arange(count))) for p in permutations(range(count))]
    counts = np.array([(codes == code).sum() for code in possible])
    assert counts.sum() == len(found)
    assert scipy.stats.chisquare(counts).pvalue > LEAST_P


def fits(counts: np.ndarray, freedom: int) -> bool:
    """Whether counts of equally likely things are neither too uneven nor too even, by the chi-square statistic."""
    expected = counts.mean()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return bool(LEAST_P < scipy.stats.chi2.cdf(statistic, freedom) < 1 - LEAST_P)


@pytest.mark.parametrize("count", [1025, 1261, 2048])
def test_every_number_is_equally_likely_at_every_place(count: int):
    """1025 lies below 27 · 38 and 1261 far below 24 · 53, so that numbers walk back; 2048 is a product."""
    found = orders(count, 8000)
    np.testing.assert_array_equal(np.sort(found[:100]), np.tile(np.arange(count), (100, 1)))
    chosen = found[:, ::8]
    table = np.array([np.bincount(place, minlength=count) for place in chosen.T])
    # Rows are sums of as many numbers as there are orders; columns are free but for what the other places hold.
    assert fits(table, len(table) * (count - 1))


@pytest.mark.parametrize("distance", [1, 35, 30, 512])
def test_pairs_of_places_hold_all_pairs_alike(distance: int):
    """Neighbours, and places in one row or one column of the rectangle (30 by 35) that the rounds work on."""
    count = 1050
    first, second = (orders(count, 4000)[:, start : start + 400] for start in (0, distance))
    gaps = np.bincount(((second - first) % count).ravel(), minlength=count)
    assert gaps[0] == 0
    assert fits(gaps[1:], count - 2)
    sums = np.bincount(((second + first) % count).ravel(), minlength=count)
    assert np.abs(sums / sums.mean() - 1).max() < 5 / sums.mean() ** 0.5
    blocks = np.bincount((first // 105 * 10 + second // 105).ravel(), minlength=100).reshape(10, 10)
    expected = first.size * (105 * 105 - 105 * np.eye(10)) / (count * (count - 1))
    assert scipy.stats.chi2.sf(((blocks - expected) ** 2 / expected).sum(), 99) > LEAST_P


def test_a_long_order_has_no_trend_and_is_unlike_the_next():
    found = orders(20_640, 20)
    places = np.arange(20_640)
    for order, following in pairwise(found):
        for other in (places, following):
            assert abs(np.corrcoef(order, other)[0, 1]) < 5 / 20_640**0.5
        assert (order == following).sum() < 12  # 1 is expected
        steps = np.diff(order) % 20_640  # neighbours in the order are no neighbours in the data
        assert scipy.stats.kstest(steps / 20_640, "uniform").pvalue > LEAST_P
    ascents = (np.diff(found) > 0).sum(1)  # of a random order: mean (n - 1) / 2, variance (n + 1) / 12
    assert np.abs((ascents - 20_639 / 2) / (20_641 / 12) ** 0.5).max() < 5


@pytest.mark.parametrize("count", [37, 999_983])
def test_any_executor_and_number_of_threads_give_the_same_order(count: int):
    key, places = gl.random.key(5), (np.arange(4096) * 4093 % count)
    program = NativeProgram(gl.trace(lambda k, p: shuffled(k, count, p), key, places))
    wanted = shuffled(key, count, places).numpy()
    for threads in (1, 2, 3, 8):
        program.threads, program.shared_from = threads, 1
        np.testing.assert_array_equal(program([key.numpy(), places])[0], wanted)
