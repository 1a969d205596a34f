"""Plain data out of a Python pickle, without running it.

A pickle is a program for a machine with a stack: it may import any function and call it.  Nothing of that happens
here.  This reader knows the few instructions that lists, dicts, strings, numbers and arrays of bytes consist of; the
only names that it lets occur are those of NumPy's array and data type, which it takes as marks and never looks up.
Every other instruction and every other name is refused.

Source: the instructions are described in Python's ``pickletools``.  CIFAR's batches were written by Python 2.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from gradloom.errors import DataError
from gradloom.records import dataclass

_RECONSTRUCT, _ARRAY, _DTYPE = "_reconstruct", "ndarray", "dtype"
_MARKS = {
    "numpy.core.multiarray _reconstruct": _RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _RECONSTRUCT,
    "numpy ndarray": _ARRAY,
    "numpy dtype": _DTYPE,
}
_MOST_MEMO = 2**24


class _Refused(Exception):
    """An instruction or a value that plain data do not have."""


@dataclass(frozen=True)
class _Name:
    """A name that occurs in the pickle; it stands for nothing but itself."""

    name: str


@dataclass
class _Bytes:
    """An array of bytes that its instructions are making.

    Attributes:
        is_type: whether this is the data type, not an array.
        value: the array once it is complete.
    """

    is_type: bool
    value: np.ndarray | None = None


def read_pickle(raw: bytes, source: str) -> Any:
    """The lists, dicts, strings, numbers and arrays of uint8 in a pickle.

    Args:
        raw: the pickle, of protocol 0 to 2 in its binary form, as Python 2 wrote it.
        source: for messages.

    Returns:
        The data; texts of Python 2 are strings by latin-1.

    Raises:
        DataError: it holds anything else, or is damaged.
    """
    machine = _Machine(raw)
    try:
        return _finished(machine.run())
    except _Refused as refused:
        raise DataError(
            source,
            rule="a pickle is read only where it holds plain data, for any other could run code",
            got=str(refused),
            fix="Use the binary version of the data set.",
        ) from None
    except (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            source,
            rule="the pickle is damaged or cut short",
            got=f"{type(error).__name__} at byte {machine.at}",
            fix="Fetch the file again.",
        ) from None


class _Machine:
    """The stack, the marks in it, and the memo, as ``pickletools`` describes them."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Do one instruction after another up to the last, and give what is left."""
        while True:
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            if code not in _INSTRUCTIONS:
                raise _Refused(f"instruction {code!r} at byte {self.at - 1}")
            _INSTRUCTIONS[code](self)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0 or self.at + count > len(self.raw):
            raise IndexError
        self.at += count
        return self.raw[self.at - count : self.at]

    def number(self, form: str) -> int:
        """The next bytes as a number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """The bytes up to the end of the line."""
        end = self.raw.index(b"\n", self.at)
        return self.take(end - self.at + 1)[:-1].decode("latin-1")

    def push(self, value: Any) -> None:
        """Onto the stack."""
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """What was pushed behind the last mark, taken off."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def remember(self, place: int) -> None:
        """Put what lies on top into the memo."""
        if place > _MOST_MEMO:
            raise _Refused(f"place {place} of the memo")
        self.memo[place] = self.stack[-1]

    def name(self) -> None:
        """A name of a module and of something in it."""
        name = f"{self.line()} {self.line()}"
        if name not in _MARKS:
            raise _Refused(f"the name {name.replace(' ', '.')[:80]}")
        self.push(_Name(_MARKS[name]))

    def join(self, count: int) -> None:
        """The last values as one tuple."""
        items = tuple(self.stack[len(self.stack) - count :])
        if len(items) < count:
            raise IndexError
        del self.stack[len(self.stack) - count :]
        self.push(items)

    def append(self, items: list[Any]) -> None:
        """At the end of the list on top."""
        if type(self.stack[-1]) is not list:
            raise _Refused(f"items for {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Into the dict on top."""
        if type(self.stack[-1]) is not dict or len(items) % 2 or not all(type(key) is str for key in items[::2]):
            raise _Refused("a dict whose keys are not texts")
        self.stack[-1].update(zip(items[::2], items[1::2]))

    def call(self) -> None:
        """What Python would call; here an array or a data type begins, or the pickle is refused."""
        arguments, called = self.stack.pop(), self.stack.pop()
        if called == _Name(_RECONSTRUCT) and arguments[0] == _Name(_ARRAY):
            self.push(_Bytes(is_type=False))
        elif called == _Name(_DTYPE) and arguments[0] in ("u1", "|u1"):
            self.push(_Bytes(is_type=True))
        else:
            raise _Refused(f"a call of {called.name}" if isinstance(called, _Name) else "a call")

    def build(self) -> None:
        """The state of what lies below: a data type has nothing to say, an array its shape and its bytes."""
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _Bytes):
            raise _Refused(f"a state of {type(made).__name__}")
        if made.is_type:
            return
        _, shape, dtype, by_columns, content = state
        if not isinstance(dtype, _Bytes) or not dtype.is_type or by_columns is not False:
            raise _Refused("an array that is not of bytes in rows")
        content = content.encode("latin-1") if isinstance(content, str) else content
        if len(content) != math.prod(shape):
            raise ValueError
        made.value = np.frombuffer(content, np.uint8).reshape(shape)


_INSTRUCTIONS = {
    b"\x80": lambda m: _check_protocol(m.number("<B")),
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"U": lambda m: m.push(m.take(m.number("<B")).decode("latin-1")),
    b"T": lambda m: m.push(m.take(m.number("<i")).decode("latin-1")),
    b"X": lambda m: m.push(m.take(m.number("<I")).decode("utf-8")),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"h": lambda m: m.push(m.memo[m.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"c": lambda m: m.name(),
    b"\x85": lambda m: m.join(1),
    b"\x86": lambda m: m.join(2),
    b"\x87": lambda m: m.join(3),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"a": lambda m: m.append([m.stack.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"s": lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.build(),
}


def _check_protocol(protocol: int) -> None:
    if protocol > 2:
        raise _Refused(f"protocol {protocol}")


def _finished(value: Any) -> Any:
    """The data with arrays in place of what stood for them; only at the two levels that batches have.

    Through the memo a few bytes can say that a dict holds another one twice, that one a third twice, and so on: what is
    nested deeper is refused, not walked.
    """
    if isinstance(value, dict):
        return {key: _item(item) for key, item in value.items()}
    return _item(value)


def _item(value: Any) -> Any:
    """What stands alone or in a dict: an array, a list of numbers and texts, or one of these."""
    if isinstance(value, _Bytes) and value.value is not None:
        return value.value
    if isinstance(value, _Bytes | _Name):
        raise _Refused("an array without content")
    if isinstance(value, list) and not all(type(item) in (int, str) for item in value):
        raise _Refused("a list of something else than numbers and texts")
    if isinstance(value, dict | tuple):
        raise _Refused(f"a {type(value).__name__} where plain data are wanted")
    return value
