"""The floors of the house: a room imports only rooms below it, nothing goes round in circles."""

from __future__ import annotations

import ast

import pytest
from source_tree import functions, imported, modules

# Every line is a floor, from the ground up.  Rooms on one floor do not import each other.
FLOORS = """
starting
records
errors limits collection drawing later
equations
config description options saving tree
ir
ops
autodiff
executors
parallel semantics
einsum indexing
tensor
creation pointwise
reductions arrangement products
windows
pooling
functional
tracing
compiling custom vectorising loops
derivatives
jacobians
transforms
debug gradient_check inspecting naming random symbolic
paths
gradloom
nn optim data masks
models text train
tune estimators interop report
cli
__main__
"""
ROOMS = {room: level for level, line in enumerate(FLOORS.split("\n")) for room in line.split()}

LATE = {
    *("polars", "pandas", "pyarrow", "sklearn", "typer", "rich", "matplotlib", "jinja2", "optuna", "pooch", "PIL"),
    *("jax", "jaxlib", "llvmlite", "ml_dtypes", "onnx", "ray", "safetensors"),
}
"""Heavy packages, which may be imported inside the functions that need them."""

LATE_MODULES = {
    "gradloom.cli.app": "its imports need typer; gradloom.cli.main says how to install it",
    "gradloom.ir.picture": "pictures are asked for rarely",
    "gradloom.executors.native.peak": "it needs the compiler",
    **dict.fromkeys(
        [f"gradloom.executors.native.{name}" for name in ("explain", "planning", "profile")],
        "a program whose outline is kept needs no planner",
    ),
    "gradloom.executors.native.program": "the compiler is larger than all that an import needs",
}
"""Modules of ours that may be imported inside functions, each with the reason."""


def room(module: str) -> str:
    """The room of a module of ours; the package's own file is the room ``gradloom``."""
    return module.split(".")[1] if "." in module else module


def imports() -> list[tuple[str, str]]:
    """Pairs (importer, imported) of our own modules."""
    return [
        (module, target)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for target in imported(module, node)
        if target.split(".")[0] == "gradloom"
    ]


def test_every_room_has_a_floor():
    missing = {room(module) for module in modules()} - set(ROOMS)
    assert not missing, f"give {sorted(missing)} a floor in docs/architecture.md and here"


def test_rooms_import_only_rooms_below():
    wrong = [f"{a} imports {b}" for a, b in imports() if room(a) != room(b) and ROOMS.get(room(a), 0) <= ROOMS[room(b)]]
    assert not wrong


def test_no_module_imports_itself_by_a_detour():
    users: dict[str, set[str]] = {}
    for importer, target in imports():
        users.setdefault(importer, set()).add(target)
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            pytest.fail(" imports ".join([*path[path.index(module) :], module]))
        if module not in done:
            for target in sorted(users.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in modules():
        visit(module, [])


def test_only_heavy_packages_are_imported_inside_functions():
    wrong = [
        f"{module}:{node.lineno} imports {target}"
        for module, tree in modules().items()
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for target in imported(module, node)
        if target.split(".")[0] not in LATE and target not in LATE_MODULES
    ]
    assert not wrong
