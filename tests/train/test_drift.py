"""Detectors of drift against the sums that they stand for, and on errors that rise and do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom.errors import OptionError
from gradloom.train import Adwin, DriftDetector, PageHinkley


def alarms(detector: DriftDetector, errors: np.ndarray) -> list[int]:
    return [i for i, error in enumerate(errors) if detector.update(float(error))]


def flips(seed: int, *parts: tuple[int, float]) -> np.ndarray:
    """Mistakes (1) and hits (0), so many at each rate."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(count) < rate for count, rate in parts]).astype(float)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0, 1), st.floats(0.1, 20))
def test_page_hinkley_is_a_sum_above_its_least(errors: list[float], delta: float, threshold: float):
    x = np.array(errors)
    sums = np.cumsum(x - np.cumsum(x) / np.arange(1, len(x) + 1) - delta)
    above = sums - np.minimum.accumulate(np.minimum(sums, 0))
    wanted = np.flatnonzero(above > threshold + 1e-9)
    if np.any(np.abs(above - threshold) < 1e-9):
        return  # rounding decides
    found = alarms(PageHinkley(delta, threshold, least=1), x)
    assert found[:1] == wanted[:1].tolist()


def cut_of(window: list[float], delta: float, least: int) -> int | None:
    """ADWIN's first cut of a window, by its definition."""
    n = len(window)
    for k in range(least, n - least + 1):
        old, new = window[:k], window[k:]
        share, logarithm = 1 / len(old) + 1 / len(new), math.log(2 / (delta / math.log(n)))
        bound = math.sqrt(2 * share * float(np.var(window)) * logarithm) + 2 / 3 * share * logarithm
        if abs(float(np.mean(old)) - float(np.mean(new))) >= bound:
            return k
    return None


def test_adwin_with_a_bucket_for_each_error_is_its_definition():
    errors = flips(3, (60, 0.1), (60, 0.9), (80, 0.2))
    detector, window = Adwin(0.05, per_row=10_000), []
    told = wanted = 0
    for error in errors:
        window.append(error)
        has_risen = False
        while len(window) >= 10 and (k := cut_of(window, 0.05, 5)) is not None:
            has_risen |= np.mean(window[k:]) > np.mean(window[:k])
            window = window[k:]
        told, wanted = told + detector.update(float(error)), wanted + has_risen
        assert told == wanted
        assert detector.length == len(window)
        assert detector.mean == pytest.approx(np.mean(window), abs=1e-12)
    assert told


@pytest.mark.parametrize("kind", [PageHinkley, Adwin])
@pytest.mark.parametrize("seed", range(3))
def test_a_rise_is_told_soon_and_nothing_else_is(kind: type[DriftDetector], seed: int):
    assert not alarms(kind(), flips(seed, (3000, 0.2)))
    found = alarms(kind(), flips(seed, (2000, 0.1), (500, 0.6)))
    assert 2000 <= found[0] < 2150
    assert not alarms(kind(), flips(seed, (1000, 0.6), (1000, 0.1)))  # a fall is no drift to the worse


def test_a_long_window_takes_few_buckets():
    detector = Adwin()
    alarms(detector, flips(0, (5000, 0.3)))
    assert detector.length > 4000
    assert len(detector._buckets) <= 5 * math.log2(detector.length)
    assert detector.mean == pytest.approx(0.3, abs=0.03)


def test_refusals():
    for make in (lambda: PageHinkley(delta=-1), lambda: Adwin(delta=2), lambda: Adwin(per_row=1)):
        with pytest.raises(OptionError):
            make()
