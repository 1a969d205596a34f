"""Compiled programs on disk: found again, safe against damage and concurrent writers, bounded."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl
from gradloom.executors.native import compile as compiling
from gradloom.executors.native.cache import ObjectCache
from gradloom.executors.native.program import NativeProgram


def test_code_is_made_once(tmp_path: Path):
    cache, made = ObjectCache(tmp_path), []

    def make() -> bytes:
        made.append(1)
        return b"code"

    assert [cache.get("key", make) for _ in range(3)] == [b"code"] * 3
    assert len(made) == 1
    assert cache.get("other", make) == b"code"
    assert len(made) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "checksum"])
def test_a_bad_entry_is_made_again(tmp_path: Path, damage: str):
    cache = ObjectCache(tmp_path)
    cache.get("key", lambda: b"good code")
    (entry,) = tmp_path.iterdir()
    data = bytearray(entry.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
    elif damage == "checksum":
        data[0] ^= 1
    entry.write_bytes({"truncated": bytes(data[:-3]), "empty": b""}.get(damage, bytes(data)))
    assert cache.get("key", lambda: b"new code") == b"new code"
    assert cache.get("key", lambda: b"newer code") == b"new code"


def test_the_folder_is_bounded_and_forgets_what_was_not_used(tmp_path: Path):
    cache = ObjectCache(tmp_path, most_bytes=350)
    for i in range(3):
        cache.get(str(i), lambda: bytes(80))
        for age, path in enumerate(sorted(tmp_path.iterdir(), key=os.path.getmtime, reverse=True), 1):
            os.utime(path, (1000 - age, 1000 - age))
    cache.get("0", lambda: b"lost")  # used again, so it stays
    cache.get("3", lambda: bytes(80))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 350
    assert cache.get("0", lambda: b"lost") == bytes(80)
    assert cache.get("1", lambda: b"lost") == b"lost"


def test_concurrent_writers(tmp_path: Path):
    code = os.urandom(100_000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ObjectCache(tmp_path).get("key", lambda: code), range(32)))
    assert all(f == code for f in found)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert ObjectCache(blocked / "sub").get("key", lambda: b"code") == b"code"
    assert ObjectCache(None).get("key", lambda: b"code") == b"code"


def test_a_program_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADLOOM_CACHE", str(tmp_path))
    graph = gl.trace(lambda x: gl.tanh(x) @ x.T + 1, gl.zeros((5, 6)))
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    before = compiling.compiled
    first = NativeProgram(graph)([x])[0]
    assert compiling.compiled == before + 1
    again = NativeProgram(gl.trace(lambda y: gl.tanh(y) @ y.T + 1, gl.zeros((5, 6))))([x])[0]
    assert compiling.compiled == before + 1
    assert np.array_equal(first, again)
    monkeypatch.setenv("GRADLOOM_CACHE", "off")
    NativeProgram(graph)
    assert compiling.compiled == before + 2
