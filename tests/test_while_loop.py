"""while_loop against Python's own, and its derivatives against closed forms."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import gradloom as gl
from gradloom.errors import DTypeError, OptionError, ShapeError, UnsupportedError

EXECUTORS = ["reference", "native"]


def root(a, max_turns=None):
    """√a by Newton's iteration."""
    return gl.while_loop(lambda c: gl.abs(c * c - a) > 1e-12, lambda c: (c + a / c) / 2, a, max_turns)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_forward_mode_of_any_order(executor: str):
    def along(f):
        return lambda a: gl.jvp(f, (a,), (np.array(1.0),))[1]

    a = np.array(2.0)
    # Differentiating an iteration converges a few turns later than the iteration: 1e-12 in the value leaves 1e-6 here.
    for f, wanted in ((root, a**0.5), (along(root), 0.5 * a**-0.5), (along(along(root)), -0.25 * a**-1.5)):
        np.testing.assert_allclose(gl.jit(f, executor)(a).numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_reverse_mode_with_a_limit(executor: str):
    a = np.array(2.0)

    def limited(a):
        return root(a, max_turns=8)

    for f, wanted in ((gl.grad(limited), 0.5 * a**-0.5), (gl.grad(gl.grad(limited)), -0.25 * a**-1.5)):
        np.testing.assert_allclose(gl.jit(f, executor)(a).numpy(), wanted, rtol=1e-6)
    many = np.array([0.5, 2.0, 9.0])
    found = gl.jit(gl.vmap(gl.grad(limited)), executor)(many).numpy()
    np.testing.assert_allclose(found, 0.5 * many**-0.5, rtol=1e-6)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_mapped_loop_goes_on_until_all_are_done(executor: str):
    """Turns until 1 in Collatz' sequence, which differ from number to number."""

    def turns(n):
        def step(c):
            return gl.where(c["n"] % 2 == 0, c["n"] // 2, 3 * c["n"] + 1), c["turns"] + 1

        def body(c):
            return dict(zip(("n", "turns"), step(c)))

        return gl.while_loop(lambda c: c["n"] != 1, body, {"n": n, "turns": gl.tensor(0)})["turns"]

    def by_hand(n: int) -> int:
        count = 0
        while n != 1:
            n, count = (n // 2 if n % 2 == 0 else 3 * n + 1), count + 1
        return count

    numbers = np.arange(1, 28)
    wanted = [by_hand(int(n)) for n in numbers]
    assert gl.jit(gl.vmap(turns), executor)(numbers).tolist() == wanted
    assert gl.jit(turns, executor)(np.array(27)).item() == wanted[-1] == 111


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_varies_in_a_mapped_loop(executor: str):
    """Values of which the condition knows nothing are mapped alone; a constant may differ too."""

    def f(x, factor, limit):
        return gl.while_loop(lambda c: c[0] < limit, lambda c: (c[0] + 1, c[1] * factor), (0, x))[1]

    x, factor, limit = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 5.0]), np.array([0, 2, 3])
    for in_axes, wanted in (
        ((0, None, None), x * 9),
        ((None, 0, None), 2 * factor**2),
        ((None, None, 0), 2 * 3.0**limit),
        ((0, 0, 0), x * factor**limit),
    ):
        args = [a if axis == 0 else a[1] for a, axis in zip((x, factor, limit), in_axes)]
        np.testing.assert_array_equal(gl.jit(gl.vmap(f, in_axes), executor)(*args).numpy(), wanted)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_limit_ends_the_loop(executor: str):
    for most, wanted in ((0, 1), (3, 8), (20, 128)):
        f = gl.jit(lambda c, most=most: gl.while_loop(lambda c: c < 100, lambda c: 2 * c, c, most), executor)
        assert f(np.array(1)).item() == wanted


@pytest.mark.parametrize("executor", EXECUTORS)
def test_loops_in_loops(executor: str):
    """A scan in a loop, which lies in a scan: Σ over rows of the least sum of row · 2ᵏ that is 10 or more."""

    def doubled(row):
        def total(c):
            return gl.scan(lambda s, x: (s + x, None), np.array(0.0), c)[0]

        return total(gl.while_loop(lambda c: total(c) < 10, lambda c: 2 * c, row))

    f = gl.jit(lambda x: gl.scan(lambda s, row: (s + doubled(row), s), np.array(0.0), x), executor)
    x = np.array([[1.0, 2.0], [20.0, 1.0], [0.25, 0.5]])
    last, seen = f(x)
    assert (last.item(), seen.tolist()) == (12 + 21 + 12, [0, 12, 33])


def test_the_derivative_of_what_does_not_move_needs_no_limit():
    def steps(x):
        return gl.while_loop(lambda n: n < 5, lambda n: n + 1, 0)

    assert gl.grad(lambda x: x * gl.cast(steps(x), "float64"))(np.array(3.0)).item() == 5


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: gl.grad(root)(np.array(2.0)), UnsupportedError, "while_loop: reverse mode needs to know how many turns there are at most; got a loop without a limit. Give max_turns=, loop with gl.scan(..., length=n), or use forward mode (gl.jvp)."),
        (lambda: gl.while_loop(lambda c: c, lambda c: c, 1.0), DTypeError, "while_loop: the condition must be one boolean; got float32[]. Combine conditions on elements with gl.any or gl.all."),
        (lambda: gl.while_loop(lambda c: c < 1, lambda c: c + np.ones(2), 0.0), ShapeError, "while_loop: the body must return the carry with the types it came in with; got (float32[]) in and (float64[2]) out. Give the initial carry the shape and dtype that the body returns."),
        (lambda: gl.while_loop(lambda c: c < 1, lambda c: (c, c), 0.0), OptionError, "while_loop: the body must return a carry nested as the first one; got (Tensor(float32[], symbolic), Tensor(float32[], symbolic))"),
        (lambda: root(2.0, -1), OptionError, "while_loop: max_turns is a whole number from 0; got -1. Use 0 or a larger whole number."),
    ],
    ids=range(5),
)  # fmt: skip
def test_golden_messages(call, kind, message: str):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


ENDLESS = """
import os, signal, threading
import gradloom as gl

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

plain = gl.jit(lambda x: gl.while_loop(lambda v: v[0] >= 0, lambda v: (v[0] * 0.5 + 1,), (x,)))
inner = lambda x: gl.while_loop(lambda v: v[0] < 5, lambda v: (v[0] + 1,), (x,))[0] * 0
nested = gl.jit(lambda x: gl.while_loop(lambda v: v[0] < 1, lambda v: (inner(v[0]),), (x,)))
for endless in (plain, nested, plain):
    threading.Timer(0.1, interrupt).start()
    try:
        endless(gl.tensor(0.5))
    except KeyboardInterrupt:
        print("interrupted")
print(gl.jit(inner)(gl.tensor(0.5)).item())
"""


def test_ctrl_c_ends_a_loop_that_has_no_end():
    found = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60, check=False)
    assert (found.stdout.split(), found.stderr) == (["interrupted"] * 3 + ["0.0"], "")
