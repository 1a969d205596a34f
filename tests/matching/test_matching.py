"""Every row of docs/matching.md: gradloom gives the numbers that the other library gave."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from benchmarks import matching
from benchmarks.matching import ARRAYS, IMAGE, Row
from gradloom import data, nn, optim
from gradloom.nn import init, losses, metrics
from gradloom.optim import schedules

ROWS = matching.rows()
VECTORS: dict[str, list[float]] = json.loads(matching.VECTORS.read_text(encoding="utf-8"))
NAMES = {
    "gl": gl,
    "nn": nn,
    "optim": optim,
    "data": data,
    "init": init,
    "losses": losses,
    "metrics": metrics,
    "schedules": schedules,
    **ARRAYS,
}


def optimisers(row: Row, optimizer: optim.FirstOrder) -> list[np.ndarray]:
    if row.library == "scikit-learn":
        return network(optimizer, VECTORS[row.key])
    w = gl.tensor(matching.START)
    state, found = optimizer.init(w), []
    for _ in range(matching.STEPS):
        w, state, _ = optimizer.step(lambda w: (gl.sum(matching.SCALES * w * w + gl.cos(w)), None), w, state)
        found.append(w.numpy())
    return found


def network(optimizer: optim.FirstOrder, before: list[float]) -> list[np.ndarray]:
    """The network that scikit-learn's begins as, and as it is after some steps."""
    sizes = {"in": (3, 4), "out": (4, 1), "in_bias": (4,), "out_bias": (1,)}
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in sizes.values()])
    parts = np.split(np.array(before)[: ends[-1]], ends[:-1])
    start = dict(zip(sizes, (gl.tensor(part.reshape(shape)) for part, shape in zip(parts, sizes.values()))))

    def loss(p: dict[str, gl.Tensor]) -> tuple[gl.Tensor, None]:
        hidden = gl.tanh(matching.ROWS_X @ p["in"] + p["in_bias"])
        return losses.SquaredError("half")((hidden @ p["out"] + p["out_bias"])[:, 0], matching.ROWS_Y), None

    w, state = start, optimizer.init(start)
    for _ in range(matching.NETWORK_STEPS):
        w, state, _ = optimizer.step(loss, w, state)
    return [tensors[name].numpy().reshape(-1) for tensors in (start, w) for name in sizes]


def schedules_of(row: Row, schedule: optim.Schedule) -> list[np.ndarray]:
    return [schedule(np.arange(matching.STEPS)).numpy()]


def activations(row: Row, layer: nn.Module) -> list[np.ndarray]:
    x = gl.tensor(matching.POINTS)
    return [layer(x).numpy(), gl.grad(lambda x: gl.sum(layer(x)))(x).numpy()]


def layers(row: Row, layer: nn.Module) -> list[np.ndarray]:
    layer.initialize(IMAGE)
    roles = {"weight": "weight", "bias": "bias", "shift": "bias", "scale": "scale"}
    filled = {name: gl.tensor(matching.filled(roles[name], p.shape)) for name, p in layer.parameters().items()}
    state = {name: s.astype("float64") for name, s in layer.state().items()}
    x = gl.tensor(IMAGE)
    trained, state = nn.apply(layer, filled, state, x, training=True)
    return [trained.numpy(), nn.apply(layer, filled, state, x)[0].numpy()]


def dropout(row: Row, layer: nn.Module) -> list[np.ndarray]:
    x = gl.ones(matching.ONES)
    key = gl.random.key(0)
    return [nn.apply(layer, {}, {}, x, training=flag, key=key)[0].numpy().max() for flag in (True, False)]


def initialisers(row: Row, initializer: init.Initializer) -> list[np.ndarray]:
    x = initializer(gl.random.key(0), matching.DRAWN).numpy().astype(np.float64)
    return [x.std(), ((x - x.mean()) ** 4).mean() / x.var() ** 2]


def functions(row: Row, value: Any) -> list[np.ndarray]:
    return [value.numpy() if isinstance(value, gl.Tensor) else value]


KINDS = {
    "Optimisers": optimisers,
    "Schedules": schedules_of,
    "Activations": activations,
    "Layers": layers,
    "Dropout": dropout,
    "Initialisers": initialisers,
    "Functions": functions,
}


SINGLE_IN_KERAS = ("Schedules", "Functions", "Layers")
"""Where Keras computes in float32 in part, though float64 is asked for."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_row(row: Row) -> None:
    assert row.key in VECTORS, "a row without numbers: run make matching"
    expected = np.array(VECTORS[row.key])
    found = np.concatenate([np.ravel(part) for part in KINDS[row.table](row, eval(row.ours, dict(NAMES)))])
    assert found.shape == expected.shape
    if row.table == "Initialisers":
        # Two samples of n: deviations have the relative error √((kurtosis - 1)/4n), kurtoses at most about √(24/n).
        n = np.prod(matching.DRAWN)
        assert found[0] == pytest.approx(expected[0], rel=5 * np.sqrt(2 * expected[1] / (4 * n)))
        assert found[1] == pytest.approx(expected[1], abs=5 * np.sqrt(2 * 24 / n))
    else:
        is_single = row.table == "Dropout" or (row.library == "Keras" and row.table in SINGLE_IN_KERAS)
        rtol, atol = (1e-6, 1e-6) if is_single else (1e-9, 1e-11)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def test_no_numbers_are_left_of_rows_that_are_gone() -> None:
    assert list(VECTORS) == [row.key for row in ROWS]


def test_a_row_is_found_wherever_a_table_has_one() -> None:
    page = matching.PAGE.read_text(encoding="utf-8")
    headings = ("| PyTorch |", "| Keras |", "| Optax |", "| JAX |", "| JAX and Optax |", "| scikit-learn |", "|---")
    lines = [line for line in page.splitlines() if line.startswith("|") and not line.startswith(headings)]
    assert len(lines) == len(ROWS)


def test_an_option_that_differs_is_noticed() -> None:
    row = next(row for row in ROWS if row.theirs == "torch.optim.Adam(p, lr=0.05)")
    with pytest.raises(AssertionError):
        test_row(Row(row.library, row.table, row.theirs, 'optim.Adam(0.05, eps_mode="inside")'))
