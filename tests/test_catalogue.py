"""docs/catalogue.md lists every row of the catalogue, and nothing that does not exist.

In the third column code is a name: ``optim.SGD``, a method, an option as in ``optim.SGD(momentum=)``, a call with
values as in ``optim.SGD(momentum=0.9)``, which is made, a command as in ``gradloom train --loss``, or a finding of the
doctor.  In the fourth it is a test or a file of tests.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from test_docs import INLINE_CODE, LINK, OPTION, options_by_command

import gradloom as gl
from gradloom import data, estimators, masks, models, nn, optim, random, report, train
from gradloom.train.diagnosis.causes import ROOTS_FIRST

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")

NAMES = {
    "gl": gl,
    "gradloom": gl,
    "data": data,
    "estimators": estimators,
    "masks": masks,
    "models": models,
    "nn": nn,
    "optim": optim,
    "random": random,
    "report": report,
    "train": train,
}
NOT_BUILT, LATER = 0, 21
"""How many rows are open; whoever closes one lowers the number."""
SECTIONS = (14, 42, 60, 80, 97, 133, 158, 169, 179, 196, 208, 217, 220, 226, 242, 250)
"""The last row of each section, A1 to A16."""


@dataclass(frozen=True)
class Row:
    """A line of a table, and the number of its section."""

    section: int
    number: int
    what: str
    names: str
    tests: str

    @property
    def is_open(self) -> bool:
        return self.names in ("not built", "later")


def rows(page: str) -> list[Row]:
    """All lines that begin with a number."""
    found, section = [], 0
    for line in page.splitlines():
        section = int(line.split(".")[0].removeprefix("## A")) if line.startswith("## A") else section
        if re.match(r"\| *\d", line):
            # A bar inside code, as in masks of types, would be written \|.
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 4, f"not four columns: {line}"
            found.append(Row(section, int(cells[0]), *cells[1:]))
    return found


ROWS = rows(PAGE)
CLOSED = [row for row in ROWS if not row.is_open]


def wrong_name(text: str) -> str:
    """What is wrong with a name; empty if nothing is."""
    if text.startswith("gradloom ") or text == "gradloom":
        return _wrong_command(text)
    if text in ROOTS_FIRST:  # a finding of the doctor
        return ""
    path, bracket, rest = text.partition("(")
    try:
        found = _resolved(path)
    except (AttributeError, ImportError, KeyError):
        return f"there is no {path}"
    if inspect.ismodule(found):
        return f"{path} is a module"
    if not bracket:
        return ""
    if "=)" in rest or "=," in rest:
        options = re.findall(r"(\w+)=(?=[,)])", rest)
        unknown = set(options) - set(inspect.signature(found).parameters)
        return f"{path} has no option {', '.join(sorted(unknown))}" if unknown or not options else ""
    try:
        eval(text, dict(NAMES))
    except Exception as error:
        return f"{text}: {error}"
    return ""


def _wrong_command(text: str) -> str:
    command, *words = text.split()[1:]
    known = options_by_command()
    if command not in known:
        return f"there is no command {command}"
    unknown = {word for word in words if OPTION.fullmatch(word)} - known[command]
    return f"{command} has no option {', '.join(unknown)}" if unknown or set(words) - set(OPTION.findall(text)) else ""


def _resolved(path: str) -> Any:
    """The object of a dotted name: from a room as documented, or from a module of the package."""
    first, *rest = path.split(".")
    found: Any = NAMES[first]
    for i, name in enumerate(rest):
        if name in getattr(found, "__dataclass_fields__", ()):
            return found.__dataclass_fields__[name]
        if not hasattr(found, name) and inspect.ismodule(found):
            found = importlib.import_module(".".join(["gradloom", *rest[: i + 1]]))
        else:
            found = getattr(found, name)
    return found


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Names of the tests of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def wrong_test(text: str) -> str:
    """What is wrong with a test that is named; empty if nothing is."""
    name, colons, function = text.partition("::")
    path = ROOT / name
    if not name.startswith("tests/") or not path.is_file() or not functions_of(path):
        return f"there is no file of tests {name}"
    return f"{name} has no {function}" if colons and function not in functions_of(path) else ""


def test_every_row_is_there_once_and_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 251))
    assert all(row.what for row in ROWS)


def test_rows_stand_in_their_sections() -> None:
    assert [row.section for row in ROWS] == [1 + sum(row.number > last for last in SECTIONS) for row in ROWS]


@pytest.mark.parametrize("row", CLOSED, ids=lambda row: str(row.number))
def test_every_name_exists(row: Row) -> None:
    names = INLINE_CODE.findall(row.names)
    assert names, "a row that is built says where"
    assert [problem for problem in map(wrong_name, names) if problem] == []


@pytest.mark.parametrize("row", CLOSED, ids=lambda row: str(row.number))
def test_every_test_exists(row: Row) -> None:
    named = INLINE_CODE.findall(row.tests)
    assert named, "a row that is built says which test holds it"
    assert [problem for problem in map(wrong_test, named) if problem] == []
    assert LINK.sub("", INLINE_CODE.sub("", row.tests)).strip(", ") == "", "tests and links alone"


def test_open_rows_name_nothing_and_are_counted() -> None:
    opened = [row for row in ROWS if row.is_open]
    assert all(row.tests == "–" for row in opened)
    counted = {word: sum(row.names == word for row in opened) for word in ("not built", "later")}
    assert counted == {"not built": NOT_BUILT, "later": LATER}


ORACLES = re.findall(r"^\| (O\d+) \| (.*?) \| (.*?) \|$", PAGE, flags=re.MULTILINE)


def test_every_oracle_is_there() -> None:
    assert [name for name, _, _ in ORACLES] == [f"O{i}" for i in range(1, 11)]
    assert [name for name, numbers, _ in ORACLES if numbers == "later"] == ["O3", "O4"]


@pytest.mark.parametrize(("name", "numbers", "tests"), [o for o in ORACLES if o[1] != "later"])
def test_exact_numbers_stand_in_the_tests_beside_them(name: str, numbers: str, tests: str) -> None:
    named = INLINE_CODE.findall(tests)
    assert [problem for problem in map(wrong_test, named) if problem] == []
    texts = "".join((ROOT / test.partition("::")[0]).read_text(encoding="utf-8") for test in named)
    written = set(re.findall(r"-?\d+(?:\.\d+)?", texts))
    assert set(re.findall(r"-?\d+(?:\.\d+)?", numbers)) <= written, name


# The checks themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("optim.Sgd", "nn.losses.Crossentropy", "gl.nothing", "somewhere.Dense", "gradloom.ir.nothing.Graph"),
        *("optim.SGD(momentun=)", "optim.SGD(momentum=0.9, nestrov=True)", 'optim.Adam(eps_mode="within")'),
        *(
            "gradloom trian",
            "gradloom train --los",
            "gradloom train loss",
            "train.Trainer.fit(epoch=)",
            "data.Split.note",
            "nn.losses",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_found(text: str) -> None:
    assert wrong_name(text)


@pytest.mark.parametrize(
    "text",
    ["tests/nn/test_dens.py", "tests/nn/test_dense.py::test_nothing", "gradloom/nn/dense.py", "tests/conftest.py"],
)
def test_a_test_that_does_not_exist_is_found(text: str) -> None:
    assert wrong_test(text)


def test_a_row_that_is_missing_doubled_or_in_another_section_is_found() -> None:
    (line,) = re.findall(r"^\| 60 .*$", PAGE, flags=re.MULTILINE)
    assert [row.number for row in rows(PAGE.replace(line + "\n", ""))] != list(range(1, 251))
    assert [row.number for row in rows(PAGE.replace(line, f"{line}\n{line}"))] != list(range(1, 251))
    moved = PAGE.replace("## A4. ", "## A5. ", 1)
    assert [row.section for row in rows(moved)] != [row.section for row in ROWS]
