"""Progress of training: a bar that is redrawn on a terminal, a line an epoch elsewhere, or nothing."""

from __future__ import annotations

import io
import shutil
import sys
import time
from typing import TextIO

from gradloom import options

STYLES = ("auto", "bar", "lines", "silent")
_REDRAW_SECONDS = 0.1
_BAR_WIDTH = 24


def _values(row: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")


class Progress:
    """Shows how training goes on ``stream`` (standard error by default, so that results can be piped).

    Args:
        style: "bar", "lines", "silent", or "auto": a bar on a terminal, else lines.
        epochs: the number of the last epoch that may be trained.
        stream: where to.

    Raises:
        OptionError: there is no such style.
    """

    def __init__(self, style: str, epochs: int, stream: TextIO | None = None) -> None:
        options.choice("fit", "progress", style, STYLES)
        self.stream = stream or sys.stderr or io.StringIO()  # Python has none where the console is missing
        self.style = ("bar" if self.stream.isatty() else "lines") if style == "auto" else style
        self.epochs = epochs
        self.has_open_line = False

    def begin(self, epoch: int, batches: int | None) -> None:
        """A new epoch, of so many batches, if that is known."""
        self.current, self.batches = epoch, batches
        self.examples, self.start, self.drawn = 0, time.perf_counter(), 0.0

    def batch(self, done: int, examples: int, loss: float) -> None:
        """A batch is done; redraws the bar at most ten times a second.

        Args:
            done: batches of the epoch that are done.
            examples: in this one.
            loss: the mean over the epoch so far.
        """
        self.examples += examples
        now = time.perf_counter()
        if self.style != "bar" or (now - self.drawn < _REDRAW_SECONDS and done != self.batches):
            return
        self.drawn = now
        rate = self.examples / max(now - self.start, 1e-9)
        filled = _BAR_WIDTH * done // self.batches if self.batches else 0
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled) if self.batches else f"batch {done}"
        self._draw(f"epoch {self.current}/{self.epochs} {bar} loss {loss:.4g}  {rate:,.0f} examples/s")

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch is done."""
        line = f"epoch {int(row['epoch'])}/{self.epochs}  {_values(row)}"
        if self.style == "bar":
            self._draw(line)
        elif self.style == "lines":
            print(line, file=self.stream, flush=True)

    def end(self, sentence: str) -> None:
        """Training is over, and why; the cursor is left at the start of a line."""
        if self.style == "silent":
            return
        lead = "\n" if self.has_open_line else ""
        self.has_open_line = False
        print(f"{lead}stopped: {sentence}", file=self.stream, flush=True)

    def _draw(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r" + line[:width].ljust(width))
        self.stream.flush()
        self.has_open_line = True
