"""Progress of training: a bar that is redrawn on a terminal, a line an epoch elsewhere, or nothing."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from gradloom.errors import OptionError

STYLES = ("auto", "bar", "lines", "silent")
_REDRAW_SECONDS = 0.1


def _values(row: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")


class Progress:
    """Shows how training goes on ``stream`` (standard error by default, so that results can be piped).

    Args:
        style: "bar", "lines", "silent", or "auto": a bar on a terminal, else lines.
        epochs: how many epochs there will be at most.
    """

    def __init__(self, style: str, epochs: int, stream: TextIO | None = None) -> None:
        if style not in STYLES:
            raise OptionError("fit", rule=f"progress is one of {', '.join(STYLES)}", got=repr(style))
        self.stream = stream or sys.stderr
        self.style = ("bar" if self.stream.isatty() else "lines") if style == "auto" else style
        self.epochs = epochs
        self.drawn = 0.0
        self.start = time.perf_counter()

    def begin(self) -> None:
        """A new epoch."""
        self.start = time.perf_counter()

    def batch(self, epoch: int, done: int, total: int, examples: int, loss: float) -> None:
        """A batch is done; redraws the bar at most ten times a second."""
        now = time.perf_counter()
        if self.style != "bar" or (now - self.drawn < _REDRAW_SECONDS and done < total):
            return
        self.drawn = now
        rate = examples / max(now - self.start, 1e-9)
        filled = 24 * done // total
        bar = "█" * filled + "░" * (24 - filled)
        self._draw(f"epoch {epoch}/{self.epochs} {bar} loss {loss:.4g}  {rate:,.0f} examples/s")

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch is done."""
        line = f"epoch {int(row['epoch'])}/{self.epochs}  {_values(row)}"
        if self.style == "bar":
            self._draw(line)
        elif self.style == "lines":
            print(line, file=self.stream, flush=True)

    def end(self, sentence: str) -> None:
        """Training is over, and why."""
        if self.style == "silent":
            return
        lead = "\n" if self.style == "bar" else ""
        print(f"{lead}stopped: {sentence}", file=self.stream, flush=True)

    def _draw(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r" + line[:width].ljust(width))
        self.stream.flush()
