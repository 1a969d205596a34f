"""The history of a run for TensorBoard, written while it is made."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gradloom import saving
from gradloom.errors import OptionError
from gradloom.train.callbacks import Callback, Run
from gradloom.train.event_file import record, scalars_event, version_event

VALIDATION = "val_"


class TensorBoard(Callback):
    """Write loss and metrics after every epoch: training into ``folder/train``, validation into ``folder/validation``.

    Columns of both parts have one tag, so TensorBoard draws their curves into one plot.  A file is added for each
    training; ``tensorboard --logdir folder`` shows them.

    Args:
        folder: where to; made if it is not there.

    Raises:
        OptionError: after an epoch, if the folder cannot be written to or the disk is full.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._files: dict[str, BinaryIO] = {}

    def on_epoch(self, run: Run, row: dict[str, float]) -> None:
        """Add the epoch."""
        parts: dict[str, dict[str, float]] = {}
        for name, value in row.items():
            if name != "epoch":
                part = "validation" if name.startswith(VALIDATION) else "train"
                parts.setdefault(part, {})[name.removeprefix(VALIDATION)] = value
        for part, values in parts.items():
            event = record(scalars_event(time.time(), int(row["epoch"]), values))
            with self._refusing():
                file = self._files.get(part) or self._opened(part)
                file.write(event)
                file.flush()  # so that one can watch

    def on_end(self, run: Run) -> None:
        """Close the files."""
        while self._files:
            with contextlib.suppress(OSError):  # a full disk, which was told of when the epoch was added
                self._files.popitem()[1].close()

    def _opened(self, part: str) -> BinaryIO:
        """A new file of a name that TensorBoard looks for."""
        now, place = time.time(), self.folder / part
        place.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{now:.0f}.gradloom.{os.getpid()}.{time.monotonic_ns()}"
        file = self._files[part] = open(place / name, "xb")  # noqa: SIM115  open until training ends
        file.write(record(version_event(now)))
        return file

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            rule = "the folder must be one that can be written to"
            raise saving.refusal(problem, self.folder, who="TensorBoard", rule=rule, error=OptionError) from None
