"""LLVM: from text to code in memory, part by part.

A program consists of parts: the function of each kernel, and what calls them.  A part is known by its *content*, which
says all that its code depends on: code of the same content is taken from this process, else from the disk
(``cache``).  Only where it is in neither place is the part's text written and translated.  So a second run of a
program writes and translates nothing, and a network with one more layer only the kernels that are new.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, Protocol
from weakref import WeakValueDictionary

from gradloom import config, ir, ops
from gradloom.executors import native
from gradloom.executors.native.cache import ObjectCache
from gradloom.executors.native.link import link
from gradloom.executors.native.machine import llvm, this_machine
from gradloom.executors.native.target import Target, machine
from gradloom.executors.native.translate import translate
from gradloom.records import dataclass

compiled = 0
"""How many parts LLVM has compiled in this process; what is found in the cache does not count."""


class Part(Protocol):
    """What LLVM translates by itself."""

    @property
    def content(self) -> str:
        """All that the text depends on, beside the target and gradloom itself."""
        ...

    def text(self) -> str:
        """LLVM's text, a module."""
        ...


@dataclass(frozen=True)
class Written:
    """A part that is nothing but its text."""

    content: str

    def text(self) -> str:
        """The content."""
        return self.content


class Refused(RuntimeError):
    """LLVM refuses the text of a part."""

    def __init__(self, part: Part, message: str) -> None:
        super().__init__(message)
        self.part = part


@dataclass(frozen=True)
class Code:
    """Machine code in memory.

    Attributes:
        place: where a function or a constant of a name lies.
        memory: what holds them, for as long as this object lives.
    """

    place: Callable[[str], int]
    memory: Any

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self.place(name)

    def function(self, name: str, arguments: int) -> Callable[..., None]:
        """A function of so many integers and addresses, to be called from Python; the caller keeps this object."""
        return ctypes.CFUNCTYPE(None, *(ctypes.c_int64,) * arguments)(self.address(name))

    def number(self, name: str) -> int:
        """The value of a 64-bit constant."""
        return ctypes.c_int64.from_address(self.place(name)).value


_loaded: WeakValueDictionary[str, Code] = WeakValueDictionary()
"""The code that some program of this process keeps, by key."""


def compile_module(text: str, target: Target) -> Code:
    """Code for a text.

    Raises:
        Refused: LLVM refuses it.
    """
    return load([Written(text)], target)[0]


def load(parts: Sequence[Part], target: Target) -> list[Code]:
    """Code for parts, whose functions must have different names.

    Raises:
        Refused: LLVM refuses a part.
    """
    keys = [key_of(part, target) for part in parts]
    codes = _in_memory(keys)
    if missing := {key: part for key, part in zip(keys, parts) if key not in codes}:
        codes |= _linked(_objects(missing, target), target)
    return [codes[key] for key in keys]


def known(keys: Sequence[str], target: Target) -> list[Code] | None:
    """Code by the keys of its parts, if none of it is missing in this process and on disk."""
    codes, cache = _in_memory(keys), ObjectCache(config.cache_folder())
    objects = {key: cache.find(key) for key in dict.fromkeys(keys) if key not in codes}
    found = {key: code for key, code in objects.items() if code is not None}
    if len(found) < len(objects):
        return None
    codes |= _linked(found, target)
    return [codes[key] for key in keys]


def _in_memory(keys: Iterable[str]) -> dict[str, Code]:
    return {key: code for key in keys if (code := _loaded.get(key)) is not None}


def key_of(part: Part, target: Target) -> str:
    """The name of a part's code in this process and on disk."""
    words = _sources(), this_machine().version, repr(vars(target)), part.content
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


@lru_cache
def _sources() -> str:
    """A digest of the compiler's source and of what it is about, so that a change there makes all code anew."""
    digest = hashlib.sha256()
    for package in (native, ops, ir):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _objects(parts: Mapping[str, Part], target: Target) -> dict[str, bytes]:
    """The object code of parts by key, from the disk where it is there."""
    cache = ObjectCache(config.cache_folder())
    found = {key: cache.find(key) for key in parts}
    missing = {key: part for key, part in parts.items() if found[key] is None}
    for key, code in zip(missing, _translated(list(missing.values()), target)):
        cache.keep(key, code)
        found[key] = code
    return {key: code for key, code in found.items() if code is not None}


def _translated(parts: Sequence[Part], target: Target) -> list[bytes]:
    """The object code of parts; while LLVM translates some, another is written."""
    if not parts:
        return []
    made, waiting = [b""] * len(parts), iter(enumerate(parts))  # each thread takes the next
    problems: list[BaseException] = []

    def work(generator: Any) -> None:
        try:
            for place, part in waiting:
                made[place] = _translate(part, generator)
        except BaseException as problem:
            problems.append(problem)

    team = [Thread(target=work, args=(machine(target),)) for _ in range(min(config.threads(), len(parts)))]
    for thread in team:
        thread.start()
    try:
        for thread in team:
            thread.join()
    finally:
        deque(waiting, maxlen=0)  # after Ctrl-C the threads find nothing more to do
    if problems:
        raise problems[0]
    return made


def _translate(part: Part, generator: Any) -> bytes:
    global compiled
    text = part.text()
    compiled += 1
    try:
        return translate(text, generator)
    except RuntimeError as problem:
        raise Refused(part, str(problem)) from problem


def _linked(objects: Mapping[str, bytes], target: Target) -> dict[str, Code]:
    """Bring object code into memory, by key."""
    if not objects:
        return {}
    code = _linked_here(objects.values()) or _linked_by_llvm(objects.values(), target)
    linked = dict.fromkeys(objects, code)
    _loaded.update(linked)
    return linked


def _linked_here(objects: Iterable[bytes]) -> Code | None:
    image = link(objects)
    return image and Code(image.places.__getitem__, image.memory)


def _linked_by_llvm(objects: Iterable[bytes], target: Target) -> Code:
    binding = llvm()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine(target))
    for code in objects:
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Code(lambda name: engine.get_function_address(name) or engine.get_global_value_address(name), engine)
