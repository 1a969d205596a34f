"""What is made when it is first asked for: names of a package (PEP 562), entries of a table.

A program that trains a network needs few of the modules of its packages, and each module costs part of a millisecond
before the first step.  Such a package imports its names under ``TYPE_CHECKING``, for readers and their tools, and says
here where they are when the program runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

Entry = TypeVar("Entry")


def later(
    package: str, exported: Sequence[str], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``.

    Args:
        package: its name.
        exported: all its names, loaded or not.
        homes: for each module inside it the names that it has, with spaces between; modules are found as well.
    """
    found = {part: (part, "") for part in (module.split(".")[0] for module in homes)}
    found.update((name, (module, name)) for module, names in homes.items() for name in names.split())

    def load(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, inside = found[name]
        value = import_module(f"{package}.{module}")
        value = getattr(value, inside) if inside else value
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted({*vars(sys.modules[package]), *exported})


class Table(Mapping[str, Entry]):
    """Objects by name; each is made when it is first asked for, and once.

    Args:
        makers: what makes each of them.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Entry]]) -> None:
        self._makers = makers
        self._made: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        if name not in self._made:
            self._made.setdefault(name, self._makers[name]())
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return repr(dict(self))
