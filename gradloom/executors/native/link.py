"""The linker: from object files to code in memory, without LLVM, whose library takes longer to load than a program.

Kernels need little of it.  They are made for the large code model, so what refers to a constant or to a function of
the C library is a whole address; there is one kind of relocation.  Only object files of that kind are linked here, in
the format of Linux for x86-64; whatever else is met is left to LLVM (see compile.py).

Source: System V Application Binary Interface, chapters 4 and 5; its AMD64 Architecture Processor Supplement, 4.4.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from gradloom.records import dataclass

_BEGIN = b"\x7fELF\x02\x01"  # 64 bits, the least byte first
_RELOCATABLE, _X86_64 = 1, 62
_KIND, _SECTIONS, _SECTION_COUNT = struct.Struct("<16xHH"), struct.Struct("<40xQ"), struct.Struct("<60xH")
_SECTION, _SYMBOL, _RELOCATION = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ"), struct.Struct("<QQq")
_PROGRAM, _SYMBOLS, _RELOCATIONS = 1, 2, 4
"""Kinds of sections."""
_WRITABLE, _IN_MEMORY, _EXECUTED = 1, 2, 4
"""Flags of sections."""
_UNDEFINED, _RESERVED = 0, 0xFF00
"""Numbers that stand for no section."""
_WHOLE_ADDRESS = 1
"""R_X86_64_64: the address of a symbol, and a constant."""
_LINE = 64


class _Unknown(Exception):
    """Something that is left to LLVM."""


class _Section(NamedTuple):
    """The head of a section, as it lies in the file."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


@dataclass(frozen=True)
class Image:
    """Linked code.

    Attributes:
        places: the address of each function and constant.
        memory: what holds them, for as long as this object lives.
    """

    places: Mapping[str, int]
    memory: mmap.mmap


def link(objects: Iterable[bytes]) -> Image | None:
    """Bring object files into memory that can be run and not be written to; None where that is left to LLVM."""
    try:
        return _linked([(data, _sections(data)) for data in objects])
    except (_Unknown, OSError):
        return None


def _sections(data: bytes) -> list[_Section]:
    if data[: len(_BEGIN)] != _BEGIN or _KIND.unpack_from(data) != (_RELOCATABLE, _X86_64):
        raise _Unknown
    (place,), (count,) = _SECTIONS.unpack_from(data), _SECTION_COUNT.unpack_from(data)
    found = [_Section(*fields) for fields in _SECTION.iter_unpack(data[place : place + count * _SECTION.size])]
    for section in found:
        if section.flags & _IN_MEMORY and (section.kind != _PROGRAM or section.flags & _WRITABLE):
            raise _Unknown
    return found


def _linked(files: Sequence[tuple[bytes, list[_Section]]]) -> Image:
    offsets, size = _laid_out(files)
    memory = mmap.mmap(-1, max(size, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    places: dict[str, int] = {}
    for number, (data, sections) in enumerate(files):
        for i, section in enumerate(sections):
            if (number, i) in offsets:
                at = offsets[number, i]
                memory[at : at + section.size] = data[section.offset : section.offset + section.size]
        starts = [start + offsets.get((number, i), 0) for i in range(len(sections))]
        for table in (section for section in sections if section.kind == _SYMBOLS):
            addresses = _addresses(data, sections, table, starts, places)
            _relocate(memory, start, data, sections, starts, addresses)
    if _system().mprotect(ctypes.c_void_p(start), ctypes.c_size_t(len(memory)), mmap.PROT_READ | mmap.PROT_EXEC):
        raise _Unknown
    return Image(places, memory)


def _laid_out(files: Sequence[tuple[bytes, list[_Section]]]) -> tuple[dict[tuple[int, int], int], int]:
    """Where each section of each file begins, code before constants, and the size of all."""
    offsets: dict[tuple[int, int], int] = {}
    size = 0
    for wanted in (_EXECUTED, 0):
        for number, (_, sections) in enumerate(files):
            for i, section in enumerate(sections):
                if section.flags & _IN_MEMORY and section.flags & _EXECUTED == wanted:
                    alignment = max(section.alignment, _LINE if wanted else 1)
                    size = -(-size // alignment) * alignment
                    offsets[number, i] = size
                    size += section.size
    return offsets, size


def _addresses(
    data: bytes, sections: Sequence[_Section], table: _Section, starts: Sequence[int], places: dict[str, int]
) -> list[tuple[int, str]]:
    """The address of each symbol of a file, 0 if it is elsewhere, and its name; those with names become ``places``."""
    names = sections[table.link].offset
    found: list[tuple[int, str]] = []
    for name, _, _, section, value, _ in _SYMBOL.iter_unpack(data[table.offset : table.offset + table.size]):
        text = data[names + name : data.index(0, names + name)].decode()
        inside = section != _UNDEFINED and section < _RESERVED
        found.append((starts[section] + value if inside else 0, text))
        if inside and text:
            places[text] = starts[section] + value
    return found


def _relocate(
    memory: mmap.mmap,
    start: int,
    data: bytes,
    sections: Sequence[_Section],
    starts: Sequence[int],
    addresses: Sequence[tuple[int, str]],
) -> None:
    """Write the addresses that a file's code and constants refer to."""
    for place, kind, symbol, addend in _relocations(data, sections, starts):
        address, name = addresses[symbol]
        if kind != _WHOLE_ADDRESS:
            raise _Unknown
        struct.pack_into("<Q", memory, place - start, (address or _outside(name)) + addend)


def _relocations(
    data: bytes, sections: Sequence[_Section], starts: Sequence[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Of each relocation the address, the kind, the number of the symbol, and what is added to its address."""
    for table in sections:
        if table.kind == _RELOCATIONS and sections[table.info].flags & _IN_MEMORY:
            for offset, info, addend in _RELOCATION.iter_unpack(data[table.offset : table.offset + table.size]):
                yield starts[table.info] + offset, info & 0xFFFFFFFF, info >> 32, addend


@lru_cache
def _outside(name: str) -> int:
    """The address of a function of the C library."""
    try:
        return ctypes.cast(getattr(_system(), name), ctypes.c_void_p).value or 0
    except AttributeError:
        raise _Unknown from None


@lru_cache
def _system() -> ctypes.CDLL:
    """What this process has loaded for all."""
    return ctypes.CDLL(None)
