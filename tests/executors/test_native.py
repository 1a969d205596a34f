"""The native executor beyond single primitives: whole training runs, threads, lesser processors, faults."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradloom as gl
from gradloom import executors, nn, optim, tree
from gradloom.errors import IndexRangeError
from gradloom.executors.native.module import write_module
from gradloom.executors.native.plan import make_plan
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import host
from gradloom.ir.graph import Graph
from gradloom.ir.interpret import evaluate
from gradloom.train.step import Recipe


def arrays_of(*args: object) -> list[np.ndarray]:
    return [leaf.numpy() for leaf in tree.leaves(args)]


def training_run(
    steps: int = 7, batch: int = 16, optimizer: optim.Optimizer | None = None
) -> tuple[Graph, list[np.ndarray]]:
    """A run of training steps with dropout and batch normalisation as one graph, and its inputs."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Dense(24, activation="relu"), nn.BatchNorm(), nn.Dropout(0.3), nn.Dense(40, activation="tanh"), nn.Dense(5)
    )
    x, y = rng.normal(size=(100, 13)).astype(np.float32), rng.integers(0, 5, 100)
    model.initialize(x[:2])
    chosen = optimizer or optim.Adam(1e-2, clip_norm=1.0)
    recipe = Recipe(model, nn.losses.CrossEntropy(), chosen, [nn.metrics.get("accuracy")])
    parameters = model.parameters()
    carry = {
        "parameters": parameters,
        "state": model.state(),
        "optimizer": chosen.init(parameters),
        "step": gl.tensor(0),
    }
    hyper = {name: gl.tensor(v, "float64") for name, v in recipe.hyperparameters(0.0, 1e-3).items()}

    def run(carry, x, y, rows, key, hyper):
        weights = gl.ones(batch)
        return gl.scan(lambda c, i: recipe.train(c, (gl.take(x, i), gl.take(y, i), weights), key, hyper), carry, rows)

    rows = gl.tensor(rng.integers(0, 100, (steps, batch)))
    args = (carry, gl.tensor(x), gl.tensor(y), rows, gl.random.key(3), hyper)
    return gl.trace(run, *args), arrays_of(*args)


@pytest.mark.parametrize(
    "optimizer",
    [optim.Adam(1e-2, clip_norm=1.0), optim.SGD(0.1, momentum=0.9, nesterov=True), optim.AdaDelta()],
    ids=repr,
)
def test_a_training_run_is_one_program_with_the_reference_results(optimizer: optim.Optimizer):
    graph, arrays = training_run(optimizer=optimizer)
    for got, wanted in zip(NativeProgram(graph)(arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    graph, arrays = training_run(steps=3)
    program = NativeProgram(graph)
    runs = []
    for threads in (1, 2, 3, 8):
        program.threads, program.shared_from = threads, 1
        runs.append(program(arrays))
    for other in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0], other))


def test_a_program_may_be_called_from_several_threads_at_once():
    graph, arrays = training_run(steps=3)
    program = NativeProgram(graph)
    wanted = program(arrays)
    start = threading.Barrier(4)

    def call() -> list[np.ndarray]:
        start.wait()
        return program(arrays)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(call) for _ in range(4)]:
            assert all(np.array_equal(a, b) for a, b in zip(future.result(), wanted))


def test_inputs_are_left_alone():
    graph, arrays = training_run(steps=3)
    before = [a.copy() for a in arrays]
    NativeProgram(graph)(arrays)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before))


@pytest.mark.parametrize("wrong", [-1, 7, 2**40])
def test_a_position_outside_its_axis_raises_and_reads_nothing(wrong: int):
    take = gl.jit(lambda x, i: gl.take(x, i, mode="raise") * 2, executor="native")
    x = gl.tensor(np.arange(7.0))
    assert take(x, gl.tensor([6, 0])).tolist() == [12.0, 0.0]
    if wrong == -1:
        assert take(x, gl.tensor([wrong])).tolist() == [12.0]
        return
    with pytest.raises(IndexRangeError, match=f"positions along an axis of size 7 go from 0 to 6; got {wrong}"):
        take(x, gl.tensor([wrong, 1]))


@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (17, 63, 129), (63, 17, 1), (1, 129, 63), (1000, 3, 5), (3, 1000, 40), (70, 65, 1024)]
)
@pytest.mark.parametrize("form", ["xy", "x'y", "xy'", "x'y'"])
def test_products_of_all_forms_and_odd_sizes(m: int, k: int, n: int, form: str):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    left = gl.tensor(x.T.copy() if "x'" in form else x)
    right = gl.tensor(y.T.copy() if "y'" in form else y)

    def product(a, b):
        return (a.T if "x'" in form else a) @ (b.T if "y'" in form else b)

    got = gl.jit(product, executor="native")(left, right).numpy()
    np.testing.assert_allclose(got, x @ y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus"])
def test_elementary_functions_are_accurate_everywhere(name: str, dtype: str):
    """Within 4 units in the last place of the wider type's value, over a dense sweep and at the extremes."""
    info, rng = np.finfo(dtype), np.random.default_rng(2)
    span = 100 if dtype == "float32" else 800
    values = np.concatenate(
        [
            rng.uniform(-span, span, 4000),
            rng.normal(size=4000),
            rng.normal(size=2000) * 1e-4,
            10.0 ** rng.uniform(-37, 37, 2000),
            [
                0.0,
                -0.0,
                1.0,
                -1.0,
                info.tiny,
                -info.tiny,
                info.smallest_subnormal,
                info.max,
                -info.max,
                np.inf,
                -np.inf,
            ],
            [np.nan],
        ]
    ).astype(dtype)
    wide = values.astype(np.longdouble)
    with np.errstate(all="ignore"):
        wanted = {
            "exp": np.exp,
            "expm1": np.expm1,
            "log": np.log,
            "log1p": np.log1p,
            "tanh": np.tanh,
            "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
            "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        }[name](wide)
        rounded = wanted.astype(dtype)
    got = gl.jit(getattr(gl, name), executor="native")(gl.tensor(values)).numpy()
    assert np.array_equal(np.isnan(got), np.isnan(rounded))
    finite = np.isfinite(rounded)
    special = ~finite & ~np.isnan(rounded)
    assert np.array_equal(got[special], rounded[special])
    unit = np.spacing(np.minimum(np.abs(rounded[finite]), info.max / 2))
    error = np.abs(got[finite].astype(np.longdouble) - wanted[finite]) / unit
    worst = int(np.argmax(error))
    assert error[worst] <= 4, f"{name}({values[finite][worst]!r}) is off by {error[worst]:.1f} units"


STEP_KERNELS = [
    "contract + select [32,64]",  # x w, relu
    "contract + add [32,30]",  # h v, minus y, the loss's derivative
    "contract + select [32,64]",  # back through v, the derivative of relu
    "contract + sub [20,64]",  # the gradient of w, and its update
    "contract + sub [64,30]",  # the gradient of v, and its update
    "reduce_sum + mul [] over [32,30]",  # the loss
]


def test_fused_kernels_are_few():
    """The step of a two-layer network: epilogues swallow biases, activations, masks and the whole update."""

    def step(w, v, x, y):
        loss, (gw, gv) = gl.value_and_grad(lambda w, v: gl.mean((gl.relu(x @ w) @ v - y) ** 2), (0, 1))(w, v)
        return w - 0.1 * gw, v - 0.1 * gv, loss

    shapes = ((20, 64), (64, 30), (32, 20), (32, 30))
    program = NativeProgram(gl.trace(step, *(gl.zeros(s) for s in shapes)))
    assert [str(k) for k in program.plan.kernels] == STEP_KERNELS


def test_the_profile_names_every_kernel():
    graph, arrays = training_run(steps=2)
    table = str(NativeProgram(graph).profile(arrays, runs=2))
    assert "contract" in table
    assert "outside kernels" in table.splitlines()[-1]


LESSER = """
import numpy as np
from test_native import training_run
from gradloom.executors.native.program import NativeProgram
from gradloom.ir.interpret import evaluate
graph, arrays = training_run(steps=3)
for got, wanted in zip(NativeProgram(graph)(arrays), evaluate(graph, arrays), strict=True):
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)
"""


@pytest.mark.parametrize("cpu", ["avx2", "sse2"])
def test_code_for_lesser_processors(cpu: str):
    env = {**os.environ, "GRADLOOM_CPU": cpu, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run([sys.executable, "-c", LESSER], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_processor_is_refused():
    env = {**os.environ, "GRADLOOM_CPU": "z80"}
    code = "import gradloom as gl; gl.jit(lambda x: x + 1, executor='native')(gl.ones(3))"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "GRADLOOM_CPU: is one of avx2, sse2; got 'z80'" in done.stderr


def test_the_executor_has_a_name():
    assert executors.get("native").name == "native"


def test_large_right_operands_are_packed_and_epilogues_still_fused():
    rng = np.random.default_rng(5)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((3, 70, 65), (65, 2048), (2048,)))
    graph = gl.trace(lambda x, w, b: gl.relu(x @ w + b), *map(gl.tensor, (x, w, b)))
    program = NativeProgram(graph)
    assert len(program.plan.kernels) == 1
    wanted = np.maximum(x.astype(np.float64) @ w + b, 0)
    np.testing.assert_allclose(program([x, w, b])[0], wanted, rtol=1e-4, atol=1e-4)
    assert "right operand packed" in program.explain()


def test_the_same_function_has_the_same_code_each_time():
    def f(x, y):
        return gl.value_and_grad(lambda x: -gl.mean(gl.sum(y * gl.log_softmax(x), axis=1)))(x)

    texts, junk = set(), []
    for turn in range(12):
        junk.append(
            [object() for _ in range(97 * turn)]
        )  # so that nodes lie elsewhere, and sets of them are ordered anew
        graph = gl.trace(f, gl.zeros((32, 10)), gl.zeros((32, 10)))
        module = write_module(make_plan(graph, host()), host())
        texts.add("\n".join([module.text, *(kernel.text() for kernel in module.kernels)]))
    assert len(texts) == 1


FORKED = """
import os, warnings
from test_native import training_run
from gradloom.executors.native.program import NativeProgram
warnings.simplefilter("ignore")  # Python warns of forking a process with threads, which is what is tested
graph, arrays = training_run(steps=2)
program = NativeProgram(graph)
program.threads, program.shared_from = 3, 1
program(arrays)
child = os.fork()
if child == 0:
    program(arrays)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_has_threads_of_its_own():
    env = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(
        [sys.executable, "-c", FORKED], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_many_callers_with_more_threads_than_cores_do_not_block_each_other():
    graph, arrays = training_run(steps=2)
    programs = [NativeProgram(graph) for _ in range(4)]
    for number, program in enumerate(programs):
        program.threads, program.shared_from = 2 + number, 1
    wanted = programs[0](arrays)
    with ThreadPoolExecutor(12) as pool:
        for future in [pool.submit(programs[i % 4], arrays) for i in range(24)]:
            assert all(np.array_equal(a, b) for a, b in zip(future.result(timeout=60), wanted))


@pytest.mark.parametrize("count", [1, 3, 16, 37, 64, 200])
def test_elements_gathered_for_a_sum_are_those_at_the_positions(count: int):
    take_last = gl.jit(lambda x, i: gl.sum(gl.take(x, i + 5, mode="raise") * x[5:]), executor="native")
    x = np.random.default_rng(count).integers(-9, 9, count + 5).astype(np.float64)
    positions = np.random.default_rng(0).permutation(count)
    assert take_last(gl.tensor(x), gl.tensor(positions)).item() == np.sum(x[positions + 5] * x[5:])
    positions[-1] = count
    with pytest.raises(IndexRangeError):
        take_last(gl.tensor(x), gl.tensor(positions))


def test_updates_run_as_soon_as_the_old_values_are_read_and_free_the_gradients_of_their_layer():
    """Of a chain of layers the values wait for their gradients; the gradients for nothing."""
    depth, batch, width = 12, 4096, 64
    weights = gl.random.normal(gl.random.key(0), (depth, width, width)) / 8

    def turn(weights, x):
        def loss(weights):
            y = x
            for w in weights:
                y = gl.tanh(y @ w)
            return gl.sum(y * y)

        return [w - 1e-4 * g for w, g in zip(weights, gl.grad(loss)(weights))], None

    def run(weights, x):
        return gl.scan(turn, weights, x)[0]

    args = [weights[i] for i in range(depth)], gl.random.normal(gl.random.key(1), (3, batch, width))
    program = NativeProgram(gl.trace(run, *args))
    one = batch * width * 4
    assert program.plan.size < (depth + 3) * one, f"{program.plan.size / one:.1f} values of a layer"
    for got, wanted in zip(program(arrays_of(*args)), run(*args), strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-4, atol=1e-5)
