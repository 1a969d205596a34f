"""The documentation says what is so: its examples run, its figures are right, its links lead somewhere.

In a ``python`` block a comment ``# → text`` says what the statement before it shows: its value, what it prints, or
``Name: message`` of the error that it raises.  The text may go on in comments below; lines may be broken anywhere,
and numbers may be rounded to the digits written.  The blocks of a page share one namespace and one empty folder.

In a ``console`` block ``$ gradloom ...`` is run in that folder too.  Below it stands what it prints, where figures
may differ (they depend on the processor) and words may not; a line ``...`` stands for any lines.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradloom
from gradloom import autodiff, data, masks, nn, optim, report, train
from gradloom.errors import GradloomError
from gradloom.ir.tensortype import ORDER, promote

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.name for page in PAGES]

FENCED = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?")
FIGURE = re.compile(r"-?\d[\d.,]*(?:e[+-]?\d+)?")


# Reading pages --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind the fence, its text, and the number of lines before the text."""

    info: str
    text: str
    before: int
    lead: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; ``lead`` is the paragraph in front of each."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["info"].strip(), m["text"], text[: m.start("text")].count("\n"), _last_paragraph(text[: m.start()]))
        for m in FENCED.finditer(text)
    ]


def _last_paragraph(text: str) -> str:
    return text.rstrip().rsplit("\n\n", 1)[-1]


def code(page: Path) -> str:
    """All that a page sets as code."""
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    return "\n".join([*INLINE_CODE.findall(prose), *(block.text for block in blocks(page))])


def prose(page: Path) -> str:
    """All that it does not."""
    return INLINE_CODE.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))


# Running examples -----------------------------------------------------------------------------------------------


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Run the statements one by one and hold each to its promise."""
    statements = ast.parse(block.text).body
    promised = promises(block.text, statements)
    for statement in statements:
        promise = promised.get(statement)
        shown = shown_by(statement, namespace, may_fail=promise is not None)
        assert promise is None or agrees(promise, shown), (
            f"line {block.before + statement.lineno}: the page says\n{promise}\nand it is\n{shown}"
        )


def promises(text: str, statements: list[ast.stmt]) -> dict[ast.stmt, str]:
    """What the comments say of the statements before them."""
    found: dict[ast.stmt, str] = {}
    open_promise: ast.stmt | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        _, arrow, said = line.partition("# → ")
        if arrow:
            open_promise = next(s for s in reversed(statements) if s.lineno <= number)
            assert (open_promise.end_lineno or 0) <= number, f"a promise inside a statement: {line}"
            found[open_promise] = said
        elif open_promise is not None and line.startswith("# "):
            found[open_promise] += f"\n{line[2:]}"
        else:
            open_promise = None
    return found


def shown_by(statement: ast.stmt, namespace: dict[str, Any], *, may_fail: bool) -> str:
    """What a statement prints, then its value if it is an expression, or the error that ends it."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            if isinstance(statement, ast.Expr):
                value = eval(compile(ast.Expression(statement.value), "example", "eval"), namespace)
                printed.write("" if value is None else repr(value))
            else:
                exec(compile(ast.Module([statement], []), "example", "exec"), namespace)
    except GradloomError as error:
        if not may_fail:
            raise
        printed.write(f"{type(error).__name__}: {error}")
    return printed.getvalue()


def agrees(written: str, shown: str) -> bool:
    """Whether two texts are one, but for line breaks and the rounding of numbers."""
    a, b = (" ".join(text.split()) for text in (written, shown))
    alike = NUMBER.sub("#", a) == NUMBER.sub("#", b)
    return alike and all(map(_rounds_to, NUMBER.findall(a), NUMBER.findall(b)))


def _rounds_to(written: str, shown: str) -> bool:
    digits = int(Decimal(written).as_tuple().exponent)
    off = abs(Decimal(written) - Decimal(shown))
    return off == 0 or (digits < 0 and off <= Decimal(10) ** digits / 2)


def run_console(block: Block) -> None:
    """Run the commands and compare what they print."""
    from gradloom.cli.main import main

    exit_code = 0
    for turn in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, written = turn.partition("\n")
        if command == "echo $?":
            assert written.strip() == str(exit_code), f"exit code {exit_code}, not {written}"
            continue
        program, *words = shlex.split(command)
        assert program == "gradloom", f"only gradloom is run in console blocks, not {program}"
        screen = io.StringIO()
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            exit_code = main(words)
        shown = screen.getvalue()
        assert prints(written, shown), f"$ {command}\nthe page says\n{written}\nand it is\n{shown}"


def prints(written: str, shown: str) -> bool:
    """Whether the words agree; ``...`` on a line of its own stands for anything."""
    pieces = [re.escape(_without_figures(piece)) for piece in re.split(r"^\.\.\.$", written, flags=re.MULTILINE)]
    return re.fullmatch(".*".join(pieces), _without_figures(shown)) is not None


def _without_figures(text: str) -> str:
    return " ".join(re.sub("-{2,}", "--", FIGURE.sub("#", text)).split()).replace(" ", "")


# Tests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_run_and_show_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "example"}
    for block in blocks(page):
        if block.info == "python":
            run_python(block, namespace)
        elif block.info == "console":
            run_console(block)
        elif block.info.startswith("python"):
            assert block.info == "python no-run", f"{page.name}:{block.before}: unknown block {block.info}"
            assert "not run" in block.lead, f"{page.name}:{block.before}: say above why this is not run"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = HEADING.findall(FENCED.sub("", linked.read_text(encoding="utf-8")))
            assert anchor in {_anchor(h) for h in headings}, f"{page.name} links to {target}"


def _anchor(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_table_of_promotion_is_the_one_in_the_code():
    rows = re.findall(r"^\| \*\*(\w+)\*\* +\|(.*)\|$", (ROOT / "docs" / "tensors.md").read_text(), re.MULTILINE)
    written = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}
    assert written == {a: [promote(np.dtype(a), np.dtype(b)).name for b in ORDER] for a in ORDER}


def test_the_architecture_names_every_room_and_no_other_file():
    page = ROOT / "docs" / "architecture.md"
    named = set(INLINE_CODE.findall(FENCED.sub("", page.read_text(encoding="utf-8"))))
    entries = [p for p in (ROOT / "gradloom").iterdir() if not p.name.startswith("_")]
    rooms = {p.name for p in entries if p.suffix == ".py"} | {f"{p.name}/" for p in entries if p.is_dir()}
    assert rooms - named == set()
    files = {name for name in named if re.fullmatch(r"[\w/]+\.py|[\w]+/[\w/]*", name)}
    missing = {f for f in files if not (ROOT / f).exists() and not (ROOT / "gradloom" / f).exists()}
    assert not missing


ROOMS = [
    gradloom,
    gradloom.random,
    autodiff,
    nn,
    nn.losses,
    nn.metrics,
    nn.regularizers,
    optim,
    data,
    masks,
    train,
    report,
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_documentation(room):
    written = "\n".join(code(page) for page in PAGES if page.name != "catalogue.md")  # that only lists names
    names = getattr(room, "__all__", None) or list(_own_functions(room))
    missing = [name for name in names if not re.search(rf"(?<!\w){name}(?!\w)", written)]
    assert not missing, f"{room.__name__}: {missing}"


def _own_functions(room: Any) -> Iterator[str]:
    for name, value in vars(room).items():
        if not name.startswith("_") and getattr(value, "__module__", "") == room.__name__ and callable(value):
            yield name


def options_by_command() -> dict[str, set[str]]:
    """The options of every command of the command line."""
    import typer

    from gradloom.cli.app import build_app

    group = typer.main.get_command(build_app())
    found = {"": {"--help", "--version"}}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found[name] = {o for p in command.params for o in p.opts if o.startswith("-")} | {"--help"}
    return found


def test_options_in_the_documentation_exist():
    known = set().union(*options_by_command().values())
    for page in PAGES:
        unknown = set(OPTION.findall(code_of_commands(page))) - known
        assert not unknown, f"{page.name}: {sorted(unknown)}"


def code_of_commands(page: Path) -> str:
    """Inline code and console blocks, where options of commands occur."""
    inline = INLINE_CODE.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
    options = [text for text in inline if text.startswith(("-", "gradloom "))]
    return "\n".join([*options, *(block.text for block in blocks(page) if block.info == "console")])


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "info", "see", "report"])
def test_every_option_is_in_the_documentation(command):
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    section = re.split(rf"^## gradloom {command}$", page, flags=re.MULTILINE)[1].split("\n## ")[0]
    missing = {o for o in options_by_command()[command] if f"`{o}" not in section and f" {o}`" not in section}
    assert not missing


def test_every_command_has_a_section():
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert re.findall(r"^## gradloom (\w+)$", page, flags=re.MULTILINE) == [c for c in options_by_command() if c]


# The checks themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown", "same"),
    [
        ("0.82", "0.8244", True),
        ("0.82", "0.8351", False),
        ("3", "3.4", False),
        ("3.", "3.4", False),
        ("[1.0, 2.5]", "[1.0,\n 2.5]", True),
        ("Tensor(1., float32)", "Tensor(1., float64)", False),
    ],
)
def test_numbers_agree_to_the_digits_written(written, shown, same):
    assert agrees(written, shown) is same


def test_words_of_a_command_must_agree_and_figures_need_not():
    assert prints("a 0.5\n...\nz", "a  0.25\nb\nc\nz\n")
    assert not prints("a 0.5\n...\nz", "b  0.5\nz\n")


def test_a_broken_promise_is_found():
    with pytest.raises(AssertionError, match="line 1"):
        run_python(Block("python", "1 + 1  # → 3\n", 0, ""), {})
