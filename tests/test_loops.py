"""scan and cond against Python's own loops and branches, under every transformation."""
# ruff: noqa: E501
# Golden messages stand on one line, so that they can be searched for.

from __future__ import annotations

import numpy as np
import pytest

import gradloom as gl
from gradloom.errors import DTypeError, OptionError, ShapeError

RNG = np.random.default_rng(0)
W, C0 = RNG.standard_normal((3, 3)) * 0.5, RNG.standard_normal(3)


def cell(w):
    """A body that closes over w: carry and y both depend on w, the carry and x."""

    def step(carry, x):
        new = gl.tanh(w @ carry["h"] + x)
        return {"h": new, "n": carry["n"] + 1}, (new * x, carry["h"])

    return step


def start(c):
    return {"h": c, "n": gl.tensor(0)}


def by_scan(w, c, xs, reverse=False):
    return gl.scan(cell(w), start(c), xs, reverse=reverse)


def by_loop(w, c, xs, reverse=False):
    carry, ys = start(gl.tensor(c)), []
    for i in reversed(range(len(xs))) if reverse else range(len(xs)):
        carry, y = cell(w)(carry, xs[i])
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return carry, tuple(gl.stack(column) for column in zip(*ys))


def loss(run):
    """A scalar of everything that the loop returns."""

    def f(w, c, xs, reverse=False):
        carry, (ys, hs) = run(w, c, xs, reverse)
        return gl.sum(carry["h"] ** 2) + gl.sum(ys * hs) + gl.sum(gl.sin(hs))

    return f


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_scan_is_a_loop(length: int, reverse: bool):
    xs = RNG.standard_normal((length, 3))
    (carry, ys), (wanted, wanted_ys) = (run(gl.tensor(W), C0, xs, reverse) for run in (by_scan, by_loop))
    assert carry["n"].item() == length
    np.testing.assert_allclose(carry["h"].numpy(), wanted["h"].numpy(), rtol=1e-14)
    for y, wanted_y in zip(ys, wanted_ys, strict=True):
        np.testing.assert_allclose(y.numpy(), wanted_y.numpy(), rtol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_derivatives_of_scan(length: int, reverse: bool, argument: int):
    args = (W, C0, RNG.standard_normal((length, 3)))

    def of(run):
        return lambda w, c, xs: loss(run)(w, c, xs, reverse)

    wanted = gl.grad(of(by_loop), argument)(*args).numpy()
    np.testing.assert_allclose(gl.grad(of(by_scan), argument)(*args).numpy(), wanted, rtol=1e-11, atol=1e-13)
    direction = RNG.standard_normal(args[argument].shape)
    tangents = [direction if i == argument else np.zeros_like(a) for i, a in enumerate(args)]
    forward = gl.jvp(of(by_scan), args, tangents)[1].item()
    assert forward == pytest.approx((wanted * direction).sum(), rel=1e-10)
    product, wanted_product = (
        gl.jvp(gl.grad(of(run), argument), args, tangents)[1].numpy() for run in (by_scan, by_loop)
    )
    np.testing.assert_allclose(product, wanted_product, rtol=1e-9, atol=1e-11)
    reverse_twice = gl.grad(lambda *a: gl.sum(gl.grad(of(by_scan), argument)(*a) * direction), argument)(*args)
    np.testing.assert_allclose(reverse_twice.numpy(), wanted_product, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("in_axes", [(0, None, None), (None, 0, None), (None, None, 1), (0, 0, 0), (None, 0, 1)])
def test_vmap_of_scan(in_axes):
    args = [RNG.standard_normal(s) for s in ((3, 3), (3,), (4, 3))]
    mapped = [np.stack([a, a * 0.5], axis) if axis is not None else a for a, axis in zip(args, in_axes)]
    examples = [[a if axis is None else np.take(a, i, axis) for a, axis in zip(mapped, in_axes)] for i in range(2)]
    for f in (loss(by_scan), gl.grad(loss(by_scan), 0), gl.grad(loss(by_scan), 2)):
        found = gl.vmap(f, in_axes)(*mapped).numpy()
        np.testing.assert_allclose(found, [f(w, c, xs).numpy() for w, c, xs in examples], rtol=1e-11, atol=1e-13)


def test_scan_of_no_steps():
    xs = np.zeros((0, 3))
    carry, (ys, _) = by_scan(gl.tensor(W), C0, xs)
    assert carry["h"].tolist() == C0.tolist()
    assert ys.shape == (0, 3)

    def f(w, c):
        return gl.sum(by_scan(w, c, xs)[0]["h"] ** 2)

    by_w, by_c = gl.grad(f, (0, 1))(W, C0)
    assert by_w.tolist() == np.zeros((3, 3)).tolist()
    np.testing.assert_allclose(by_c.numpy(), 2 * C0, rtol=1e-15)
    assert gl.vmap(f, (None, 0))(W, np.stack([C0, C0])).shape == (2,)


def test_scan_without_sequences_and_without_results():
    carry, ys = gl.scan(lambda c, _: (c * 2, None), np.array(1.0), None, length=10)
    assert (carry.item(), ys) == (1024, None)


def test_scan_whose_results_do_not_depend_on_the_carry():
    """What is invariant in a loop, what is only in the ys, and a carry that nothing feeds."""
    xs = np.arange(3.0)

    def f(a, b):
        carry, ys = gl.scan(lambda c, x: (c, (x * a, b)), b, xs)
        return carry * gl.sum(ys[0]) + gl.sum(ys[1])

    a, b = np.array(2.0), np.array(5.0)
    assert f(a, b).item() == 5 * 6 + 15
    assert [g.item() for g in gl.grad(f, (0, 1))(a, b)] == [15, 9]


def test_a_carry_that_varies_only_after_some_steps():
    """The tangent (and the mapped axis) moves from the first carry to the last, one a step."""

    def f(x):
        shift = gl.scan(lambda c, _: ((x, c[0], c[1]), None), (np.array(0.0),) * 3, None, length=4)[0]
        return shift[2] * shift[1]

    assert gl.grad(f)(np.array(3.0)).item() == 6
    assert gl.vmap(f)(np.array([1.0, 2.0])).tolist() == [1, 4]


def test_scan_in_scan():
    def inner(c, x):
        return gl.scan(lambda d, k: (gl.sin(d * k + c), d), x, np.array([0.5, 1.5]))

    def nested(c, xs):
        carry, ys = gl.scan(lambda c, x: (inner(c, x)[0] + c, gl.sum(inner(c, x)[1])), c, xs)
        return carry + gl.sum(ys)

    def loops(c, xs):
        total = 0.0
        for i in range(3):
            d, seen = xs[i], 0.0
            for k in (0.5, 1.5):
                seen, d = seen + d, gl.sin(d * k + c)
            c, total = d + c, total + seen
        return c + total

    args = np.array(0.3), RNG.standard_normal(3)
    assert nested(*args).item() == pytest.approx(loops(*map(gl.tensor, args)).item(), rel=1e-14)
    for n in (0, 1):
        found, wanted = gl.grad(nested, n)(*args).numpy(), gl.grad(loops, n)(*args).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_allclose(gl.hessian(nested, 1)(*args).numpy(), gl.hessian(loops, 1)(*args).numpy(), rtol=1e-10)
    many = np.stack([args[1], args[1] * 2])
    found = gl.vmap(gl.grad(nested, 1), (None, 0))(args[0], many).numpy()
    np.testing.assert_allclose(found, [gl.grad(loops, 1)(args[0], xs).numpy() for xs in many], rtol=1e-12)


# Branches -----------------------------------------------------------------------------------------------------------


def branch(x, y):
    """Different functions on the two sides of x = 0; the second ignores y."""
    return gl.cond(x > 0, lambda a: {"z": gl.sin(a) * y, "n": a}, lambda a: {"z": a**3, "n": a * 0}, x)


@pytest.mark.parametrize("value", [-0.7, 0.7])
def test_cond_is_a_branch(value: float):
    x, y = np.array(value), np.array(2.0)

    def plain(x, y):
        return gl.sin(x) * y if value > 0 else x**3

    def f(x, y):
        return branch(x, y)["z"]

    for g in (f, gl.jit(f)):
        assert g(x, y).item() == pytest.approx(plain(gl.tensor(x), y).item(), rel=1e-15)
        for n in (0, 1):
            assert gl.grad(g, n)(x, y).item() == pytest.approx(gl.grad(plain, n)(x, y).item(), rel=1e-14)
        found, wanted = (gl.grad(gl.grad(h))(x, y).item() for h in (g, plain))
        assert found == pytest.approx(wanted, rel=1e-14)
        tangents = np.array(0.3), np.array(-1.1)
        found, wanted = (gl.jvp(h, (x, y), tangents)[1].item() for h in (g, plain))
        assert found == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("in_axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_of_cond(in_axes):
    """With a condition that varies from example to example, and with one that does not."""
    x, y = np.array([-0.5, 0.8, 1.2]), np.array([1.0, 2.0, 3.0])
    args = [a if axis == 0 else a[1] for a, axis in zip((x, y), in_axes)]
    for f in (lambda x, y: branch(x, y)["z"], gl.grad(lambda x, y: branch(x, y)["z"])):
        examples = [[a[i] if axis == 0 else a for a, axis in zip(args, in_axes)] for i in range(3)]
        wanted = [f(*e).item() for e in examples]
        np.testing.assert_allclose(gl.vmap(f, in_axes)(*args).numpy(), wanted, rtol=1e-14)
        np.testing.assert_allclose(gl.jit(gl.vmap(f, in_axes))(*args).numpy(), wanted, rtol=1e-14)


def test_only_one_branch_is_computed():
    """Reading outside the tensor raises where it is done, and in the other branch it is not done."""
    f = gl.jit(lambda p, x, i: gl.cond(p, lambda: gl.take(x, i), lambda: gl.tensor(np.array(0.0))))
    assert f(False, np.zeros(2), 5).item() == 0
    with pytest.raises(IndexError):
        f(True, np.zeros(2), 5)


def test_cond_in_scan():
    xs = np.array([1.0, -2.0, 3.0, -4.0])

    def f(a, xs):
        return gl.scan(lambda c, x: (gl.cond(x > 0, lambda: c * a, lambda: c + gl.sin(x * a)), c), np.array(1.0), xs)[0]

    def plain(a, xs):
        c = np.array(1.0)
        for i, x in enumerate([1.0, -2.0, 3.0, -4.0]):
            c = c * a if x > 0 else c + gl.sin(xs[i] * a)
        return c

    a = np.array(0.7)
    for n in (0, 1):
        found, wanted = gl.grad(f, n)(a, xs).numpy(), gl.grad(plain, n)(a, xs).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
    found, wanted = (gl.grad(gl.grad(g))(a, xs).item() for g in (f, plain))
    assert found == pytest.approx(wanted, rel=1e-12)
    many = np.stack([xs, -xs])
    np.testing.assert_allclose(gl.vmap(f, (None, 0))(a, many).numpy(), [f(a, x).item() for x in many], rtol=1e-14)
    gradients = gl.vmap(gl.grad(f), (None, 0))(a, many).numpy()
    np.testing.assert_allclose(gradients, [gl.grad(f)(a, x).item() for x in many], rtol=1e-13)


def test_transformed_loops_are_legal_graphs():
    xs = RNG.standard_normal((3, 3))
    for f in (loss(by_scan), gl.grad(loss(by_scan)), gl.grad(lambda w, c, x: gl.sum(gl.grad(loss(by_scan))(w, c, x)))):
        gl.trace(f, W, C0, xs).verify()
        many = [np.stack([a, a]) for a in (W, C0, xs)]
        gl.trace(gl.vmap(f), *many).verify()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: gl.scan(lambda c, x: c, 1.0, np.ones(2)), OptionError, "scan: the body must return a pair (carry, y); got Tensor"),
        (lambda: gl.scan(lambda c, x: ((c, c), x), 1.0, np.ones(2)), OptionError, "scan: the body must return a carry nested as the first one; got (Tensor(float32[], symbolic), Tensor(float32[], symbolic))"),
        (lambda: gl.scan(lambda c, x: (c + x, x), 1.0, np.ones(2)), ShapeError, "scan: the body must return the carry with the types it came in with; got (float32[]) in and (float64[]) out. Give the initial carry the shape and dtype that the body returns."),
        (lambda: gl.scan(lambda c, x: (c, x), 1.0, (np.ones(2), np.ones(3))), ShapeError, "scan: all sequences must have one length; got lengths [2, 3]"),
        (lambda: gl.scan(lambda c, x: (c, x), 1.0), ShapeError, "scan: all sequences must have one length; got neither xs nor length"),
        (lambda: gl.scan(lambda c, x: (c, x), 1.0, 2.0), ShapeError, "scan: sequences need a first axis to step along; got a scalar in xs"),
        (lambda: gl.scan(lambda c, x: (c, x), 1.0, None, -1), ShapeError, "scan: the number of steps must not be negative; got -1"),
        (lambda: gl.cond(np.array([True, False]), lambda: 1, lambda: 2), DTypeError, "cond: the condition must be one boolean; got bool[2]. Use gl.where to choose element by element."),
        (lambda: gl.cond(True, lambda: 1, lambda: 2.0), ShapeError, "cond: both branches must return the same types; got (int64[]) and (float32[])"),
        (lambda: gl.cond(True, lambda: 1, lambda: (1, 2)), OptionError, "cond: both branches must return values nested alike; got two different structures"),
    ],
    ids=range(10),
)  # fmt: skip
def test_golden_messages(call, kind, message: str):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_may_end_after_a_number_of_turns_that_is_traced(executor: str, reverse: bool):
    xs = np.arange(1.0, 6.0)

    def f(xs: gl.Tensor, turns: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        return gl.scan(lambda c, x: (c + x, c * x), np.float64(1), xs, reverse=reverse, turns=turns)

    compiled = gl.jit(f, executor)
    for turns in (0, 1, 3, 5, 9, -2):
        carry, ys, taken = 1.0, np.zeros(5), min(max(turns, 0), 5)
        for i in list(range(5))[:: -1 if reverse else 1][:taken]:
            carry, ys[i] = carry + xs[i], carry * xs[i]
        last, stacked = compiled(xs, gl.tensor(turns))
        assert last.item() == carry
        np.testing.assert_array_equal(stacked.numpy(), ys)
    assert len(compiled.programs) == 1


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("reverse", [False, True])
def test_mapped_examples_may_have_turns_of_their_own(executor: str, reverse: bool):
    xs, turns = np.arange(10.0).reshape(2, 5), np.array([2, 9, 0])

    def f(xs: gl.Tensor, turns: gl.Tensor) -> tuple[gl.Tensor, gl.Tensor]:
        return gl.scan(lambda c, x: (c + x, c * x), np.float64(1), xs, reverse=reverse, turns=turns)

    mapped = gl.jit(gl.vmap(gl.vmap(f, (None, 0)), (0, None)), executor)
    last, stacked = mapped(xs, turns)
    for i, x in enumerate(xs):
        for j, n in enumerate(turns):
            carry, ys = f(gl.tensor(x), gl.tensor(n))
            assert last.numpy()[i, j] == carry.item()
            np.testing.assert_array_equal(stacked.numpy()[i, j], ys.numpy())


def test_a_loop_with_turns_has_forward_mode_and_vmap_but_no_reverse_mode():
    def f(x: gl.Tensor) -> gl.Tensor:
        return gl.scan(lambda c, _: (c * x, None), 1.0, length=5, turns=gl.tensor(3))[0]

    value, slope = gl.jvp(f, (2.0,), (1.0,))
    assert (value.item(), slope.item()) == (8.0, 12.0)
    np.testing.assert_array_equal(gl.vmap(f)(gl.tensor([1.0, 2.0, 3.0])).numpy(), [1.0, 8.0, 27.0])
    with pytest.raises(OptionError, match="reverse mode needs the number of turns"):
        gl.grad(f)(2.0)
    with pytest.raises(ShapeError, match="turns is one integer"):
        gl.scan(lambda c, _: (c, None), 1.0, length=5, turns=1.5)


# Second derivatives in every mixture of modes -----------------------------------------------------------------------

XS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])


def polynomial(a, checkpoint=None):
    """A loop whose turns multiply by a or add a², as the elements say: a polynomial in a."""

    def step(c, x):
        return gl.cond(x > 0, lambda: c * a, lambda: c + a * a), c

    last, seen = gl.scan(step, a, XS, checkpoint=checkpoint)
    return last + gl.sum(seen)


def polynomial_by_hand() -> np.poly1d:
    a = np.poly1d([1.0, 0.0])
    carry, total = a, np.poly1d([0.0])
    for x in XS:
        total, carry = total + carry, carry * a if x > 0 else carry + a * a
    return carry + total


def forward(f):
    return lambda a: gl.jvp(f, (a,), (np.array(1.0),))[1]


@pytest.mark.parametrize("checkpoint", [False, 2, 4])
@pytest.mark.parametrize("second", [forward, gl.grad], ids=["forward", "reverse"])
@pytest.mark.parametrize("first", [forward, gl.grad], ids=["forward", "reverse"])
def test_second_derivatives_through_loops_and_branches(first, second, checkpoint):
    f, a = second(first(lambda a: polynomial(a, checkpoint))), np.array(0.7)
    wanted = polynomial_by_hand().deriv(2)(0.7)
    for g in (f, gl.jit(f)):
        assert g(a).item() == pytest.approx(wanted, rel=1e-13)


def test_third_derivatives_through_loops_and_branches():
    wanted = polynomial_by_hand().deriv(3)(0.7)
    for f in (forward(gl.grad(gl.grad(polynomial))), gl.grad(forward(gl.grad(polynomial)))):
        assert gl.jit(f)(np.array(0.7)).item() == pytest.approx(wanted, rel=1e-12)
