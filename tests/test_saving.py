"""Files are written whole, or an error names the file and the remedy and the old file stays."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradloom import saving, train
from gradloom.cli import answers
from gradloom.data.images.encode import write_mask
from gradloom.errors import GradloomError, OptionError, WriteError
from gradloom.report import Figure, Page
from gradloom.report.canvas import Canvas
from gradloom.train.history import History

FIGURE = Figure(None, Canvas("a picture", width=20, height=10))
HISTORY = History([{"epoch": 1, "loss": 0.5}])

WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a text": ("t", lambda path: saving.save(path, "text")),
    "a page": ("p.html", lambda path: Page("<html></html>", ()).save(path)),
    "a picture": ("p.svg", FIGURE.save),
    "a bitmap": ("p.png", FIGURE.save),
    "a history": ("h.csv", HISTORY.write_csv),
    "a history as JSON": ("h.json", HISTORY.write_json),
    "predictions": ("p.csv", lambda path: answers.write_csv_file(path, [["a"], ["b"]])),
    "a mask": ("m.png", lambda path: write_mask(path, np.zeros((2, 2), int), (2, 2))),
}
ALL = pytest.mark.parametrize("name", WRITERS)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes no more bytes."""

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


@ALL
def test_whole_files(name: str, tmp_path: Path):
    ending, write = WRITERS[name]
    path = tmp_path / ending
    path.write_bytes(b"old")
    write(path)
    assert path.read_bytes() not in (b"", b"old")
    assert list(tmp_path.iterdir()) == [path]


@ALL
@pytest.mark.usefixtures("full")
def test_a_full_disk(name: str, tmp_path: Path):
    ending, write = WRITERS[name]
    path = tmp_path / ending
    path.write_bytes(b"old")
    with pytest.raises(GradloomError) as caught:
        write(path)
    said = str(caught.value)
    assert str(path) in said
    assert said.endswith(
        "No space left on device. Free some space or choose another place; an earlier file of this name is unchanged."
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@ALL
def test_a_place_below_a_file(name: str, tmp_path: Path):
    ending, write = WRITERS[name]
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(GradloomError, match=r"Not a directory\. Choose another place\."):
        write(tmp_path / "file" / ending)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_devices_are_not_replaced():
    with pytest.raises(OptionError, match="there is something else than a file in this place"):
        answers.write_csv_file(Path("/dev/null"), [["a"]])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_links_and_permissions_are_kept(tmp_path: Path):
    file, link = tmp_path / "p.csv", tmp_path / "latest.csv"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file.name)
    answers.write_csv_file(link, [["new"]])
    assert link.is_symlink()
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_write_error_is_an_error_of_the_system():
    with pytest.raises(OSError, match=r"no/p\.svg: the picture cannot be written; got .*Create its folder first"):
        FIGURE.save("no/p.svg")


def test_folders(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert saving.make_folder(tmp_path / "a" / "b").is_dir()
    for place in (tmp_path / "file", tmp_path / "file" / "a"):
        with pytest.raises(WriteError, match=f"this must be a folder, and it is a file; got {place}"):
            saving.make_folder(place)
    with pytest.raises(OptionError, match=r"--out: the folder cannot be made; got .*File name too long\. Choose"):
        saving.make_folder(tmp_path / ("x" * 300), who="--out", error=OptionError)


def test_event_files_on_a_full_disk(tmp_path: Path):
    """Their bytes wait in a buffer, which cannot be emptied when the file is closed either."""
    board = train.TensorBoard(tmp_path)
    run: Any = None  # is not asked for anything
    board._files["train"] = open("/dev/full", "wb")  # noqa: SIM115
    with pytest.raises(OptionError, match=r"TensorBoard: the folder must .* No space left on device\. Free some space"):
        board.on_epoch(run, {"epoch": 1, "loss": 0.5})
    board.on_end(run)
    assert not board._files


def test_names_of_files_that_are_no_text(tmp_path: Path):
    """Of an image whose name is not UTF-8, the predictions have the same bytes."""
    name = b"caf\xe9.png".decode(errors="surrogateescape")
    answers.write_csv_file(tmp_path / "p.csv", [["file"], [name]])
    assert (tmp_path / "p.csv").read_bytes() == b"file\ncaf\xe9.png\n"


def test_reports_of_the_house_are_whole(tmp_path: Path):
    HISTORY.write_json(tmp_path / "h.json")
    assert json.loads((tmp_path / "h.json").read_text())["rows"] == HISTORY.rows
    HISTORY.write_csv(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_bytes() == b"epoch,loss\r\n1,0.5\r\n"
