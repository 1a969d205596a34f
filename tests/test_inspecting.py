"""gl.explain and gl.profile: what they say of kernels can be counted by hand, and the share is that of a roofline."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.errors import OptionError
from gradloom.executors.native import peak
from gradloom.executors.native.cost import Cost, cost
from gradloom.executors.native.profile import KernelTime, Profile
from gradloom.executors.native.program import NativeProgram


def costs(f, *args) -> list[Cost]:
    return [cost(k) for k in NativeProgram(gl.trace(f, *args)).plan.every_kernel()]


def test_a_matrix_product_moves_its_three_matrices_and_does_two_operations_a_term():
    (found,) = costs(lambda x, w: x @ w, gl.zeros((32, 20)), gl.zeros((20, 64)))
    assert found == Cost(read=4 * (32 * 20 + 20 * 64), written=4 * 32 * 64, operations=2 * 32 * 20 * 64)


def test_what_is_broadcast_is_read_once():
    (found,) = costs(lambda x, b: x * b + 1.0, gl.zeros((100, 30)), gl.zeros(30))
    assert found == Cost(read=4 * (100 * 30 + 30), written=4 * 100 * 30, operations=2 * 100 * 30)


def test_a_batch_gathered_from_a_large_table_costs_the_batch():
    (found,) = costs(lambda table, rows: gl.take(table, rows, axis=0) * 2.0, gl.zeros((10_000, 8)), gl.arange(5))
    assert 4 * 5 * 8 + 8 * 5 <= found.read < 1000  # the rows, and their numbers
    assert found.written == 4 * 5 * 8


def test_a_slice_costs_what_it_takes():
    (found,) = costs(lambda x: x[10:20] + 1.0, gl.zeros((1000, 3)))
    assert found == Cost(read=4 * 30, written=4 * 30, operations=30)


def test_what_joined_kernels_hand_each_other_is_not_moved():
    softmax = NativeProgram(gl.trace(gl.softmax, gl.zeros((128, 50))))
    (kernel,) = softmax.plan.every_kernel()
    assert kernel.members
    assert cost(kernel).read == cost(kernel).written == 4 * 128 * 50


def test_the_stages_are_told_and_kernels_are_numbered():
    def f(x, w, b):
        return gl.relu(x @ w + b) + (x * 1.0 + 0.0) @ w

    text = gl.explain(f, gl.zeros((32, 20)), gl.zeros((20, 64)), gl.zeros(64))
    before, after = map(int, re.search(r"simplify +(\d+) operations become (\d+)", text).groups())
    assert before > after
    assert all(stage in text for stage in ("layout", "fuse", "memory     an arena of", "program"))
    assert "#1 contract" in text
    assert "in its loop: " in text
    assert "81,920 operations" in text or "tiles of" in text


def test_totals_count_every_turn_of_a_loop():
    def f(x):
        return gl.scan(lambda c, _: (c * 2.0 + 1.0, None), x, None, length=7)[0]

    text = gl.explain(f, gl.zeros(100))
    assert "scan of 7 turns" in text
    assert f"{7 * 200:,} operations" in text


def test_a_graph_and_a_compiled_function_are_explained_like_the_function():
    def f(x):
        return gl.sum(x * x)

    x = gl.ones(50)
    assert gl.explain(f, x) == gl.explain(gl.trace(f, x)) == gl.explain(gl.jit(f), x)


def test_kernels_of_a_loop_are_called_in_each_turn():
    def f(x):
        return gl.scan(lambda c, _: (gl.tanh(c), None), x, None, length=9)[0]

    found = gl.profile(f, gl.ones(64), runs=3)
    assert max(k.calls for k in found.kernels) == 9
    assert found.runs == 3


def test_turns_that_are_not_taken_are_not_counted():
    def f(x, turns):
        return gl.scan(lambda c, _: (gl.tanh(c), None), x, None, length=9, turns=turns)[0]

    assert max(k.calls for k in gl.profile(f, gl.ones(64), 4, runs=3).kernels) == 4


def test_the_side_of_a_branch_that_is_not_taken_has_no_time():
    def f(p, x):
        return gl.cond(p, lambda x: gl.sin(x) @ x, lambda x: gl.exp(x) @ x, x)

    found = gl.profile(f, True, gl.ones((64, 64)), runs=3)
    assert {k.calls for k in found.kernels} >= {0, 1}
    assert all(k.seconds == 0 for k in found.kernels if not k.calls)
    assert str(found)


def test_the_share_of_the_peak_is_the_longer_of_two_floors_over_the_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(peak, "peak_flops", lambda threads, dtype: {"float32": 4e9, "float64": 2e9}[dtype])
    monkeypatch.setattr(peak, "bandwidth_for", lambda size, threads: 1e9)
    x, w, b = np.ones((64, 64), np.float32), np.ones((64, 64), np.float32), np.ones(1000, np.float64)
    product, scaled = (
        gl.profile(*call, runs=3).kernels[-1] for call in ((lambda x, w: x @ w, x, w), (lambda b: b * 2.0, b))
    )
    assert (product.bound, scaled.bound) == ("arithmetic", "memory")
    assert product.floor == pytest.approx(2 * 64**3 / 4e9)
    assert scaled.floor == pytest.approx(2 * 8 * 1000 / 1e9)
    assert product.share_of_peak == product.floor / product.seconds


def test_the_table_ranks_kernels_by_time_and_adds_up_to_the_call():
    kernels = [KernelTime(f"kernel{i}", i, 1, i * 1e-6, 1000, 1000, 5e-7, "memory") for i in range(1, 31)]
    table = str(Profile(tuple(kernels), 500e-6, 2, 7)).splitlines()
    assert table[0] == "500.0 us a call, the median of 7, on 2 threads; 3% of the measured peak"
    assert [re.search(r"kernel\d+", line).group() for line in table[2:4]] == ["kernel30", "kernel29"]
    microseconds = [float(line.split()[0]) for line in table[2:]]
    assert sum(microseconds) == pytest.approx(500.0)
    assert "the other 5 kernels" in table[-2]


def test_kernels_take_no_longer_than_the_call():
    x = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    found = gl.profile(lambda x: gl.softmax(x @ x), x)
    assert 0 < sum(k.seconds for k in found.kernels) <= found.seconds * 1.2
    assert [k.number for k in found.kernels] == list(range(1, len(found.kernels) + 1))


def test_a_graph_is_profiled_on_its_inputs_alone():
    graph = gl.trace(lambda x: x + 1.0, gl.ones(3))
    with pytest.raises(OptionError, match=r"got float32\[4\]\. Pass float32\[3\]"):
        gl.profile(graph, gl.ones(4))


def test_the_clock_has_one_rate():
    first, second = (peak.clock_rate.__wrapped__() for _ in range(2))
    assert first == pytest.approx(second, rel=0.05)


@pytest.fixture(scope="module")
def run() -> tuple[train.Trainer, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(64, 5)).astype(np.float32), rng.integers(0, 3, 64)
    model = nn.Sequential(nn.Dense(8, activation="relu"), nn.Dense(3))
    return train.Trainer(model, optimizer=optim.SGD(0.1)), data


def test_training_is_explained_before_it_begins(run):
    trainer, data = run
    text = trainer.explain(data, batch_size=16)
    assert "scan of 4 turns" in text
    assert "layers.0" in text
    assert trainer.step == 0


def test_training_is_profiled_without_changing_the_weights(run):
    trainer, data = run
    trainer.fit(data, epochs=1, batch_size=16, progress="silent")
    before = [p.numpy().copy() for p in gl_leaves(trainer.model.parameters())]
    found = trainer.profile(data, batch_size=16, runs=3)
    assert max(k.calls for k in found.kernels) == 4
    for old, new in zip(before, gl_leaves(trainer.model.parameters()), strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_the_graph_of_a_step_has_forward_backward_and_update(run):
    trainer, data = run
    scopes = {n.scope for n in trainer.graph(data, batch_size=16).nodes}
    assert {"Sequential/layers.0", "Sequential/layers.1/backward", "loss", "update"} <= scopes


def gl_leaves(nested: dict) -> list[gl.Tensor]:
    return [leaf for v in nested.values() for leaf in (gl_leaves(v) if isinstance(v, dict) else [v])]
