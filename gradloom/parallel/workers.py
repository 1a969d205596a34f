"""Worker processes: started, told what to do, and ended, whatever happens."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import Pipe
from types import TracebackType
from typing import Self

from gradloom import config
from gradloom.errors import GradloomError, UnsupportedError, WorkerError
from gradloom.parallel.memory import Shared
from gradloom.parallel.serialisation import from_bytes, to_bytes
from gradloom.parallel.share import Task, shares
from gradloom.parallel.worker import DONE, STEP

_PATIENCE = 1.0
"""Seconds that a worker has to end by itself."""


class Workers:
    """Processes that share a task.

    They are interpreters of their own that import gradloom and nothing of the user's.  Each has its part of the
    threads, and a session of its own, so that Ctrl-C reaches the master alone.

    Args:
        count: how many.
        exchange: the memory for what is written every step.
        data: the memory for the rest.

    Raises:
        UnsupportedError: the system cannot hand open files to a new process.
    """

    def __init__(self, count: int, exchange: Shared, data: Shared) -> None:
        if sys.platform == "win32":
            raise UnsupportedError("workers", rule="worker processes need POSIX", got="Windows", fix="Use workers=1.")
        self._workers: list[_Worker] = []
        try:
            for number in range(1, count + 1):
                self._workers.append(_Worker(f"worker {number} of {count}", count, exchange, data))
        except BaseException:
            self.close()
            raise

    def begin(self, task: Task) -> None:
        """Give the workers a task, which all of them compile."""
        for worker, (first, last) in zip(self._workers, shares(task.chunks, len(self._workers))):
            worker.tell(to_bytes((task, first, last)))
        self._wait()

    def step(self) -> None:
        """Let each compute its chunks.

        Raises:
            WorkerError: one has died, or met an error that is not ours.
            GradloomError: one met this error.
        """
        for worker in self._workers:
            worker.tell(STEP)
        self._wait()

    @property
    def processes(self) -> Sequence[int]:
        """Their numbers in the system."""
        return [worker.process.pid for worker in self._workers]

    def close(self) -> None:
        """End all of them."""
        with contextlib.ExitStack() as ending:  # each is ended, whatever comes between
            for worker in self._workers:
                ending.callback(worker.end)
            for worker in self._workers:
                worker.pipe.close()

    def _wait(self) -> None:
        for worker in self._workers:
            worker.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Worker:
    def __init__(self, name: str, count: int, exchange: Shared, data: Shared) -> None:
        self.name = name
        self.pipe, theirs = Pipe()
        files = [theirs.fileno(), exchange.file, data.file]
        code = f"import sys; sys.path[:] = {sys.path!r}; from gradloom.parallel.worker import main; main()"
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, files)],
                stdin=subprocess.DEVNULL,
                pass_fds=files,
                env=config.for_a_process(max(1, config.threads() // count)),
                start_new_session=True,
            )
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()

    def tell(self, word: bytes) -> None:
        try:
            self.pipe.send_bytes(word)
        except OSError:
            raise self._died() from None

    def answer(self) -> None:
        try:
            word = self.pipe.recv_bytes()
        except (EOFError, OSError):
            raise self._died() from None
        if word != DONE:
            told = from_bytes(word)
            if isinstance(told, GradloomError):
                told.add_note(f"This was in {self.name}.")
                raise told
            raise WorkerError(self.name, rule="a worker must not fail", got=told, fix="Try workers=1, or report it.")

    def _died(self) -> WorkerError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE)
        code = self.process.returncode
        how = "no answer" if code is None else f"the exit code {code}"
        if code is not None and code < 0:
            how = f"its end by {_name_of_signal(-code)}"
        return WorkerError(
            self.name,
            rule="a worker must live as long as training does",
            got=how,
            fix="The weights are those after the last call; look for a lack of memory, and fit again to go on.",
        )

    def end(self) -> None:
        try:
            self.process.wait(_PATIENCE)
        except BaseException as problem:
            self.process.kill()
            self.process.wait()
            if not isinstance(problem, subprocess.TimeoutExpired):
                raise


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
