"""Our own linker: LLVM's object files run as when LLVM links them, and what is unusual is left to LLVM."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradloom.executors.native import machine
from gradloom.executors.native.compile import Code, compile_module
from gradloom.executors.native.link import link
from gradloom.executors.native.machine import llvm
from gradloom.executors.native.target import Target, host, lesser
from gradloom.executors.native.target import machine as generator
from gradloom.executors.native.translate import translate

LINKED_HERE = sys.platform == "linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not LINKED_HERE, reason="elsewhere LLVM links")

TABLE = """
@table = constant [4 x i64] [i64 5, i64 7, i64 11, i64 13], align 8
@size = constant i64 4
define i64 @at(i64 %i) nounwind {
  %place = getelementptr i64, ptr @table, i64 %i
  %value = load i64, ptr %place
  ret i64 %value
}
define i64 @twice(i64 %i) nounwind {
  %value = call i64 @at(i64 %i)
  %sum = add i64 %value, %value
  ret i64 %sum
}
"""
OUTSIDE = """
declare i64 @labs(i64)
define i64 @distance(i64 %a, i64 %b) nounwind {
  %difference = sub i64 %a, %b
  %result = call i64 @labs(i64 %difference)
  ret i64 %result
}
"""
VECTORS = """
define void @scale(ptr %x, ptr %y) nounwind {
  %v = load <8 x double>, ptr %x, align 8
  %w = fmul <8 x double> %v, <double 1., double 2., double 3., double 4., double 5., double 6., double 7., double 8.>
  store <8 x double> %w, ptr %y, align 8
  ret void
}
"""
WRITABLE = """
@count = global i64 0
define i64 @next() nounwind {
  %old = load i64, ptr @count
  %new = add i64 %old, 1
  store i64 %new, ptr @count
  ret i64 %new
}
"""
UNKNOWN = """
declare i64 @gradloom_has_no_such_function(i64)
define i64 @f(i64 %a) nounwind {
  %result = call i64 @gradloom_has_no_such_function(i64 %a)
  ret i64 %result
}
"""


THROWING = TABLE.replace(" nounwind", "")
"""With a table of how to leave its functions by an exception."""


def object_file(text: str, target: Target | None = None) -> bytes:
    return translate(text, generator(target or host()))


def called(address: int, *numbers: int) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64, *(ctypes.c_int64,) * len(numbers))(address)(*numbers)


def test_functions_constants_and_the_c_library_are_found():
    image = link([object_file(TABLE), object_file(OUTSIDE)])
    assert image is not None
    at, twice, distance = (image.places[name] for name in ("at", "twice", "distance"))
    assert [called(at, i) for i in range(4)] == [5, 7, 11, 13]
    assert [called(twice, i) for i in range(4)] == [10, 14, 22, 26]
    assert [called(distance, a, b) for a, b in ((3, 10), (10, 3), (4, 4))] == [7, 7, 0]
    assert ctypes.c_int64.from_address(image.places["size"]).value == 4


@pytest.mark.parametrize("target", [None, *lesser().values()])
def test_constants_of_vectors_are_where_the_code_looks(target: Target | None):
    image = link([object_file(TABLE, target), object_file(VECTORS, target)])
    assert image is not None
    x, y = ((ctypes.c_double * 8)(*[0.5] * 8) for _ in range(2))
    called(image.places["scale"], ctypes.addressof(x), ctypes.addressof(y))
    assert list(y) == [0.5 * i for i in range(1, 9)]


def test_code_can_be_run_but_not_written_to():
    image = link([object_file(TABLE)])
    assert image is not None
    for line in Path("/proc/self/maps").read_text().splitlines():
        places, access, *_ = line.split()
        begin, end = (int(place, 16) for place in places.split("-"))
        if begin <= image.places["at"] < end:
            assert access == "r-xp"
            return
    raise AssertionError("the code is in no memory of this process")


def test_what_is_unusual_is_left_to_llvm():
    llvm().initialize_all_targets()
    llvm().initialize_all_asmprinters()
    ours = object_file(TABLE)
    arm = replace(host(), cpu="generic", features="", triple="aarch64-unknown-linux-gnu")
    windows = replace(host(), triple="x86_64-pc-windows-msvc")
    texts = (WRITABLE, UNKNOWN, THROWING)
    strange = [object_file(TABLE, arm), object_file(TABLE, windows), *map(object_file, texts)]
    for data in (*strange, b"", b"no object file at all", ours[:18] + b"\xff" + ours[19:]):
        assert link([ours, data]) is None


def test_llvm_links_what_is_left_to_it():
    code = compile_module(WRITABLE, host())
    assert isinstance(code, Code)
    assert [called(code.address("next")) for _ in range(3)] == [1, 2, 3]
    assert code.number("count") == 3


TRAINING = """
import sys
import numpy as np
import gradloom as gl
step = gl.jit(lambda w, x: gl.value_and_grad(lambda w: gl.mean(gl.tanh(x @ w)))(w))
print(*(y.tolist() for y in step(np.ones((300, 7), np.float32), np.ones((400, 300), np.float32))))
print("llvmlite" in sys.modules)
"""


def test_a_second_process_does_without_llvm(tmp_path: Path):
    def lines() -> list[str]:
        env = {**os.environ, "GRADLOOM_CACHE": str(tmp_path), "GRADLOOM_THREADS": "2"}
        run = subprocess.run([sys.executable, "-c", TRAINING], env=env, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    first, second = lines(), lines()
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("True", "False")


def test_another_processor_or_library_is_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    own = machine._identity()
    assert own == machine._identity()
    other = tmp_path / "modalias"
    other.write_text("cpu:type:x86,ven0000fam0006mod0001:feature:,0000")
    monkeypatch.setattr(machine, "_PROCESSOR", other)
    assert machine._identity() not in (own, None)
    monkeypatch.setattr(machine, "_PROCESSOR", tmp_path / "none")
    assert machine._identity() is None


def test_the_machine_is_what_llvm_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GRADLOOM_CACHE", str(tmp_path))
    asked, kept = (machine.this_machine.__wrapped__() for _ in range(2))
    assert asked == kept
    assert asked.cpu == llvm().get_host_cpu_name()
    assert asked.version == ".".join(map(str, llvm().llvm_version_info))
    features = llvm().get_host_cpu_features()
    assert all(asked.has(name) == present for name, present in features.items())
