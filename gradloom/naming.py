"""Names and formulas for the values of a traced function, as a person would call them.

A value is called as the local variable that holds it when the function returns.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType
from typing import Any

from gradloom.autodiff.formula.expression import ONE, Expression, Symbol
from gradloom.autodiff.formula.layout import laid_out
from gradloom.autodiff.formula.reading import Reader, indices_of
from gradloom.autodiff.formula.writing import write_text
from gradloom.autodiff.paths import Step, applied
from gradloom.autodiff.reverse import pullback
from gradloom.errors import UnsupportedError
from gradloom.ir.graph import CONSTANT, Node, placeholder
from gradloom.ir.tensortype import TensorType
from gradloom.ir.text import short
from gradloom.tensor import Tensor
from gradloom.tracing import Function


class Names:
    """The names of the values of a function, and what they are computed as.

    Args:
        f: the function.
        inputs: its arguments, which have names.
    """

    def __init__(self, f: Function, inputs: Sequence[Node]) -> None:
        own = getattr(f, "__name__", "")
        self._code = _code_of(f)
        self._inputs = list(inputs)
        self._names = {x: x.attrs["name"] for x in inputs}
        self._local: dict[Step, Expression | None] = {}
        taken = set(self._names.values())
        self.function = next(n for n in (own, "f", "y", "value") if n.isidentifier() and n not in taken)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While the function runs inside, learn what it calls its values."""

        def watch(frame: FrameType, event: str, _: Any) -> None:
            if event == "return" and frame.f_code is self._code:
                self._learn(frame.f_locals)

        before = sys.getprofile()
        sys.setprofile(watch)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _learn(self, variables: dict[str, Any]) -> None:
        taken = {self.function, *self._names.values()}
        for name, value in variables.items():
            if isinstance(value, Tensor) and value.node not in self._names and name not in taken:
                self._names[value.node] = name

    def settle(self, result: Node, order: Sequence[Node]) -> None:
        """Name the result as the function, and number what has no name, in an order."""
        self._names.setdefault(result, self.function)
        taken = set(self._names.values())
        free = (name for name in (f"v{i}" for i in range(1, len(order) + len(taken) + 1)) if name not in taken)
        for node in order:
            if node not in self._names and node.op is not CONSTANT and isinstance(node.type, TensorType):
                self._names[node] = next(free)

    def of(self, node: Node) -> str:
        """The name of a value, or what is known of a constant."""
        return self._names.get(node) or short(node.value)

    def meaning(self, node: Node) -> str:
        """What a value is computed as, from values with names."""
        whole, stand_ins, output = applied(node)
        try:
            return _text(self._reader(whole, stand_ins).read(output), len(node.shape))
        except UnsupportedError:
            return f"{whole.op.name}({', '.join(map(self.of, whole.inputs))})"

    def local(self, step: Step) -> Expression | None:
        """The formula of a local derivative that is a number; None where it has none."""
        if step not in self._local:
            self._local[step] = self._read_local(step) if step.is_scalar else None
        return self._local[step]

    def _read_local(self, step: Step) -> Expression | None:
        reader = self._reader(step.whole, step.inputs)
        seed, found = step.pulled
        reader.know(seed, ONE)
        try:
            return reader.read(found)
        except UnsupportedError:
            return None

    def derivative(self, result: Node, variable: Node) -> str:
        """The formula of a derivative in terms of the arguments; empty where it has none."""
        seed = placeholder(result.tensor_type, "1")
        reader = Reader({x: Symbol(self.of(x), indices_of(x.shape)) for x in self._inputs}, {})
        reader.know(seed, ONE)
        try:
            return _text(reader.read(pullback([result], [variable], [seed])[1][0]), len(variable.shape))
        except UnsupportedError:
            return ""

    def _reader(self, whole: Node, stand_ins: Sequence[Node]) -> Reader:
        """Reads nodes made of stand-ins for the operands of a node: as their names, or as the numbers they are."""
        symbols = {
            s: Symbol(self.of(x), indices_of(x.shape))
            for s, x in zip(stand_ins, whole.inputs)
            if x.op is not CONSTANT and isinstance(x.type, TensorType)
        }
        reader = Reader(symbols, {})
        for s, x in zip(stand_ins, whole.inputs):
            if x.op is CONSTANT:
                reader.know(s, reader.read(x))
        return reader


def written(x: Expression) -> str:
    """A formula of a number as text."""
    return _text(x, 0)


def _text(x: Expression, rank: int) -> str:
    return write_text(laid_out(x, rank))


def _code_of(f: Function) -> CodeType | None:
    """The code whose variables are looked at; some callables have none."""
    plain = inspect.unwrap(f)
    plain = getattr(plain, "__func__", plain)
    return getattr(plain, "__code__", None)
