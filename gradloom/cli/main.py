"""The entry point: runs a command and turns whatever happens into a message and an exit code.

====  ============================================================
0     the command did what was asked
1     it failed: data or a model file cannot be used
2     it was called wrongly: an unknown option, column, loss, ...
130   Ctrl-C
====  ============================================================

A user never sees a traceback, unless with ``--debug``.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence

from gradloom.errors import GradloomError, MissingPackageError, OptionError, UnknownNameError

FAILURE, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``gradloom ARGUMENTS...``.

    Args:
        arguments: the words after ``gradloom``; those of this process if None.

    Returns:
        The exit code, see above.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _make_writable()
    try:
        code = _run(words)
        sys.stdout.flush()  # here, where a broken pipe can still be dealt with
        return code
    except BrokenPipeError:
        return _end_quietly()
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except Exception as error:
        if "--debug" in words:
            raise
        _complain(_message(error))
        return _exit_code(error)


def _make_writable() -> None:
    """Let everything be printed: onto a closed stream (``>&-``) nothing, a character without a code as its number."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(words: list[str]) -> int:
    try:
        from gradloom.cli.app import build_app  # noqa: PLC0415  typer is optional
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "gradloom", rule=f"the command line needs {error.name}", fix="Run: pip install 'gradloom[cli]'."
        ) from None
    try:
        build_app()(words, prog_name="gradloom")
    except SystemExit as leaving:  # typer ends every command with one, and has told what was wrong
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def _message(error: Exception) -> str:
    if isinstance(error, GradloomError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory. Use fewer rows, a smaller network or a smaller batch."
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        remedy = ". Free some space or choose another place." if error.errno == errno.ENOSPC else ""
        return f"{place}{error.strerror}{remedy}"
    said = " ".join(str(error).split())
    return f"a mistake in gradloom itself: {type(error).__name__}: {said}. Run again with --debug and report it."


def _exit_code(error: Exception) -> int:
    return USAGE if isinstance(error, (OptionError, UnknownNameError)) else FAILURE


def _complain(message: str) -> None:
    print(f"gradloom: {message}", file=sys.stderr, flush=True)  # noqa: T201


def _end_quietly() -> int:
    """The reader of our output has gone (``gradloom ... | head``); let the interpreter not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE
