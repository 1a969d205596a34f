"""The family of errors that gradloom raises for its users.

Every message says who refuses, which rule is broken, the values that break it, and the remedy.  The class asks
for these four parts separately so that none can be forgotten.  Errors raised inside a layer gather the path of
layers as they travel outwards (:meth:`GradloomError.within`).

``raise`` one of these for a mistake of the user; ``assert`` guards invariants of our own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import partial
from typing import Any


class GradloomError(Exception):
    """Base of all errors for users: ``who: rule; got VALUES. REMEDY``.

    Inside layers the path to the innermost stands in front; ``who`` is left out where that path already ends in it.

    Args:
        who: the function, layer or file that refuses.
        rule: the rule that is broken, as a clause.
        got: the offending values.
        fix: what to do about it, as a sentence.
    """

    def __init__(self, who: str, *, rule: str, got: str = "", fix: str = "") -> None:
        super().__init__(who, rule, got, fix)
        self.who, self.rule, self.got, self.fix = who, rule, got, fix
        self.layers: list[str] = []

    def within(self, layer: str) -> None:
        """Note that the error happened inside ``layer`` (called innermost first)."""
        self.layers.insert(0, layer)

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle needs to send the error from a worker process, for its parts are keyword arguments."""
        rebuild = partial(type(self), rule=self.rule, got=self.got, fix=self.fix)
        return rebuild, (self.who,), {"layers": self.layers}

    def __str__(self) -> str:
        place = f"in {' > '.join(self.layers)}: " if self.layers else ""
        who = "" if self._is_innermost_layer() else f"{self.who}: "
        values = f"; got {self.got}" if self.got else ""
        remedy = f". {self.fix}" if self.fix else ""
        return f"{place}{who}{self.rule}{values}{remedy}"

    def _is_innermost_layer(self) -> bool:
        """Whether the path of layers ends in ``who``: in ``Dense`` itself, or in ``encoder (Dense)``."""
        return bool(self.layers) and (self.layers[-1] == self.who or self.layers[-1].endswith(f"({self.who})"))


class ShapeError(GradloomError, ValueError):
    """Shapes, axes or ranks do not fit."""


class DTypeError(GradloomError, TypeError):
    """An operation does not take this data type, or a value is of the wrong kind."""


class IndexRangeError(GradloomError, IndexError):
    """An index lies outside an axis."""


class SymbolicValueError(GradloomError, TypeError):
    """A value that is not known while a function is traced was asked for."""


class OptionError(GradloomError, ValueError):
    """An option has a value outside its range, or two options contradict each other."""


class UnknownNameError(GradloomError, LookupError):
    """A name is not among the known ones; the message proposes the nearest."""


class DataError(GradloomError, ValueError):
    """A data set cannot be read or cannot be used as asked."""


class ModelFileError(GradloomError, ValueError):
    """A model file is unreadable, damaged, hostile or of an unknown version."""


class WriteError(GradloomError, OSError):
    """A file or a folder cannot be written."""


class NonFiniteError(GradloomError, ArithmeticError):
    """A NaN or an infinity appeared where training cannot go on with one."""


class TrainingError(GradloomError, RuntimeError):
    """Training does not do what it was watched for."""


class DomainError(GradloomError, ValueError):
    """A function of a Python number has no finite value there, as log 0."""


class UnsupportedError(GradloomError, NotImplementedError):
    """A transformation has no rule for an operation."""


class CompileError(GradloomError, RuntimeError):
    """A graph cannot be made into machine code."""


class OutOfMemoryError(GradloomError, MemoryError):
    """A program needs more memory than there is."""


class WorkerError(GradloomError, RuntimeError):
    """A worker process died or failed."""


class MissingPackageError(GradloomError, ImportError):
    """A feature needs an optional package that is not installed."""


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """A sentence that proposes the known name nearest to ``name`` and lists the rest when they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    best = next((n for n in names if close and n.lower() == close[0]), None)
    guess = f"Did you mean {best!r}? " if best else ""
    shown = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
    return f"{guess}Known: {shown}." if names else f"{guess}There are none."


def unknown_name(who: str, kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a ``kind`` of thing called ``name`` that does not exist."""
    return UnknownNameError(who, rule=f"no {kind} has this name", got=repr(name), fix=nearest_hint(str(name), known))
