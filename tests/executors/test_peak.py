"""What the peaks are measured with does the work that it is counted for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradloom.executors.native import peak
from gradloom.executors.native.compile import Code
from gradloom.executors.native.target import host


def result(code: Code, array: np.ndarray, dtype: str) -> np.ndarray:
    """What a call writes."""
    found = np.zeros(64 // np.dtype(dtype).itemsize, dtype)
    code.function(peak._NAME, 2)(array.ctypes.data, found.ctypes.data)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_chain_of_multiply_adds_runs_to_its_fixed_point(dtype: str):
    target, itemsize = host(), np.dtype(dtype).itemsize
    code, operations = peak._compiled(peak._multiply_adds, target, itemsize)
    lanes = target.lanes(itemsize)
    chains = operations // (2 * lanes * peak._ROUNDS)
    sums = result(code, np.zeros(0), dtype)
    np.testing.assert_array_equal(sums[:lanes], 2.0 * chains)  # x = x / 2 + 1 where x is 2


def test_every_product_of_pairs_adds_its_part():
    code, operations = peak._compiled(peak._dots, host(), 2)
    chains = operations // (4 * host().lanes(4) * peak._ROUNDS)
    sums = result(code, np.zeros(0), "float32")
    np.testing.assert_array_equal(sums[: host().lanes(4)], sum(range(chains)) + chains * peak._ROUNDS / 16)


def test_every_byte_that_counts_is_read():
    code, read = peak._compiled(peak._reads, host(), 100_000)
    rounds = peak._READ_BYTES // 100_000
    values = np.arange(read // rounds // 4, dtype=np.float32) % 16  # sums of so few such numbers are exact
    assert 0 <= 100_000 - values.nbytes < peak._READ_VECTORS * host().vector_bytes
    assert result(code, values, "float32").sum() == rounds * values.sum(dtype=np.float64)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_peaks_are_rates_and_measured_once(threads: int):
    for measured in (peak.peak_flops, peak.peak_bandwidth):
        rate = measured(threads)
        assert 0 < rate < math.inf
        assert measured(threads) == rate


def test_pairs_have_a_peak_of_their_own():
    assert 0 < peak.peak_flops(1, "bfloat16") < math.inf
