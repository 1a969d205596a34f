"""Delimited text: CSV, TSV and their relatives, as people and programs really write them.

The format is RFC 4180 with three liberties: the delimiter may be any of ``, ; tab |``, blank lines are
skipped, and cells are stripped of surrounding whitespace.  A cell is missing if it is empty or one of
:data:`MISSING`.  Lines are split by the standard library's ``csv``, which keeps line numbers exact; the kinds
of the columns are inferred by :mod:`gradloom.data.schema`.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from gradloom.data.files import read_bytes
from gradloom.data.schema import build_table, is_date, is_number, unique_names
from gradloom.data.table import Kind, Table
from gradloom.errors import DataError, OptionError

MISSING = frozenset(("", "?", "NA", "N/A", "NaN", "nan", "null", "None", "-"))
"""The cells that stand for a missing value."""

DELIMITERS = (",", ";", "\t", "|")

UTF_8 = "utf-8"
"""The encoding of a text whose encoding nobody has said."""

Header = bool | Literal["auto"]

_SAMPLE_CHARACTERS = 65_536
_SAMPLE_ROWS = 200
_ROWS_PER_BLOCK = 4096


def read_delimited(
    path: Path,
    *,
    header: Header = "auto",
    kinds: Mapping[str, Kind] | None = None,
    encoding: str = UTF_8,
) -> Table:
    """A table from a file of delimited text, gzipped or not.

    Args:
        path: the file; the delimiter is found out from its first lines.
        header: whether the first line names the columns.  ``"auto"`` takes it for names if none of its cells
            is a number, a date or a marker of a missing value, and either some column below has only numbers
            or no name occurs again in its own column.  Columns without a name are called ``column_1``,
            ``column_2``, ...
        kinds: kinds of columns that the user has said; the others are inferred.
        encoding: how characters were written as bytes.

    Raises:
        DataError: the file cannot be read as a table; the message names the line.
        OptionError: unknown encoding, or a ``header`` that is none of the three.
        UnknownNameError: ``kinds`` names a column or a kind that does not exist.
    """
    if header not in (True, False, "auto"):
        raise OptionError("read_delimited", rule="header must be True, False or 'auto'", got=repr(header))
    source = str(path)
    raw = read_bytes(path)
    codec = _codec(encoding, source)
    sample = _decoded_sample(raw, codec, source)
    if not sample.strip():
        raise DataError(source, rule="a table needs at least one row", got="an empty file")
    delimiter = "\t" if ".tsv" in path.suffixes else find_delimiter(sample)
    text = io.TextIOWrapper(io.BytesIO(raw), encoding=codec, newline="")
    columns = _read_columns(text, delimiter, source)
    first = [column[0] for column in columns]
    named = _looks_like_header(first, columns) if header == "auto" else header
    if named and len(columns[0]) == 1:
        raise DataError(
            source,
            rule="a table needs at least one row below its header",
            got=f"only the line of names {', '.join(map(repr, first))}",
            fix="If that line is data, say that there are no names (header=False, or --header no).",
        )
    given = first if named else [""] * len(columns)
    names = unique_names((n or f"column_{i}" for i, n in enumerate(given, start=1)), source=source)
    cells = {
        name: [None if cell in MISSING else cell for cell in islice(column, int(named), None)]
        for name, column in zip(names, columns)
    }
    return build_table(cells, source=source, kinds=kinds)


def find_delimiter(sample: str) -> str:
    """The delimiter that cuts most of the sample's lines as it cuts the first, and among equals into most cells.

    Args:
        sample: the first characters of a file; where there are as many as a sample takes, the last line may
            be cut short and is left out.

    Returns:
        One of :data:`DELIMITERS`; the comma if none cuts the first line, as in a file of one column.
    """
    lines = sample.splitlines(keepends=True)
    if len(lines) > 1 and len(sample) >= _SAMPLE_CHARACTERS:
        lines.pop()
    lines = lines[:_SAMPLE_ROWS]

    def evenness(delimiter: str) -> tuple[float, int]:
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        widths = [len(row) for row in rows if row]
        if not widths or widths[0] == 1:
            return 0.0, 1
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(DELIMITERS, key=evenness)


def _codec(encoding: str, source: str) -> str:
    try:
        # A text stream, unlike codecs.lookup, also refuses what is a codec but not of text, such as base64.
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        name = codecs.lookup(encoding).name
    except LookupError:
        raise OptionError(
            source,
            rule="encoding must be one that Python knows",
            got=repr(encoding),
            fix="Common ones: utf-8, utf-16, latin-1, cp1252.",
        ) from None
    return "utf-8-sig" if name == "utf-8" else name  # takes the byte order mark off if there is one


def _decoded_sample(raw: bytes, codec: str, source: str) -> str:
    """The first characters of the text, once it is sure that the whole of it is text."""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            source,
            rule=f"the file is not {codec.removesuffix('-sig')} text",
            got=f"byte 0x{raw[error.start]:02x} on line {line}",
            fix="Say its encoding (encoding='latin-1', or --encoding latin-1; likewise utf-16), or save it as UTF-8.",
        ) from None
    zero = text.find("\0")
    if zero >= 0:
        raise DataError(
            source,
            rule="text must not contain NUL characters",
            got=f"one on line {text.count(chr(10), 0, zero) + 1}",
            fix="The file is binary, or say its encoding (encoding='utf-16', or --encoding utf-16).",
        )
    return text[:_SAMPLE_CHARACTERS]


def _read_columns(text: io.TextIOWrapper, delimiter: str, source: str) -> list[list[str]]:
    """All columns as stripped strings, the first line included."""
    rows = _even_rows(text, delimiter, source)
    columns: list[list[str]] = [[cell.strip()] for cell in next(rows)]
    # Turning rows into columns block by block keeps few of the row lists alive at a time.
    while block := list(islice(rows, _ROWS_PER_BLOCK)):
        for column, cells in zip(columns, zip(*block)):
            column.extend(map(str.strip, cells))
    return columns


def _even_rows(text: io.TextIOWrapper, delimiter: str, source: str) -> Iterator[list[str]]:
    """The rows that are not blank, each as wide as the first."""
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
    width = 0
    line = 1
    try:
        for row in reader:
            blank = not row or (row == [""] and width > 1)
            if not blank:
                width = width or len(row)
                if len(row) != width:
                    raise _ragged(line, len(row), width, delimiter, source)
                yield row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            source,
            rule=f"a quoted cell must be closed within {csv.field_size_limit():,} characters, and a delimiter or the "
            "line's end must follow it",
            got=f"{error} in the row that begins on line {line}",
            fix='Close the quote; write a quote inside a quoted cell twice ("").',
        ) from None


def _ragged(line: int, got: int, expected: int, delimiter: str, source: str) -> DataError:
    return DataError(
        source,
        rule=f"every line must have as many cells as the first one, {expected}",
        got=f"{got} on line {line}",
        fix=f"Complete the line, or quote the cells that contain the delimiter {delimiter!r}.",
    )


def _looks_like_header(first: list[str], columns: list[list[str]]) -> bool:
    if any((cell and cell in MISSING) or is_number(cell) or is_date(cell) for cell in first):
        return False
    if any(_has_only_numbers(column[1 : _SAMPLE_ROWS + 1]) for column in columns):
        return True
    return all(cell not in islice(column, 1, None) for cell, column in zip(first, columns))


def _has_only_numbers(cells: list[str]) -> bool:
    present = [cell for cell in cells if cell not in MISSING]
    return bool(present) and all(map(is_number, present))
