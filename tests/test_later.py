"""Names that are loaded late: the same as those that readers and tools see, and none loaded without need."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

from gradloom import data
from gradloom.later import Table

LATE = ["gradloom.train", "gradloom.parallel", "gradloom.data", "gradloom.data.augment", "gradloom.data.images"]


@pytest.mark.parametrize("package", LATE)
def test_a_late_name_is_what_its_import_says(package: str):
    module = importlib.import_module(package)
    (block,) = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If)]
    promised = {a.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert promised
    for name, home in promised.items():
        whole = home == package  # a module, not a name inside one
        expected = importlib.import_module(f"{home}.{name}") if whole else getattr(importlib.import_module(home), name)
        assert getattr(module, name) is expected
        assert name in dir(module)
    assert set(module.__all__) <= set(dir(module))
    assert all(hasattr(module, name) for name in module.__all__)


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError, match=r"module 'gradloom.data' has no attribute 'unknown'"):
        _ = data.unknown


def test_training_loads_no_room_that_it_does_not_need():
    code = "import sys; from gradloom import train; print(*[m for m in sys.modules if m.startswith('gradloom.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "gradloom.train.trainer" in loaded
    unneeded = "drawing.plot", "train.diagnosis.diagnose", "data.pipeline", "parallel.workers"
    assert not {f"gradloom.{name}" for name in unneeded} & set(loaded)


def test_an_entry_is_made_when_it_is_asked_for_and_once():
    made: list[str] = []

    def maker(name: str):
        return lambda: made.append(name) or [name]

    table = Table({name: maker(name) for name in "abc"})
    assert list(table) == ["a", "b", "c"]
    assert len(table) == 3
    assert "a" in table
    assert "z" not in table
    assert made == []
    assert table["b"] is table.get("b")
    assert made == ["b"]
    assert dict(table) == {"a": ["a"], "b": ["b"], "c": ["c"]}
    assert repr(table) == repr(dict(table))
    assert made == ["b", "a", "c"]
    with pytest.raises(KeyError):
        _ = table["z"]
