"""Delimited text: what real files look like, a round trip through csv.writer, and every refusal to the letter."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradloom import limits
from gradloom.data.delimited import DELIMITERS, MISSING, find_delimiter, read_delimited
from gradloom.data.files import read_bytes
from gradloom.data.table import Table
from gradloom.errors import DataError, GradloomError, OptionError

TABULAR = Path(__file__).resolve().parents[2] / "../shared/data/tabular"
real_data = pytest.mark.skipif(not TABULAR.is_dir(), reason="the real tables of ../shared/data are not here")


@pytest.fixture
def write(tmp_path: Path):
    def written(content: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def cells_of(table: Table) -> dict[str, list[object]]:
    """The table's cells with None for every missing one."""
    return {
        name: [None if absent else cell for cell, absent in zip(column.values.tolist(), column.missing())]
        for name, column in table.columns.items()
    }


# Reading -------------------------------------------------------------------------------------------------


def test_names_kinds_and_missing_cells(write) -> None:
    table = read_delimited(write('id,name,age\n1,"Braund, Mr. Owen",22\n2, Kelly ,\n3,?,NA\n'))
    assert cells_of(table) == {
        "id": ["1", "2", "3"],
        "name": ["Braund, Mr. Owen", "Kelly", None],
        "age": [22.0, None, None],
    }
    assert [c.kind for c in table.columns.values()] == ["identifier", "category", "number"]


@pytest.mark.parametrize("marker", sorted(MISSING))
def test_every_marker_is_missing(write, marker: str) -> None:
    assert cells_of(read_delimited(write(f"a,b\n1,x\n{marker},{marker}\n"))) == {"a": [1, None], "b": ["x", None]}


def test_infinity_is_a_number_and_nan_is_missing(write) -> None:
    values = read_delimited(write("x\n1\n-inf\nnan\nInfinity\n"))["x"].values
    np.testing.assert_array_equal(values, [1, -np.inf, np.nan, np.inf])


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_delimiters(write, delimiter: str) -> None:
    path = write(delimiter.join("ab") + "\n" + delimiter.join("12") + "\n", "t.txt")
    assert cells_of(read_delimited(path)) == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a;b\n1,5;2,25\n2,5;3\n", ";"),
        ('"a;1",b\n"c;2",d\n', ","),
        ("word\nother\n", ","),
        ("word\na\tb\nc\td\n", ","),
        ("a\tb\nx, y\tz\n", "\t"),
        ("a,b,c\n1,2\n3,4,5\n", ","),
    ],
)
def test_finding_the_delimiter(sample: str, delimiter: str) -> None:
    assert find_delimiter(sample) == delimiter


def test_the_last_line_of_a_long_sample_is_left_out() -> None:
    assert find_delimiter("a|b\n" + "x" * 65_530 + ",y") == "|"
    assert find_delimiter("\n" + "x" * 65_535) == ","


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,x\n", ["a", "b"]),
        ("3,4\n1,x\n", ["column_1", "column_2"]),
        ("male,S\nmale,C\nfemale,S\n", ["column_1", "column_2"]),
        ("sex,port\nmale,C\nfemale,S\n", ["sex", "port"]),
        ("2020-01-01,x\n2020-01-02,y\n", ["column_1", "column_2"]),
        ("?,x\n1,y\n", ["column_1", "column_2"]),
        (",a\n0,5\n1,6\n", ["column_1", "a"]),
        ("1,2\n", ["column_1", "column_2"]),
    ],
)
def test_header_auto(write, text: str, names: list[str]) -> None:
    assert read_delimited(write(text)).names == names


def test_header_as_told(write) -> None:
    path = write("2019,2020\n1,2\n")
    assert read_delimited(path, header=True).names == ["2019", "2020"]
    assert read_delimited(path, header=False).rows == 2


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,x\n",
        b"a,b\r\n1,x\r\n",
        b"a,b\r1,x\r",
        b"a,b\n1,x",
        b"\n\na,b\n\n   \n1,x\n\n",
        b"  a , b\n 1 , x \n",
        gzip.compress(b"a,b\n1,x\n"),
    ],
    ids=["byte order mark", "CRLF", "CR", "no last newline", "blank lines", "padding", "gzip"],
)
def test_liberties(write, content: bytes) -> None:
    assert cells_of(read_delimited(write(content))) == {"a": [1], "b": ["x"]}


def test_other_encodings(write) -> None:
    latin = read_delimited(write("name,n\nJosé,1\n".encode("latin-1")), encoding="latin-1")
    wide = read_delimited(write("name,n\nJosé,1\n".encode("utf-16")), encoding="utf-16")
    assert cells_of(latin) == cells_of(wide) == {"name": ["José"], "n": [1]}


def test_a_quote_inside_an_unquoted_cell_is_a_character(write) -> None:
    assert cells_of(read_delimited(write('size,n\n5" pipe,1\n'))) == {"size": ['5" pipe'], "n": [1]}


def test_tsv_is_cut_at_tabs_only(write) -> None:
    assert read_delimited(write("name\nB, C\nD, E\n", "t.tsv")).names == ["name"]


# No control or format characters: csv keeps them, but strip() takes some of them off.
cell = st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from(" \n,;|\"'\t"), max_size=8)
cell = cell.map(str.strip).map(lambda c: None if c in MISSING else c)


@given(st.data(), st.integers(1, 5), st.integers(1, 8), st.sampled_from(["\n", "\r\n"]))
def test_round_trip_through_csv_writer(tmp_path_factory, data, width: int, rows: int, ending: str) -> None:
    grid = data.draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=rows, max_size=rows))
    names = [f"n{i}" for i in range(width)]
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerows([names, *([c or "" for c in row] for row in grid)])
    path = tmp_path_factory.mktemp("round") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    table = read_delimited(path, header=True, kinds=dict.fromkeys(names, "text"))
    assert cells_of(table) == {name: list(column) for name, column in zip(names, zip(*grid))}


@given(st.binary(max_size=200))
def test_any_bytes_give_a_table_or_our_error(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "t.csv"
    path.write_bytes(content)
    try:
        outcome = read_delimited(path).source
    except GradloomError as error:
        outcome = str(error)
    assert outcome.startswith(str(path))


# Refusing ------------------------------------------------------------------------------------------------

REFUSALS = {
    "empty": (b"", "a table needs at least one row; got an empty file"),
    "blank": (b" \n\n", "a table needs at least one row; got an empty file"),
    "header only": (
        b"a,b\n",
        "a table needs at least one row below its header; got only the line of names 'a', 'b'. "
        "If that line is data, say that there are no names (header=False, or --header no).",
    ),
    "short line": (
        b"a,b,c\n1,2,3\n1,2\n",
        "every line must have as many cells as the first one, 3; got 2 on line 3. "
        "Complete the line, or quote the cells that contain the delimiter ','.",
    ),
    "long line after a quoted newline and a blank line": (
        b'a;b\n"1\n2";3\n\n4;5;6\n',
        "every line must have as many cells as the first one, 2; got 3 on line 5. "
        "Complete the line, or quote the cells that contain the delimiter ';'.",
    ),
    "only delimiters": (
        b"a,b,c\n1,2,3\n,\n",
        "every line must have as many cells as the first one, 3; got 2 on line 3. "
        "Complete the line, or quote the cells that contain the delimiter ','.",
    ),
    "duplicate names": (
        b"a,b,a\n1,2,3\n",
        "column names must differ; got 'a' for columns 1 and 3. Rename one of them.",
    ),
    "open quote": (
        b'a,b\n1,"x\n2,y\n',
        "a quoted cell must be closed within 131,072 characters, and a delimiter or the line's end must follow it; "
        "got unexpected end of data in the row that begins on line 2. "
        'Close the quote; write a quote inside a quoted cell twice ("").',
    ),
    "text after a quote": (
        b'a,b\n1,"x"y\n',
        "a quoted cell must be closed within 131,072 characters, and a delimiter or the line's end must follow it; "
        "got ',' expected after '\"' in the row that begins on line 2. "
        'Close the quote; write a quote inside a quoted cell twice ("").',
    ),
    "undecodable": (
        b"a,b\n1,\xff\n",
        "the file is not utf-8 text; got byte 0xff on line 2. "
        "Say its encoding (encoding='latin-1', or --encoding latin-1; likewise utf-16), or save it as UTF-8.",
    ),
    "NUL": (
        b"a,b\n1,\0\n",
        "text must not contain NUL characters; got one on line 2. "
        "The file is binary, or say its encoding (encoding='utf-16', or --encoding utf-16).",
    ),
    "damaged gzip": (
        gzip.compress(b"a,b\n1,2\n")[:-4],
        "the gzip stream is damaged or cut short; got Compressed file ended before the end-of-stream marker "
        "was reached. Fetch the file again.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(write, case: str) -> None:
    content, message = REFUSALS[case]
    path = write(content)
    with pytest.raises(DataError) as caught:
        read_delimited(path)
    assert str(caught.value) == f"{path}: {message}"


def test_refuses_an_unknown_encoding(write) -> None:
    for encoding in ("utf-9", "base64"):
        path = write("a\n1\n")
        with pytest.raises(OptionError) as caught:
            read_delimited(path, encoding=encoding)
        assert str(caught.value) == (
            f"{path}: encoding must be one that Python knows; got '{encoding}'. "
            "Common ones: utf-8, utf-16, latin-1, cp1252."
        )


def test_refuses_an_unknown_header_option(write) -> None:
    with pytest.raises(OptionError) as caught:
        read_delimited(write("a\n1\n"), header="yes")  # pyright: ignore
    assert str(caught.value) == "read_delimited: header must be True, False or 'auto'; got 'yes'"


# Real files ----------------------------------------------------------------------------------------------


@real_data
def test_adult_has_no_header_padded_cells_and_question_marks() -> None:
    table = read_delimited(TABULAR / "adult-train.csv")
    assert (table.rows, table.names[0], table.names[-1]) == (32561, "column_1", "column_15")
    assert sum(c.missing().sum() for c in table.columns.values()) == 4262  # counted with grep
    assert sorted(set(table["column_15"].values)) == ["<=50K", ">50K"]
    numbers = [i for i, c in enumerate(table.columns.values(), start=1) if c.kind == "number"]
    assert numbers == [1, 3, 5, 11, 12, 13]
    assert {c.kind for c in table.columns.values()} == {"number", "category"}


@real_data
def test_titanic_kinds_and_missing_cells() -> None:
    table = read_delimited(TABULAR / "titanic-train.csv", kinds={"Pclass": "category"})
    by_kind = {
        kind: [n for n, c in table.columns.items() if c.kind == kind]
        for kind in ("identifier", "number", "category", "text")
    }
    assert by_kind == {
        "identifier": ["PassengerId"],
        "number": ["Survived", "Age", "SibSp", "Parch", "Fare"],
        "category": ["Pclass", "Sex", "Embarked"],
        "text": ["Name", "Ticket", "Cabin"],
    }
    assert {n: int(c.missing().sum()) for n, c in table.columns.items() if c.missing().any()} == {
        "Age": 177,
        "Cabin": 687,
        "Embarked": 2,
    }
    assert table["Name"].values[0] == "Braund, Mr. Owen Harris"


@real_data
def test_california_agrees_with_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    path = TABULAR / "california-housing.csv"
    table, frame = read_delimited(path), pandas.read_csv(path)
    assert table.names == list(frame.columns)
    for name in table.names[:-1]:
        np.testing.assert_allclose(table[name].values, frame[name].to_numpy(), rtol=1e-15)
    assert table["ocean_proximity"].values.tolist() == frame["ocean_proximity"].tolist()


@real_data
def test_time_series_have_dates() -> None:
    series = TABULAR.parent / "timeseries"
    monthly = read_delimited(series / "airline-passengers.csv")["Month"]
    daily = read_delimited(series / "daily-min-temperatures.csv")["Date"]
    assert (monthly.kind, str(monthly.values[-1])) == ("date", "1960-12-01T00:00:00")
    assert (daily.kind, str(daily.values[-1])) == ("date", "1990-12-31T00:00:00")


def test_a_small_file_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(bytes(10**6)))
    monkeypatch.setattr(limits, "memory", lambda: 10**6 - 1)
    with pytest.raises(DataError, match=r"the contents must fit into memory; got more than 0.0 GiB from [\d,]+ bytes"):
        read_bytes(path)
    monkeypatch.setattr(limits, "memory", lambda: float("inf"))
    assert read_bytes(path) == bytes(10**6)
