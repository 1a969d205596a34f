"""Compiled programs on disk: found again, safe against damage and concurrent writers, bounded."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom.executors.native import compile as compiling
from gradloom.executors.native import planning
from gradloom.executors.native.cache import ObjectCache
from gradloom.executors.native.digest import digest
from gradloom.executors.native.machine import this_machine
from gradloom.executors.native.module import KernelFunction
from gradloom.executors.native.program import NativeProgram
from gradloom.executors.native.target import host, lesser
from gradloom.ir.graph import Graph, placeholder, scope
from gradloom.ir.tensortype import TensorType, bfloat16
from gradloom.ops import elementwise


def found_or(cache: ObjectCache, key: str, code: bytes) -> bytes:
    """The code of a key, kept if it is not there."""
    found = cache.find(key)
    if found is None:
        cache.keep(key, code)
    return found or code


def test_code_is_found_by_its_key(tmp_path: Path):
    cache = ObjectCache(tmp_path)
    assert cache.find("key") is None
    cache.keep("key", b"code")
    assert ObjectCache(tmp_path).find("key") == b"code"
    assert cache.find("other") is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "checksum", "another's"])
def test_a_bad_entry_is_thrown_away(tmp_path: Path, damage: str):
    cache = ObjectCache(tmp_path)
    cache.keep("key", b"good code")
    (entry,) = tmp_path.iterdir()
    data = bytearray(entry.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
    elif damage == "checksum":
        data[0] ^= 1
    elif damage == "another's":
        cache.keep("other", b"good code of another kernel")
        data = bytearray((tmp_path / "other.o").read_bytes())
    entry.write_bytes({"truncated": bytes(data[:-3]), "empty": b""}.get(damage, bytes(data)))
    assert cache.find("key") is None
    assert not entry.exists()
    cache.keep("key", b"new code")
    assert cache.find("key") == b"new code"


@pytest.mark.parametrize("thing", ["folder", "pipe", "endless", "link to itself", "another user's", "huge"])
def test_what_is_no_entry_is_not_read(tmp_path: Path, thing: str, monkeypatch: pytest.MonkeyPatch):
    """A pipe would wait for a writer, an endless file fill the memory, a stranger's code do what the stranger likes."""
    cache, entry = ObjectCache(tmp_path), tmp_path / "key.o"
    if thing == "folder":
        entry.mkdir()
    elif thing == "pipe":
        os.mkfifo(entry)
    elif thing == "endless":
        entry.symlink_to("/dev/zero")
    elif thing == "link to itself":
        entry.symlink_to(entry)
    else:
        cache.keep("key", b"code")
    if thing == "another user's":
        if os.geteuid() == 0:
            os.chown(entry, 12345, 12345)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: 12345)
    elif thing == "huge":
        cache = ObjectCache(tmp_path, most_bytes=8)
    assert cache.find("key") is None


def test_the_folder_is_bounded_and_forgets_what_was_not_used(tmp_path: Path):
    cache = ObjectCache(tmp_path, most_bytes=350)
    for i in range(3):
        cache.keep(str(i), bytes(80))
        for age, path in enumerate(sorted(tmp_path.iterdir(), key=os.path.getmtime, reverse=True), 1):
            os.utime(path, (1000 - age, 1000 - age))
    assert cache.find("0") == bytes(80)  # used again, so it stays
    cache.keep("3", bytes(80))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 350
    assert cache.find("0") == bytes(80)
    assert cache.find("1") is None


def test_the_size_of_the_folder_is_looked_at_rarely(tmp_path: Path):
    """Once a process, so that many small ones keep to the bound, and then each time that much was written."""
    for i in range(100):
        (tmp_path / f"old{i}.o").write_bytes(bytes(1000))
    cache = ObjectCache(tmp_path, most_bytes=64_000)
    cache.keep("first", bytes(100))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 64_000
    for i in range(300):
        cache.keep(str(i), bytes(468))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 66_000


def test_concurrent_writers(tmp_path: Path):
    code = os.urandom(100_000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: found_or(ObjectCache(tmp_path), "key", code), range(32)))
    assert all(f == code for f in found)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for cache in (ObjectCache(blocked / "sub"), ObjectCache(None)):
        cache.keep("key", b"code")
        assert cache.find("key") is None


# Programs -------------------------------------------------------------------------------------------------------------

Counted = Callable[[Callable[[], Any]], tuple[int, int]]


def graph_of(*widths: int) -> Graph:
    """A network of such widths for 5 examples."""

    def network(x: Any, *weights: Any) -> Any:
        for w in weights:
            x = gl.tanh(x @ w)
        return x

    return gl.trace(network, *arrays_for(*widths))


def arrays_for(*widths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=s).astype(np.float32) for s in ((5, widths[0]), *pairwise(widths))]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    """How many kernels something writes, and how many parts it translates, with a cache of its own."""
    monkeypatch.setenv("GRADLOOM_CACHE", str(tmp_path))
    text, written = KernelFunction.text, []

    def noted(part: KernelFunction) -> str:
        written.append(part)
        return text(part)

    monkeypatch.setattr(KernelFunction, "text", noted)

    def count(something: Callable[[], Any]) -> tuple[int, int]:
        gc.collect()  # programs that nobody has any more
        before = compiling.compiled
        written.clear()
        something()
        return len(written), compiling.compiled - before

    return count


def test_a_second_run_writes_and_translates_nothing(counted: Counted):
    """There are two kernels, and the program around them is a part too."""
    x, results = arrays_for(7, 6, 4), []

    def run() -> None:
        results.append(NativeProgram(graph_of(7, 6, 4))(x)[0])

    assert counted(run) == (2, 3)
    assert counted(run) == (0, 0)
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0], np.tanh(np.tanh(x[0] @ x[1]) @ x[2]), rtol=1e-5)


def test_a_further_layer_costs_its_kernel(counted: Counted):
    NativeProgram(graph_of(7, 6, 4))
    assert counted(lambda: NativeProgram(graph_of(7, 6, 4, 3))) == (1, 2)


def test_programs_of_a_process_share_code(counted: Counted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADLOOM_CACHE", "off")
    first = NativeProgram(graph_of(7, 6, 4))
    assert counted(lambda: NativeProgram(graph_of(7, 6, 4))) == (0, 0)
    assert counted(lambda: NativeProgram(graph_of(7, 6, 4), clocks=True)) == (0, 1)
    del first
    assert counted(lambda: NativeProgram(graph_of(7, 6, 4))) == (2, 3)


@pytest.mark.parametrize("damage", ["truncated", "another's", "missing"])
def test_damaged_entries_are_made_again(counted: Counted, tmp_path: Path, damage: str):
    """Of the code of two kernels and the program around them each is translated again; the outline is planned again."""
    x = arrays_for(7, 6, 4)
    wanted = NativeProgram(graph_of(7, 6, 4))(x)[0]
    entries, translated = sorted(tmp_path.iterdir()), []
    assert len(entries) == 4
    for entry, other in zip(entries, (*entries[1:], entries[0])):
        if damage == "missing":
            entry.unlink()
        else:
            entry.write_bytes(other.read_bytes() if damage == "another's" else entry.read_bytes()[:-10])
        found = []
        translated.append(counted(lambda found=found: found.append(NativeProgram(graph_of(7, 6, 4))(x)[0]))[1])
        np.testing.assert_array_equal(found[0], wanted)
    assert sorted(translated) == [0, 1, 1, 1]


def test_a_kept_outline_needs_no_plan(counted: Counted, monkeypatch: pytest.MonkeyPatch):
    """Tables of constants, loops, results that are inputs or have another shape are all said in an outline."""

    def f(x: Any, n: Any) -> Any:
        turns, doubled = gl.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 2), (n * 0, x))
        return x, turns, doubled.reshape(6), gl.sort(x, 1), x * np.arange(3.0, dtype=np.float32), gl.one_hot(n, 5)

    graph = gl.trace(f, np.ones((2, 3), np.float32), np.int64(3))
    given = [np.arange(6, dtype=np.float32).reshape(2, 3), np.asarray(4)]
    wanted = NativeProgram(graph)(given)
    monkeypatch.setattr(planning, "make_plan", None)
    found = NativeProgram(graph)
    for y, z in zip(found(given), wanted, strict=True):
        np.testing.assert_array_equal(y, z, strict=True)
    monkeypatch.undo()
    assert "arena" in found.explain()  # for which the plan is made after all


def test_what_an_outline_cannot_say_is_planned_each_time(counted: Counted):
    """bfloat16, of which NumPy has no text."""
    x = np.asarray([1.5, -2.0], "float32").astype(bfloat16())
    graph = gl.trace(lambda x: x + x, x)
    for _ in range(2):
        np.testing.assert_array_equal(NativeProgram(graph)([x])[0].astype(np.float32), [3.0, -4.0])


X, INTEGERS = np.ones((2, 3), np.float32), np.ones((2, 3), np.int64)
DIFFERENT: list[tuple[Callable[..., Any], Any]] = [
    (lambda x: x + 1, X),
    (lambda x: x - 1, X),
    (lambda x: x + 2, X),
    (lambda x: x * 0.0, X),
    (lambda x: x * -0.0, X),
    (lambda x: x + 1, X[:1]),
    (lambda x: x + 1, INTEGERS),
    (lambda x: (x, x + 1), X),
    (lambda x: (x + 1, x), X),
    (lambda x: x + np.arange(3), X),
    (lambda x: x + np.arange(1, 4), X),
    (lambda x: gl.sum(x, 0), X),
    (lambda x: gl.sum(x, 1), X),
    (lambda x: gl.scan(lambda c, e: (c + e, c), gl.zeros(3), x), X),
    (lambda x: gl.scan(lambda c, e: (c * e, c), gl.zeros(3), x), X),
    (lambda x: gl.scan(lambda c, e: (c + e, c), gl.ones(3), x), X),
    (lambda x: gl.scan(lambda c, e: (c + e, c), gl.zeros(3), x, reverse=True), X),
]


def test_a_digest_tells_graphs_apart_by_what_they_compute():
    digests = [digest(gl.trace(f, x)) for f, x in DIFFERENT]
    assert None not in digests
    assert len(set(digests)) == len(digests)
    assert digests == [digest(gl.trace(f, x)) for f, x in DIFFERENT]
    first, second = (gl.trace(lambda x, y, swap=swap: x - y if swap else y - x, X, X) for swap in (True, False))
    assert digest(first) != digest(second)


def test_a_digest_leaves_names_out():
    def named(other: Any) -> Any:
        with scope("layer"):
            return other + 1

    assert digest(gl.trace(named, X)) == digest(gl.trace(lambda x: x + 1, X))


def test_part_of_a_trace_has_no_digest():
    outer, x = placeholder(TensorType((2,), np.dtype("float32"))), placeholder(TensorType((2,), np.dtype("float32")))
    assert digest(Graph((x,), (elementwise.add(x, outer),))) is None


def test_another_processor_or_version_shares_nothing(counted: Counted, monkeypatch: pytest.MonkeyPatch):
    targets = [host(), *lesser().values(), replace(host(), features=host().features + ",-avx512vnni")]
    for target in dict.fromkeys(targets):
        assert counted(lambda target=target: NativeProgram(graph_of(7, 6), target)) == (1, 2)
    monkeypatch.setattr(compiling, "_sources", lambda: "the source of tomorrow")
    assert counted(lambda: NativeProgram(graph_of(7, 6))) == (1, 2)
    monkeypatch.setattr(compiling, "this_machine", lambda: replace(this_machine(), version="99.0.0"))
    assert counted(lambda: NativeProgram(graph_of(7, 6))) == (1, 2)


def test_any_change_of_the_source_is_another_version():
    paths = [p for room in ("executors/native", "ops", "ir") for p in (Path(gl.__file__).parent / room).rglob("*.py")]
    read, digests = [], []
    for changed in (None, *paths[:3]):
        read.clear()

        def read_bytes(path: Path, changed: Path | None = changed) -> bytes:
            read.append(path)
            return b"changed" if path == changed else b"as it was"

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_bytes", read_bytes)
            digests.append(compiling._sources.__wrapped__())
        assert set(read) == set(paths)
    assert len(set(digests)) == len(digests)


TRAINING = """
import numpy as np
from gradloom import nn, optim, train
from gradloom.executors.native import compile
x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
y = (x[:, 0] > 0).astype(int)
model = nn.Sequential(nn.Dense(5, activation="relu"), nn.Dropout(0.1), nn.Dense(2))
train.Trainer(model, "cross_entropy", optim.SGD(0.01)).fit((x, y), epochs=1, batch_size=16, progress="silent")
print(compile.compiled)
"""


def test_another_process_finds_all_of_it(tmp_path: Path):
    def compiled(seed: str) -> int:
        env = {**os.environ, "GRADLOOM_CACHE": str(tmp_path), "PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", TRAINING]
        return int(subprocess.run(run, env=env, capture_output=True, text=True, check=True, timeout=60).stdout)

    assert compiled("1") > 10
    assert compiled("2") == 0
