"""Random programs: a strategy of Hypothesis that composes matrices, loops, branches and maps.

A program is a tree of steps.  Each step applies one entry of the tables below to values made before it; a step of
``CONTROL`` has a program of its own inside, which it runs in a loop, a branch or a map.  Everything is written so that
values stay near 1 and functions are smooth where numbers fall: logarithms see positive numbers, switches join smoothly,
and what has a kink (sorting, maxima) sees numbers in general position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

import gradloom as gl
from gradloom.tensor import Tensor

LARGEST = 120
"""Elements above which a value is not used further."""

Unary = Callable[[Tensor], Tensor]
Binary = Callable[[Tensor, Tensor], Tensor]


def waves(*shape: int) -> Tensor:
    """Constants that are all different, in [-1, 1]."""
    return gl.tensor(np.cos(0.7 * np.arange(int(np.prod(shape))) + 0.3).reshape(shape), "float64")


def _unit(x: Tensor) -> Tensor:
    """Numbers brought into (-1, 1)."""
    return x * gl.rsqrt(1 + x * x)


def _spd(x: Tensor) -> Tensor:
    """A positive definite matrix with eigenvalues of at least 1."""
    return x @ x.T / x.shape[1] + gl.eye(x.shape[0], dtype="float64")


def _pooled(pool: Callable[..., Tensor], x: Tensor) -> Tensor:
    return pool(x[None, :, :, None], 2, strides=1, padding="same")[0, :, :, 0]


SAME: dict[str, Unary] = {
    # elementwise
    "negative": lambda x: -x,
    "halved": lambda x: x / 2,
    "exp": lambda x: gl.exp(_unit(x)),
    "expm1": lambda x: gl.expm1(_unit(x)),
    "log": lambda x: gl.log(1.5 + _unit(x)),
    "log1p": lambda x: gl.log1p(gl.square(x)),
    "sqrt": lambda x: gl.sqrt(1 + x * x),
    "rsqrt": lambda x: gl.rsqrt(1 + x * x) * x,
    "sin": gl.sin,
    "cos": gl.cos,
    "tan": lambda x: gl.tan(_unit(x)),
    "asin": lambda x: gl.asin(0.8 * _unit(x)),
    "acos": lambda x: gl.acos(0.8 * _unit(x)),
    "atan": gl.atan,
    "sinh": lambda x: gl.sinh(_unit(x)),
    "cosh": lambda x: gl.cosh(_unit(x)),
    "tanh": gl.tanh,
    "asinh": gl.asinh,
    "acosh": lambda x: gl.acosh(1.5 + _unit(x) * 0.3),
    "atanh": lambda x: gl.atanh(0.8 * _unit(x)),
    "sigmoid": gl.sigmoid,
    "softplus": gl.softplus,
    "erf": gl.erf,
    "relu": gl.relu,
    "abs": gl.abs,
    "clipped": lambda x: gl.clip(x, -0.9, 0.7),
    "cubed": lambda x: _unit(x) ** 3,
    "switched": lambda x: gl.where(x > 0, gl.sinh(_unit(x)), _unit(x)),
    # reductions, and what follows from them
    "softmax": gl.softmax,
    "softmax of columns": lambda x: gl.softmax(x, 0),
    "log of softmax": gl.log_softmax,
    "less logsumexp": lambda x: x - gl.logsumexp(x, 0, keepdims=True),
    "centred": lambda x: x - gl.mean(x, 0, keepdims=True),
    "normalised": lambda x: (x - gl.mean(x, 1, keepdims=True)) * gl.rsqrt(gl.var(x, 1, keepdims=True) + 0.5),
    "times its product": lambda x: x * gl.prod(1 + 0.2 * _unit(x), 1, keepdims=True),
    "scaled by its largest": lambda x: x / (1 + gl.max(gl.abs(x))),
    "less its least": lambda x: x - gl.min(x, 1, keepdims=True),
    "running sum": lambda x: gl.cumsum(x, 1) * 0.3,
    "running sum from below": lambda x: gl.cumsum(x, 0, reverse=True) * 0.3,
    # places
    "flipped": lambda x: gl.flip(x, 0),
    "rolled": lambda x: gl.roll(x, 1, 1),
    "flattened and back": lambda x: _unit(x.reshape(x.size)).reshape(*x.shape),
    "transposed and back": lambda x: (x.T * waves(x.shape[1], 1)).T,
    "padded and cut": lambda x: _unit(gl.pad(x, 1, 0.5))[:-2, 2:],
    "rows taken": lambda x: gl.take(x, np.arange(x.shape[0])[::-1] // 2),
    "rows added": lambda x: gl.scatter_add(x, np.arange(x.shape[0]) // 2, 0.5 * x),
    "columns along": lambda x: gl.take_along_axis(x, gl.argsort(waves(*x.shape), 1), 1),
    "sorted": gl.sort,
    "sorted columns": lambda x: gl.sort(x, 0) * waves(x.shape[0], 1),
    "lower triangle": gl.tril,
    # products, systems, windows
    "times its Gram matrix": lambda x: x @ (x.T @ x) / x.size,
    "through a layer": lambda x: gl.tanh(x @ waves(x.shape[1], 5) + 0.1) @ waves(5, x.shape[1]) * 0.3,
    "solved": lambda x: gl.solve(_spd(x) + waves(x.shape[0], x.shape[0]) * 0.1, x),
    "whitened": lambda x: gl.triangular_solve(gl.cholesky(_spd(x)), x),
    "coloured": lambda x: gl.cholesky(_spd(x)) @ x,
    "convolved": lambda x: gl.conv(x[None], waves(3, x.shape[1], x.shape[1]) * 0.3, padding="same")[0],
    "averaged": lambda x: _pooled(gl.avg_pool, x),
    "largest of neighbours": lambda x: _pooled(gl.max_pool, x),
    "row by row": lambda x: gl.vmap(lambda r: r * gl.sum(r))(x) * 0.3,
}
"""Matrix to matrix of the same shape."""

PAIR: dict[str, Binary] = {
    "plus": lambda x, y: x + y,
    "minus": lambda x, y: x - 0.5 * y,
    "times": lambda x, y: x * y,
    "divided": lambda x, y: x / (1 + y * y),
    "power": lambda x, y: (1.5 + _unit(x)) ** y,
    "atan2": lambda x, y: gl.atan2(x, 1 + y * y),
    "larger": gl.maximum,
    "smaller": gl.minimum,
    "remainder": lambda x, y: gl.remainder(x, 1.5 + _unit(y)),
    "chosen": lambda x, y: gl.where(x > 0.2, gl.sinh(_unit(x - 0.2)) + y, x - 0.2 + y),
    "times the mean": lambda x, y: x * gl.mean(y),
    "rows times columns": lambda x, y: x[:1] * gl.mean(y, 1, keepdims=True),
    "through the other": lambda x, y: x @ (y.T @ y) / y.size,
    "sums of products": lambda x, y: x + gl.einsum("ij,ij->i", x, y)[:, None] / x.shape[1],
    "system": lambda x, y: gl.solve(_spd(x), y),
    "convolved with": lambda x, y: gl.conv(x[None], (y.T @ x)[None] / x.size, padding="same")[0],
}
"""Two matrices of one shape to one of the same shape."""

CHANGE: dict[str, Unary] = {
    "transposed": lambda x: x.T,
    "half of the columns": lambda x: x[:, ::2],
    "padded": lambda x: gl.pad(x, ((1, 0), (0, 2)), 0.25),
    "joined to itself": lambda x: gl.concatenate([x, x * 0.5], 1),
    "stacked": lambda x: gl.stack([x, _unit(x)]).reshape(2 * x.shape[0], x.shape[1]),
    "column of means": lambda x: gl.mean(x, 1, keepdims=True),
    "single row": lambda x: x[:1],
    "row repeated": lambda x: gl.broadcast_to(x[:1], (3, x.shape[1])),
    "largest": lambda x: gl.top_k(x, 1 + x.shape[1] // 2)[0],
    "outer product": lambda x: gl.einsum("i,j->ij", x[0], x[:, 0]),
    "reshaped": lambda x: x.reshape(x.shape[1], x.shape[0]),
    "windows": lambda x: gl.patches(x[None, :, :, None], (1, 2), padding="same")[0].reshape(x.shape[0], -1),
}
"""Matrix to matrix of another shape."""


def _branch(x: Tensor, y: Tensor, f: Binary) -> Tensor:
    return gl.cond(gl.sum(x) > 0.2, lambda a, b: f(a, b) * 1.5, lambda a, b: f(b, _unit(a)), x, y)


def _loop(x: Tensor, y: Tensor, f: Binary) -> Tensor:
    return gl.scan(lambda c, _: (0.5 * c + f(c, y), None), x, length=3)[0]


def _loop_over_rows(x: Tensor, y: Tensor, f: Binary, *, reverse: bool = False) -> Tensor:
    last, found = gl.scan(lambda c, r: (f(c, r), c * _unit(r)), y[:1], x[:, None], reverse=reverse)
    return found[:, 0] + last


def _branch_in_a_loop(x: Tensor, y: Tensor, f: Binary) -> Tensor:
    def body(c: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        return gl.cond(i == 1, lambda a: f(a, y), lambda a: a * 0.7 + 0.1 * y, c), gl.sum(c)

    last, sums = gl.scan(body, x, gl.arange(3))
    return last + gl.mean(sums) * 0.1


CONTROL: dict[str, Callable[[Tensor, Tensor, Binary], Tensor]] = {
    "loop": _loop,
    "loop over rows": _loop_over_rows,
    "loop from below": lambda x, y, f: _loop_over_rows(x, y, f, reverse=True),
    "branch": _branch,
    "branch in a loop": _branch_in_a_loop,
    "map": lambda x, y, f: gl.vmap(lambda r, s: f(r[None], s[None])[0])(x, y),
    "map against one": lambda x, y, f: gl.vmap(lambda r: gl.mean(f(y, gl.broadcast_to(r, y.shape)), 0))(x),
    "mapped branch": lambda x, y, f: gl.vmap(lambda r, s: _branch(r[None], s[None], f)[0])(x, y),
}
"""Two matrices of one shape, and a function of two such, to one of the same shape."""


@dataclass(frozen=True)
class Step:
    """An entry of the tables, applied to the values that lie so many places back; ``inside`` is what CONTROL runs."""

    name: str
    first: int
    second: int
    inside: tuple[Step, ...] = ()


def steps(depth: int = 2, names: Sequence[str] = (*SAME, *PAIR)) -> st.SearchStrategy[Step]:
    """Steps with programs in programs up to a depth."""
    places = st.integers(0, 4), st.integers(0, 4)
    plain = st.builds(Step, st.sampled_from(names), *places)
    if not depth:
        return plain
    inside = st.lists(steps(depth - 1), min_size=1, max_size=depth).map(tuple)
    control = st.builds(Step, st.sampled_from(sorted(CONTROL)), *places, inside)
    return st.integers(0, 9).flatmap(lambda n: control if n < depth else plain)  # the deeper, the rarer


programs = st.lists(steps(2, (*SAME, *PAIR, *CHANGE)), min_size=2, max_size=2).map(tuple)
"""Programs of two steps, each of which may be a loop, branch or map with up to three inside."""


def run(program: Sequence[Step], values: list[Tensor]) -> list[Tensor]:
    """All values: those given and what each step makes."""
    values = list(values)
    for step in program:
        x, y = (values[-1 - place % len(values)] for place in (step.first, step.second))
        found = _taken(step, x, y)
        if found.size <= LARGEST:
            values.append(found)
    return values


def _taken(step: Step, x: Tensor, y: Tensor) -> Tensor:
    if step.name in SAME:
        return SAME[step.name](x)
    if step.name in CHANGE:
        return CHANGE[step.name](x)
    y = _fitted(y, x.shape)
    if step.name in PAIR:
        return PAIR[step.name](x, y)
    return CONTROL[step.name](x, y, lambda a, b: _unit(run(step.inside, [a, b])[-1]))


def _fitted(y: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A matrix of this shape, its rows and columns repeated or left out."""
    for axis, size in enumerate(shape):
        if y.shape[axis] != size:
            y = gl.take(y, np.arange(size) % y.shape[axis], axis)
    return y


def number(program: Sequence[Step], x: Tensor, y: Tensor) -> Tensor:
    """A number in which all values of a program have a part."""
    made = run(program, [x, y])
    return sum((gl.sum(v * (waves(*v.shape) + 0.3 * v)) for v in made), gl.tensor(0.0, "float64"))
