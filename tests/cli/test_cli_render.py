"""Tables and figures as text."""

from __future__ import annotations

import pytest

from gradloom.cli.render import Screen, number, plain_table
from gradloom.drawing.chart import finite


def test_plain_table_aligns_the_first_column_left_and_figures_right():
    assert plain_table("Result", ["", "train"], [["accuracy", "0.9"], ["r2", "12.25"]]) == (
        "Result\n          train\n--------  -----\naccuracy    0.9\nr2        12.25"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.1235"),
        (1.23456, "1.235"),
        (-0.5, "-0.5000"),
        (9876.5, "9876"),
        (123456.7, "123,457"),
        (0.0, "0"),
        (float("nan"), "-"),
        (None, "-"),
    ],
)
def test_numbers_have_four_digits_or_all_before_the_point(value, text):
    assert number(value) == text


def test_json_holds_null_for_what_json_does_not_know():
    assert finite({"a": [1.0, float("nan"), float("inf")], "b": ("x", True)}) == {
        "a": [1.0, None, None],
        "b": ["x", True],
    }


def test_a_quiet_screen_shows_results_but_no_notes(capsys):
    screen = Screen(quiet=True)
    screen.note("a note")
    screen.result("a result")
    screen.json({"a": 1})
    assert capsys.readouterr().out == "a result\n"


def test_a_json_screen_shows_json_alone(capsys):
    screen = Screen(as_json=True)
    screen.note("a note")
    screen.result("a result")
    screen.table("Title", ["a"], [["b"]])
    screen.json({"a": 1})
    assert capsys.readouterr().out == '{"a": 1}\n'


def test_tables_on_a_terminal_are_set_by_rich(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Screen().table("Result", ["", "train"], [["accuracy [a]", "0.9"]])
    out = capsys.readouterr().out
    assert "accuracy [a]" in out  # brackets are text here, not markup
    assert "──" in out
