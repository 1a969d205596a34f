"""Files and functions stay short enough to read in one sitting."""

from __future__ import annotations

import ast

from source_tree import PACKAGE, functions, modules

FILE_LINES, BODY_LINES = 500, 50

EXCEPTIONS: dict[str, str] = {}
"""Files (``gradloom/x.py``) and functions (``gradloom.x.f``) that may be longer, each with the reason."""


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_are_short():
    lengths = {str(p.relative_to(PACKAGE.parent)): len(p.read_text().splitlines()) for p in PACKAGE.rglob("*.py")}
    long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES and name not in EXCEPTIONS}
    assert not long


def test_functions_are_short():
    lengths = {f"{name}.{f.name}": body_lines(f) for name, tree in modules().items() for f in functions(tree)}
    long = {name: lines for name, lines in lengths.items() if lines > BODY_LINES and name not in EXCEPTIONS}
    assert not long
