"""A small typed layer over LLVM's textual IR, so that a kernel reads like its loops and not like strings.

Values carry their LLVM type.  Scalars and vectors share all methods: ``b.add(x, y)`` is an ``fadd`` or an ``add``,
of one element or of sixteen, as the operands say.  Integers given as Python ints become constants.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field

from gradloom.records import dataclass

FLOATS = {"half", "float", "double"}


@dataclass(frozen=True)
class Value:
    """An SSA value or a constant: its text and its type (``float``, ``<8 x i32>``, ``ptr``)."""

    text: str
    type: str

    @property
    def lanes(self) -> int:
        """Number of elements; 1 for a scalar."""
        return int(self.type[1:].split(" x ")[0]) if self.type.startswith("<") else 1

    @property
    def element(self) -> str:
        """Type of one element."""
        return self.type[1:-1].split(" x ")[1] if self.type.startswith("<") else self.type

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating."""
        return self.element in FLOATS


@dataclass(frozen=True)
class Shifted:
    """An index a constant away from another: the constant is added in the address of a load, at no cost."""

    base: Value
    shift: int


Index = Value | Shifted | int


def vector(element: str, lanes: int) -> str:
    """The type of ``lanes`` elements; a scalar type for one."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def literal(element: str, value: float | int | bool) -> str:
    """The text of a constant of an element type, exact to the bit."""
    if element in FLOATS:
        if element == "float":
            value = struct.unpack("f", struct.pack("f", value))[0]
        if element == "half":
            return "0xH" + struct.pack(">e", value).hex().upper()
        return "0x" + struct.pack(">d", value).hex().upper()
    return str(int(value))


def _parts(x: Index) -> tuple[Value | None, int]:
    """An index as a value (None for a constant) and a constant."""
    if isinstance(x, int):
        return None, x
    return (x.base, x.shift) if isinstance(x, Shifted) else (x, 0)


def _overload(type: str) -> str:
    """How the name of an intrinsic says a type: ``v16f32``."""
    kind = Value("", type)
    element = {"half": "f16", "float": "f32", "double": "f64"}.get(kind.element, kind.element)
    return f"v{kind.lanes}{element}" if kind.lanes > 1 else element


def first_lanes(lanes: int, count: int) -> Value:
    """A mask of the first ``count`` lanes."""
    return some_lanes(lanes, 0, count)


def some_lanes(lanes: int, first: int, last: int) -> Value:
    """A mask of the lanes first ≤ i < last."""
    return Value(f"<{', '.join(f'i1 {int(first <= i < last)}' for i in range(lanes))}>", vector("i1", lanes))


@dataclass
class Function:
    """A function under construction.

    Args:
        name: its name in the module.
        params: (type, name, attributes) of each parameter.
        result: its result type.
    """

    name: str
    params: Sequence[tuple[str, str, str]]
    result: str = "void"
    internal: bool = True
    attributes: str = "nounwind"
    lines: list[str] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)
    entry: list[str] = field(default_factory=list)
    _count: int = 0
    _block: str = "entry"
    _known: dict[str, Value] = field(default_factory=dict)

    def text(self) -> str:
        """The whole definition."""
        params = ", ".join(f"{kind} {extra} %{name}".replace("  ", " ") for kind, name, extra in self.params)
        linkage = "internal " if self.internal else ""
        body = "\n".join([*self.entry, *self.lines])
        return f"define {linkage}{self.result} @{self.name}({params}) {self.attributes} {{\nentry:\n{body}\n}}\n"

    def param(self, name: str) -> Value:
        """A parameter by name."""
        return next(Value(f"%{n}", kind) for kind, n, _ in self.params if n == name)

    # Emission ---------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def emit(self, type: str, text: str) -> Value:
        """An instruction with a result."""
        name = self._name()
        self.lines.append(f"  {name} = {text}")
        return Value(name, type)

    def pure(self, type: str, text: str) -> Value:
        """An instruction without side effects: within a block the same text is the same value."""
        if text not in self._known:
            self._known[text] = self.emit(type, text)
        return self._known[text]

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {text}")

    def label(self, name: str) -> None:
        """Begin a block."""
        self.lines.append(f"{name}:")
        self._block = name
        self._known.clear()

    def fresh(self, stem: str) -> str:
        """A new label."""
        self._count += 1
        return f"{stem}{self._count}"

    def declare(self, declaration: str) -> None:
        """Note a declaration that the module needs."""
        self.needs.add(declaration)

    # Constants and conversion -----------------------------------------------------------------------------------

    def const(self, type: str, value: float | int | bool) -> Value:
        """A constant; for a vector type the same in every lane."""
        plain = Value("", type)
        text = literal(plain.element, value)
        if plain.lanes == 1:
            return Value(text, type)
        return Value(f"splat ({plain.element} {text})", type)

    def index(self, value: Index) -> Value:
        """An i64 of an index."""
        if isinstance(value, Shifted):
            return self.pure("i64", f"add nsw i64 {value.base.text}, {value.shift}")
        return Value(str(value), "i64") if isinstance(value, int) else value

    def convert(self, x: Value, element: str, *, signed: bool = True) -> Value:
        """``x`` with elements of another type; ``signed`` says how integers on either side are read."""
        if x.element == element:
            return x
        target = vector(element, x.lanes)
        if x.is_float and element in FLOATS:
            wider = ("half", "float", "double").index(element) > ("half", "float", "double").index(x.element)
            word = "fpext" if wider else "fptrunc"
        elif x.is_float:
            word = "fptosi" if signed else "fptoui"
        elif element in FLOATS:
            word = "sitofp" if signed and x.element != "i1" else "uitofp"
        else:
            widths = int(x.element[1:]), int(element[1:])
            word = "trunc" if widths[1] < widths[0] else ("sext" if signed and x.element != "i1" else "zext")
        return self.emit(target, f"{word} {x.type} {x.text} to {target}")

    def bitcast(self, x: Value, type: str) -> Value:
        """The same bits as another type."""
        return self.emit(type, f"bitcast {x.type} {x.text} to {type}")

    def splat(self, x: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1 or x.lanes == lanes:
            return x
        target = vector(x.type, lanes)
        first = self.pure(target, f"insertelement {target} poison, {x.type} {x.text}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.pure(target, f"shufflevector {target} {first.text}, {target} poison, {zeros}")

    def lane(self, x: Value, i: int | Value) -> Value:
        """One element of a vector."""
        place = i.text if isinstance(i, Value) else i
        return x if x.lanes == 1 else self.emit(x.element, f"extractelement {x.type} {x.text}, i64 {place}")

    def insert(self, x: Value | None, type: str, element: Value, i: int | Value) -> Value:
        """``x`` (undefined if None) with lane ``i`` set."""
        base, place = "poison" if x is None else x.text, i.text if isinstance(i, Value) else i
        return self.emit(type, f"insertelement {type} {base}, {element.type} {element.text}, i64 {place}")

    def local(self, type: str, align: int = 8) -> Value:
        """The address of room on the stack, set aside once at the function's entry."""
        name = self._name()
        self.entry.append(f"  {name} = alloca {type}, align {align}")
        return Value(name, "ptr")

    def unknown(self, type: str, value: int) -> Value:
        """An integer that LLVM does not recognise as a constant: it waits on the stack from the function's entry on."""
        place = self.local(type)
        self.entry.append(f"  store {type} {value}, ptr {place.text}, align 8")
        return self.load(place, type, 8)

    # Arithmetic -------------------------------------------------------------------------------------------------

    def binary(self, word: str, x: Value, y: Value) -> Value:
        """Any two-operand instruction."""
        assert x.type == y.type, f"{word} of {x.type} and {y.type}"
        return self.emit(x.type, f"{word} {x.type} {x.text}, {y.text}")

    def add(self, x: Value, y: Value) -> Value:
        """x + y."""
        return self.binary("fadd" if x.is_float else "add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        """x - y."""
        return self.binary("fsub" if x.is_float else "sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        """x · y."""
        return self.binary("fmul" if x.is_float else "mul", x, y)

    def call(self, name: str, type: str, *args: Value) -> Value:
        """A call with a result; intrinsics are declared on the way."""
        listed = ", ".join(f"{a.type} {a.text}" for a in args)
        if name.startswith("llvm."):
            kinds = ", ".join(a.type for a in args)
            self.declare(f"declare {type} @{name}({kinds})")
        return self.emit(type, f"call {type} @{name}({listed})")

    def intrinsic(self, name: str, *args: Value) -> Value:
        """An LLVM intrinsic overloaded on its first operand, whose type it returns: ``b.intrinsic("sqrt", x)``."""
        return self.call(f"llvm.{name}.{_overload(args[0].type)}", args[0].type, *args)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x · y + z, rounded once."""
        return self.intrinsic("fma", x, y, z)

    def muladd(self, x: Value, y: Value, z: Value) -> Value:
        """x · y + z, rounded once where the processor has an instruction for it and twice elsewhere."""
        return self.intrinsic("fmuladd", x, y, z)

    def compare(self, word: str, x: Value, y: Value) -> Value:
        """A comparison: ``olt``, ``oeq``, ``une``... of floats, ``slt``, ``ult``, ``eq``... of integers."""
        name = "fcmp" if x.is_float else "icmp"
        return self.emit(vector("i1", x.lanes), f"{name} {word} {x.type} {x.text}, {y.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """x where the condition holds, else y."""
        text = f"select {condition.type} {condition.text}, {x.type} {x.text}, {y.type} {y.text}"
        return self.emit(x.type, text)

    def any_lane(self, condition: Value, count: int) -> Value:
        """Whether a condition holds in one of the first ``count`` lanes."""
        lanes = condition.lanes
        if lanes == 1:
            return condition
        among = condition if count == lanes else self.binary("and", condition, first_lanes(lanes, count))
        return self.call(f"llvm.vector.reduce.or.v{lanes}i1", "i1", among)

    # Index arithmetic: Python ints are folded ---------------------------------------------------------------------

    def iadd(self, x: Index, y: Index) -> Index:
        """x + y of indices."""
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if x == 0 or y == 0:
            return y if x == 0 else x
        (a, m), (b, n) = _parts(x), _parts(y)
        both = a or b
        assert both is not None
        total = self.pure("i64", f"add nsw i64 {a.text}, {b.text}") if a and b else both
        return Shifted(total, m + n) if m + n else total

    def imul(self, x: Index, y: Index) -> Index:
        """x · y of indices, at least one of them a constant."""
        if not isinstance(y, int):
            x, y = y, x
        assert isinstance(y, int), "indices are affine"
        if isinstance(x, int):
            return x * y
        if y == 0:
            return 0
        base, shift = _parts(x)
        assert base is not None
        scaled = base if y == 1 else self.pure("i64", f"mul nsw i64 {base.text}, {y}")
        return Shifted(scaled, shift * y) if shift else scaled

    def idiv(self, x: Index, y: Index) -> Index:
        """⌊x / y⌋ of non-negative indices."""
        if isinstance(x, int) and isinstance(y, int):
            return x // y
        return x if y == 1 else self.pure("i64", f"udiv i64 {self.index(x).text}, {self.index(y).text}")

    def irem(self, x: Index, y: Index) -> Index:
        """x mod y of non-negative indices."""
        if isinstance(x, int) and isinstance(y, int):
            return x % y
        return 0 if y == 1 else self.pure("i64", f"urem i64 {self.index(x).text}, {self.index(y).text}")

    def imin(self, x: Index, y: Index) -> Index:
        """The smaller of two indices."""
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        a, b = self.index(x), self.index(y)
        return self.select(self.compare("slt", a, b), a, b)

    def imax(self, x: Index, y: Index) -> Index:
        """The larger of two indices."""
        if isinstance(x, int) and isinstance(y, int):
            return max(x, y)
        a, b = self.index(x), self.index(y)
        return self.select(self.compare("sgt", a, b), a, b)

    def bounds(self, size: int, larger: int, i: Index) -> tuple[Index, Index]:
        """Where part ``i`` begins and ends, if parts have ``size`` elements and the first ``larger`` one more."""
        begin, end = (
            self.iadd(self.imul(j, size), self.imin(j, larger) if larger else 0) for j in (i, self.iadd(i, 1))
        )
        return begin, end

    # Memory -----------------------------------------------------------------------------------------------------

    def at(self, pointer: Value, offset: Index, element: str) -> Value:
        """The address of an element."""
        base, shift = _parts(offset)
        for step in ([base.text] if base else []) + ([str(shift)] if shift else []):
            pointer = self.pure("ptr", f"getelementptr inbounds {element}, ptr {pointer.text}, i64 {step}")
        return pointer

    def load(self, pointer: Value, type: str, align: int) -> Value:
        """The element or vector at an address."""
        return self.emit(type, f"load {type}, ptr {pointer.text}, align {align}")

    def store(self, x: Value, pointer: Value, align: int) -> None:
        """Write an element or a vector."""
        self.do(f"store {x.type} {x.text}, ptr {pointer.text}, align {align}")

    def load_some(self, pointer: Value, type: str, align: int, count: int) -> Value:
        """The first ``count`` lanes at an address; the others are 0 and are not read."""
        lanes = Value("", type).lanes
        if count == lanes:
            return self.load(pointer, type, align)
        args = (pointer, Value(str(align), "i32"), first_lanes(lanes, count), self.const(type, 0))
        return self.call(f"llvm.masked.load.{_overload(type)}.p0", type, *args)

    def store_some(self, x: Value, pointer: Value, align: int, count: int) -> None:
        """Write the first ``count`` lanes."""
        if count == x.lanes:
            self.store(x, pointer, align)
            return
        name = f"llvm.masked.store.{_overload(x.type)}.p0"
        mask = first_lanes(x.lanes, count)
        self.declare(f"declare void @{name}({x.type}, ptr, i32, {mask.type})")
        self.do(f"call void @{name}({x.type} {x.text}, ptr {pointer.text}, i32 {align}, {mask.type} {mask.text})")

    def prefetch(self, pointer: Value, *, write: bool = False) -> None:
        """Ask for the cache line of an address, which may lie anywhere; ``write`` asks for it alone, to write to it."""
        self.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.do(f"call void @llvm.prefetch.p0(ptr {pointer.text}, i32 {int(write)}, i32 3, i32 1)")

    # Control ----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Begin a new basic block.  LLVM keeps what a block loads twice, even where registers do not suffice for it."""
        following = self.fresh("cut")
        self.do(f"br label %{following}")
        self.label(following)

    @contextlib.contextmanager
    def loop(self, start: Index, stop: Index, step: int = 1) -> Iterator[Value]:
        """``for i in range(start, stop, step)``; the body may run no time at all."""
        carried = self.loop_carrying(start, stop, step, [])
        i, _, finish = carried
        yield i
        finish([])

    @contextlib.contextmanager
    def loop_until(self, most: Index) -> Iterator[tuple[Value, Callable[[Value], None]]]:
        """A loop of at most so many turns; gives the turn, and ``leave(condition)``, which may end the loop."""
        end = self.fresh("end")

        def leave(condition: Value) -> None:
            on = self.fresh("on")
            self.do(f"br i1 {condition.text}, label %{end}, label %{on}")
            self.label(on)

        with self.loop(0, most) as turn:
            yield turn, leave
        self.do(f"br label %{end}")
        self.label(end)

    def loop_carrying(
        self, start: Index, stop: Index, step: int, initial: Sequence[Value]
    ) -> tuple[Value, list[Value], Callable[[Sequence[Value]], list[Value]]]:
        """A loop with values carried from turn to turn.

        Returns:
            ``(i, carried, finish)``; call ``finish(next values)`` at the end of the body, which gives the values
            after the loop.
        """
        head, body, after = self.fresh("head"), self.fresh("body"), self.fresh("after")
        before = self._block
        self.do(f"br label %{head}")
        self.label(head)
        counter = Value(self._name(), "i64")
        carried = [Value(self._name(), v.type) for v in initial]
        slot = len(self.lines)
        self.lines += [""] * (1 + len(carried))
        going = self.compare("slt", counter, self.index(stop))
        self.do(f"br i1 {going.text}, label %{body}, label %{after}")
        self.label(body)
        i = self._hidden(counter)

        def finish(updated: Sequence[Value]) -> list[Value]:
            following = self.emit("i64", f"add nsw i64 {counter.text}, {step}")
            last = self._block
            self.do(f"br label %{head}")
            phis = [(counter, self.index(start), following), *zip(carried, initial, updated)]
            for place, (phi, first, later) in enumerate(phis, slot):
                sources = f"[ {first.text}, %{before} ], [ {later.text}, %{last} ]"
                self.lines[place] = f"  {phi.text} = phi {phi.type} {sources}"
            self.label(after)
            return carried

        return i, carried, finish

    def _hidden(self, counter: Value) -> Value:
        """The counter of a loop, such that LLVM does not look for other ways to count (loop strength reduction).

        That search would take more than half of LLVM's time: kernels compute their addresses as they should be
        computed.  A frozen value is one of which LLVM knows nothing; the sum keeps it from freezing the counter itself.
        """
        same = self.emit("i64", f"add i64 {counter.text}, 0")
        return self.emit("i64", f"freeze i64 {same.text}")

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """A block that runs where the condition holds."""
        inside, after = self.fresh("then"), self.fresh("end")
        self.do(f"br i1 {condition.text}, label %{inside}, label %{after}")
        self.label(inside)
        yield
        self.do(f"br label %{after}")
        self.label(after)

    def finish(self, result: Value | None = None) -> None:
        """Return from the function."""
        self.do("ret void" if result is None else f"ret {result.type} {result.text}")
