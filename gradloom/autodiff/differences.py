"""Derivatives by differences: what every exact derivative can be held against.

| method | formula | error by truncation |
|---|---|---|
| one-sided | (f(x + h) - f(x)) / h | O(h) |
| two-sided | D(h) = (f(x + h) - f(x - h)) / 2h | O(h²) |
| richardson | (4 D(h/2) - D(h)) / 3 | O(h⁴) |
| complex-step | Im f(x + ih) / h | O(h²) |

The first three subtract nearly equal numbers, so rounding adds an error of about u |f| / h for the unit roundoff u.
The sum of both errors is least near h = u^(1/2), u^(1/3), u^(1/5), for functions that change over a length of 1.  The
complex step subtracts nothing, and takes h so small that the derivative is right to the last digits.

Source: Press et al., "Numerical recipes" (2007), 5.7; Richardson (1911); Squire and Trapp, "Using complex variables to
estimate derivatives of real functions", SIAM Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from gradloom import options, tree
from gradloom.errors import DTypeError, UnsupportedError
from gradloom.ir.tensortype import is_float, kind_of
from gradloom.records import dataclass

Array = np.ndarray
Values = Callable[[Array], Array]
"""A function of one vector."""


@dataclass(frozen=True)
class _Method:
    """A formula ``(f, x, direction, h)``, its step as a power of the unit roundoff, and the numbers it works in."""

    formula: Callable[[Values, Array, Array, float], Array]
    power: float
    dtype: str = "float64"


def one_sided(f: Values, x: Array, direction: Array, h: float) -> Array:
    """(f(x + h d) - f(x)) / h for the direction d; the other side for h below 0."""
    return (f(x + h * direction) - f(x)) / h


def two_sided(f: Values, x: Array, direction: Array, h: float) -> Array:
    """(f(x + h d) - f(x - h d)) / 2h."""
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


def richardson(f: Values, x: Array, direction: Array, h: float) -> Array:
    """The two-sided difference without its error in h²."""
    return (4 * two_sided(f, x, direction, h / 2) - two_sided(f, x, direction, h)) / 3


def _complex_step(f: Values, x: Array, direction: Array, h: float) -> Array:
    found = f(x + 1j * h * direction)
    if not np.iscomplexobj(found):
        raise DTypeError(
            "numerical",
            rule="the complex step needs a function that gives complex results for complex arguments",
            got=f"a result of type {found.dtype.name}",
            fix="Do without abs, max, comparisons and gl functions, or use method='richardson'.",
        )
    return np.imag(found) / h


METHODS = {
    "one-sided": _Method(one_sided, 1 / 2),
    "two-sided": _Method(two_sided, 1 / 3),
    "richardson": _Method(richardson, 1 / 5),
    "complex-step": _Method(_complex_step, 5 / 4, "complex128"),
}


def numerical(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    *,
    method: str = "two-sided",
    step: float | None = None,
) -> Callable[..., Any]:
    """The derivative function of ``f``, by differences of its values; see the table above for the formulas.

    Everything is computed in float64: floats among the arguments are converted before ``f`` sees them, as NumPy
    arrays and numbers.  It costs as many calls of ``f`` as the arguments have elements, or two or four times as many.

    Args:
        f: a function of numbers and arrays (also nested in dicts, lists and tuples) that returns a number, an array
            or a tensor.  For the complex step it must be made of functions that take complex numbers and are analytic:
            Python's and NumPy's arithmetic, ``np.exp``, ``np.sin``, ...; not ``abs``, ``max``, comparisons, or
            gradloom's functions, which know no complex numbers.
        argnums: which arguments to differentiate by.
        method: ``"two-sided"``, ``"one-sided"``, ``"richardson"`` or ``"complex-step"``.
        step: h.  By default the power of the unit roundoff at which the error is least, times max(1, |x|).

    Returns:
        The function that gives the derivative, nested as the argument is (a tuple where ``argnums`` is one): for a
        result of shape S and an argument of shape T a float64 array of shape S + T, so the gradient where the result
        is a number, and a float where both are.

    Raises:
        OptionError: ``method`` or ``step`` or ``argnums`` is none.
        DTypeError: an argument is not numbers, or the result of the complex step is real.
        UnsupportedError: ``f`` refuses complex numbers.

    Source: the notes' formulas for the one- and two-sided gradient; see the head of this file for the others.

    Example:
        >>> numerical(lambda x: x**3)(2.0)
        12.0000...
    """
    options.choice("numerical", "method", method, METHODS)
    if step is not None:
        step = options.positive("numerical", "step", step)

    @wraps(f)
    def derivative(*args: Any) -> Any:
        numbers = options.argument_numbers("numerical", len(args), argnums)
        fixed = [tree.map(_in_float64, a) for a in args]
        found = tuple(_Partial(f, fixed, n, METHODS[method], step).derivative() for n in numbers)
        return found[0] if isinstance(argnums, int) else found

    return derivative


def _in_float64(leaf: Any) -> Any:
    """Floats, whatever they are kept in, as NumPy's; anything else as it is."""
    if not isinstance(leaf, (float, np.ndarray, np.generic)) and not hasattr(leaf, "__array__"):
        return leaf
    array = np.asarray(leaf)
    return array.astype(np.float64)[()] if is_float(array.dtype) else leaf


@dataclass(frozen=True)
class _Partial:
    """``f`` as a function of one of its arguments, taken apart into a vector."""

    f: Callable[..., Any]
    args: list[Any]
    number: int
    method: _Method
    step: float | None

    def derivative(self) -> Any:
        """The derivative, nested as the argument."""
        leaves, definition = tree.flatten(self.args[self.number])
        arrays = [_real_array(leaf) for leaf in leaves]
        point = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
        ends = np.cumsum([a.size for a in arrays])[:-1]

        def values(x: Array) -> Array:
            parts = [p.reshape(a.shape)[()] for p, a in zip(np.split(x.astype(self.method.dtype), ends), arrays)]
            # NumPy's complex scalars let math.exp drop their imaginary part; Python's do not.
            given = [p.item() if isinstance(p, np.complexfloating) else p for p in parts]
            return self.call(tree.unflatten(definition, given))

        columns = [self.along(values, point, i) for i in range(point.size)]
        matrix = np.stack(columns, -1) if columns else np.zeros((*values(point).shape, 0))
        pieces = np.split(matrix, ends, axis=-1)
        shaped = [p.reshape((*matrix.shape[:-1], *a.shape)) for p, a in zip(pieces, arrays)]
        return tree.unflatten(definition, [s.item() if s.ndim == 0 else s for s in shaped])

    def along(self, values: Values, point: Array, i: int) -> Array:
        """The derivative by the i-th element."""
        h = self.step or np.finfo(np.float64).eps ** self.method.power * max(1.0, abs(point[i]))
        if self.method.dtype == "float64":
            h = (point[i] + h) - point[i] or h  # a step that the sum holds exactly
        direction = np.zeros(point.size)
        direction[i] = 1.0
        return self.method.formula(values, point, direction, h)

    def call(self, argument: Any) -> Array:
        args = [*self.args[: self.number], argument, *self.args[self.number + 1 :]]
        try:
            found = np.asarray(self.f(*args))
        except TypeError as error:
            if self.method.dtype != "complex128":
                raise
            raise UnsupportedError(
                "numerical",
                rule="the complex step needs a function that takes complex numbers",
                got=f"{type(error).__name__}: {error}",
                fix="Write it with NumPy's functions, or use method='richardson'.",
            ) from error
        return found if np.iscomplexobj(found) else found.astype(np.float64)


def _real_array(leaf: Any) -> Array:
    array = np.asarray(leaf)
    if kind_of(array.dtype) not in "fiu":
        raise DTypeError(
            "numerical",
            rule="a derivative exists with respect to numbers alone",
            got=f"a value of type {type(leaf).__name__}",
            fix="Leave the argument out of argnums.",
        )
    return array.astype(np.float64)
