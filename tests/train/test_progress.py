"""How training shows itself: a bar on a terminal, lines elsewhere, nothing on request."""

from __future__ import annotations

import io
import sys

import pytest
from small_runs import X, Y, fit, interrupt_at, trainer

from gradloom.train import progress
from gradloom.train.progress import Progress


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """What a user sees: a carriage return lets later text cover what was there."""
        lines = []
        for line in self.getvalue().split("\n"):
            seen = ""
            for part in line.split("\r"):
                seen = part + seen[len(part) :]
            lines.append(seen.rstrip())
        return lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "80")
    return now


def test_a_bar_is_drawn_over_itself(clock: list[float]):
    terminal = Terminal()
    shown = Progress("auto", 3, terminal)
    shown.begin(1, 4)
    clock[0] += 2
    shown.batch(1, 100, 0.5)
    assert terminal.screen == ["epoch 1/3 ██████░░░░░░░░░░░░░░░░░░ loss 0.5  50 examples/s"]
    clock[0] += 0.01
    shown.batch(2, 100, 0.25)  # too soon to be drawn
    assert "0.25" not in terminal.getvalue()
    clock[0] += 1.99
    shown.batch(3, 200, 0.125)
    assert terminal.screen == ["epoch 1/3 ██████████████████░░░░░░ loss 0.125  100 examples/s"]
    shown.batch(4, 1, 0.1)  # the last one always is
    assert terminal.screen[0].startswith("epoch 1/3 ████████████████████████ loss 0.1 ")
    shown.epoch({"epoch": 1, "loss": 0.123456, "accuracy": 1.0})
    assert terminal.screen == ["epoch 1/3  loss 0.1235  accuracy 1"]
    shown.end("enough")
    assert terminal.screen == ["epoch 1/3  loss 0.1235  accuracy 1", "stopped: enough", ""]


def test_a_bar_never_fills_a_line(clock: list[float], monkeypatch: pytest.MonkeyPatch):
    """A full line would scroll, and the carriage return lead to the wrong one."""
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    shown = Progress("bar", 3, terminal)
    shown.begin(1, 1)
    clock[0] += 1
    shown.batch(1, 100, 0.5)
    assert len(terminal.getvalue()) == 1 + 19


def test_a_line_an_epoch_elsewhere():
    stream = io.StringIO()
    shown = Progress("auto", 2, stream)
    shown.begin(1, 2)
    shown.batch(1, 8, 0.5)
    assert stream.getvalue() == ""
    shown.epoch({"epoch": 1, "loss": 0.5})
    shown.end("1 epochs are done")
    assert stream.getvalue() == "epoch 1/2  loss 0.5\nstopped: 1 epochs are done\n"


def test_silence_and_standard_error(capsys: pytest.CaptureFixture[str]):
    run = trainer()
    fit(run)
    assert capsys.readouterr() == ("", "")
    fit(run, progress="lines")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("epoch 2/2  loss ")


def test_ctrl_c_leaves_the_cursor_at_the_start_of_a_line(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    run = trainer()
    interrupt_at(run, 8)
    with pytest.raises(KeyboardInterrupt):
        fit(run, 3, validation=(X, Y), progress="auto")
    assert terminal.screen[-2:] == ["stopped: interrupted by Ctrl-C", ""]
    assert terminal.screen[0].startswith("epoch 2/3 ")
    assert len(terminal.screen) == 3


def test_no_empty_line_where_nothing_was_drawn():
    terminal = Terminal()
    Progress("bar", 1, terminal).end("at once")
    assert terminal.getvalue() == "stopped: at once\n"


def test_without_a_console_nothing_is_shown(monkeypatch: pytest.MonkeyPatch):
    """As for programs of Windows that have no console, and where standard error is closed."""
    monkeypatch.setattr(sys, "stderr", None)
    run = trainer()
    run.fit((X, Y), epochs=1)
    assert run.epoch == 1
