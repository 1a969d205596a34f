"""Files for the tests of the commands, sound ones and such as commands stumble over."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Setup = Callable[[Path], None]


def write_flowers(path: Path, rows: int = 60, seed: int = 0) -> None:
    """A table with two classes that petal and colour tell apart, a number that is missing here and there, and noise."""
    random = np.random.default_rng(seed)
    lines = ["petal,width,colour,kind"]
    for row in range(rows):
        rose = row % 2 == 0
        petal = random.normal(3.0 if rose else 1.0, 0.3)
        width = "" if row % 7 == 3 else f"{random.normal():.3f}"
        colour = random.choice(["red", "white"] if rose else ["blue", "white"])
        lines.append(f"{petal:.3f},{width},{colour},{'rose' if rose else 'violet'}")
    path.write_text("\n".join(lines) + "\n")


def write_prices(path: Path, rows: int = 80, seed: int = 0) -> None:
    """A table whose price follows from area and age."""
    random = np.random.default_rng(seed)
    area, age = random.uniform(30, 200, rows), random.uniform(0, 80, rows)
    price = 5000 * area - 1500 * age + random.normal(0, 5000, rows)
    lines = ["area,age,price", *(f"{a:.1f},{b:.1f},{c:.1f}" for a, b, c in zip(area, age, price))]
    path.write_text("\n".join(lines) + "\n")


def flowers(folder: Path) -> None:
    """A sound table, flowers.csv."""
    write_flowers(folder / "flowers.csv")


def prices(folder: Path) -> None:
    """A sound table, prices.csv."""
    write_prices(folder / "prices.csv")


def text(name: str, content: str) -> Setup:
    """A text file."""
    return lambda folder: _ignore((folder / name).write_text(content, encoding="utf-8"))


def raw(name: str, content: bytes) -> Setup:
    """A file of bytes."""
    return lambda folder: _ignore((folder / name).write_bytes(content))


def table(name: str, cell: Callable[[int], object], rows: int = 40) -> Setup:
    """A CSV file with the columns x, a number, and y, the cell of each row."""
    lines = ["x,y", *(f"{row * 0.37:.2f},{cell(row)}" for row in range(rows))]
    return text(name, "\n".join(lines) + "\n")


def archive(name: str, build: Callable[[], dict[str, np.ndarray]]) -> Setup:
    """An .npz file."""
    return lambda folder: np.savez(folder / name, **build())  # pyright: ignore[reportArgumentType]


def cut(name: str, count: int) -> Setup:
    """The file ``name`` without its last ``count`` bytes."""

    def shorten(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-count])

    return shorten


def gzipped(name: str, content: str) -> Setup:
    """A gzipped text."""
    return raw(name, gzip.compress(content.encode(), mtime=0))


def header(change: Callable[[dict[str, Any]], None]) -> Setup:
    """model.safetensors with its description changed and its checksum left as it was."""

    def rewrite(folder: Path) -> None:
        content = (folder / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        whole = json.loads(content[8 : 8 + size])
        description = json.loads(whole["__metadata__"]["gradloom"])
        change(description)
        whole["__metadata__"]["gradloom"] = json.dumps(description)
        written = json.dumps(whole).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(written)) + written + content[8 + size :])

    return rewrite


def both(*setups: Setup) -> Setup:
    """Several setups, one after another."""

    def run(folder: Path) -> None:
        for setup in setups:
            setup(folder)

    return run


def _ignore(value: object) -> None:
    """For the results of writes, which nobody needs."""
