"""How the forms of momentum relate."""

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom import optim
from gradloom.errors import OptionError
from gradloom.optim import SGD, FirstOrder, schedules
from gradloom.optim.optimizers import MomentumForm, Nesterov

FORMS: tuple[MomentumForm, MomentumForm] = ("outside", "inside")


def loss(w: gl.Tensor) -> gl.Tensor:
    return gl.sum(gl.cos(w) + w * w * np.array([0.5, 2.0]))


def path(optimizer: FirstOrder, steps: int = 12, penalty: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Where the parameters were before each step, and where the gradient was taken."""

    def penalised(w: gl.Tensor) -> gl.Tensor:
        return loss(w) + gl.sum(w * w) * (penalty / 2)

    w = gl.tensor([1.0, -2.0], "float64")
    state = optimizer.init(w)
    places, probes = [], []
    for _ in range(steps):
        ahead = optimizer.lookahead(w, state)
        places.append(w.numpy())
        probes.append(ahead.numpy())
        w, state = optimizer.update(gl.grad(penalised)(ahead), state, w)
    return np.array(places), np.array(probes)


def test_inside_and_outside_differ_only_where_the_rate_changes() -> None:
    outside, inside = (path(SGD(0.05, 0.9, momentum_form=form))[0] for form in FORMS)
    np.testing.assert_allclose(inside, outside, rtol=1e-12)
    annealed = schedules.Linear(0.05, 0.01, 5)
    outside, inside = (path(SGD(annealed, 0.9, momentum_form=form))[0] for form in FORMS)
    np.testing.assert_allclose(inside[:2], outside[:2], rtol=1e-12)
    assert np.abs(inside[2:] - outside[2:]).min() > 1e-4


@pytest.mark.parametrize("form", ["outside", "inside", "ewma"])
def test_reparametrised_nesterov_keeps_the_lookahead_points(form: MomentumForm) -> None:
    _, probes = path(SGD(0.05, 0.9, nesterov=True, momentum_form=form))
    places, same = path(SGD(0.05, 0.9, nesterov="reparametrised", momentum_form=form))
    np.testing.assert_allclose(places, probes, rtol=1e-11)
    np.testing.assert_array_equal(same, places)


@pytest.mark.parametrize("nesterov", [False, True, "reparametrised"])
@pytest.mark.parametrize("form", ["outside", "inside", "ewma"])
def test_weight_decay_is_the_penalty(form: MomentumForm, nesterov: Nesterov) -> None:
    decayed, _ = path(SGD(0.05, 0.9, nesterov, momentum_form=form, weight_decay=0.3))
    penalised, _ = path(SGD(0.05, 0.9, nesterov, momentum_form=form), penalty=0.3)
    np.testing.assert_allclose(decayed, penalised, rtol=1e-11)


@pytest.mark.parametrize("form", ["inside", "outside"])
def test_where_the_rate_changes_only_inside_is_reparametrised_exactly(form: MomentumForm) -> None:
    annealed = schedules.Linear(0.05, 0.01, 5)
    _, probes = path(SGD(annealed, 0.9, nesterov=True, momentum_form=form))
    places, _ = path(SGD(annealed, 0.9, nesterov="reparametrised", momentum_form=form))
    assert np.allclose(places, probes, rtol=1e-11) == (form == "inside")


def test_only_nesterov_looks_ahead() -> None:
    for optimizer in (SGD(0.1, 0.9), optim.Adam(0.1)):
        places, probes = path(optimizer)
        np.testing.assert_array_equal(probes, places)
    places, probes = path(SGD(0.1, 0.9, nesterov=True, weight_decay=0.1))
    np.testing.assert_array_equal(probes[0], places[0])  # there is no velocity yet, and decay is no part of it
    assert np.abs(probes[1] - places[1]).min() > 1e-3


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"nesterov": True}, "nesterov needs momentum"),
        ({"nesterov": "reparametrised"}, "nesterov needs momentum"),
        ({"momentum_form": "ewma"}, "momentum_form needs momentum"),
        ({"start": "gradient"}, "start needs momentum"),
        ({"momentum": 0.9, "start": "gradient"}, "only the average can start at the first gradient"),
        ({"momentum": 0.9, "nesterov": 1}, "nesterov is one of"),
    ],
)
def test_contradictions_are_refused(options: dict[str, object], rule: str) -> None:
    with pytest.raises(OptionError, match=rule):
        SGD(0.1, **options)  # type: ignore[arg-type]
