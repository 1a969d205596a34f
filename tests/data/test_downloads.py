"""Downloads from a server in this process: sound ones, and every way in which one goes wrong."""

from __future__ import annotations

import builtins
import errno
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import random_pixels
from test_public_sets import SHARED, write_idx

from gradloom import data
from gradloom.data.images import download, idx_sets
from gradloom.data.images.download import Remote, fetched
from gradloom.errors import DataError, MissingPackageError

CONTENT = random_pixels(300_000).tobytes()
CHECKSUM = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Serves what the test has laid out; of files in ``cut`` half, then it hangs up."""

    files: dict[str, bytes]
    cut: bool
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.cut else content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""


class Server:
    """A server with its address and what it is to serve."""

    def __init__(self) -> None:
        self.handler = type("Own", (Handler,), {"files": {}, "cut": False, "asked": []})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.place = f"http://127.0.0.1:{self.http.server_port}/"

    def serve(self, **files: bytes) -> None:
        self.handler.files = {f"/{name}": content for name, content in files.items()}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, not yet there."""
    monkeypatch.delenv("GRADLOOM_DATA", raising=False)
    monkeypatch.setenv("GRADLOOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/data"


def left_behind(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(server: Server, cache: Path):
    server.serve(set=CONTENT)
    remote = Remote("set", CHECKSUM, (server.place,))
    for _ in range(2):
        assert fetched(remote, "some") == cache / "some/set"
    assert (cache / "some/set").read_bytes() == CONTENT
    assert server.handler.asked == ["/set"]


def test_downloads_have_a_place_where_programs_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADLOOM_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.config.download_folder() == tmp_path / "gradloom/data"


def test_the_next_place_is_tried(server: Server, cache: Path):
    server.serve(set=CONTENT)
    remote = Remote("set", CHECKSUM, (f"{server.place}gone/", server.place))
    assert fetched(remote, "some").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, cache: Path):
    server.serve(set=CONTENT)
    (cache / "some").mkdir(parents=True)
    (cache / "some/set").write_bytes(CONTENT[:-1])
    assert fetched(Remote("set", CHECKSUM, (server.place,)), "some").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused(server: Server, cache: Path):
    server.serve(set=CONTENT + b"!")
    with pytest.raises(DataError) as caught:
        fetched(Remote("set", CHECKSUM, (server.place,)), "some")
    assert str(caught.value) == (
        f"set: the file cannot be downloaded; got {server.place}: what came has another checksum. Try again later, or "
        "put the file into some/ in a folder of yours and set GRADLOOM_DATA to that."
    )
    assert left_behind(cache) == []


def test_an_interrupted_download_leaves_nothing(server: Server, cache: Path):
    server.serve(set=CONTENT)
    server.handler.cut = True
    with pytest.raises(DataError, match=r"the file cannot be downloaded; got .*: ChunkedEncodingError"):
        fetched(Remote("set", CHECKSUM, (server.place,)), "some")
    assert left_behind(cache) == []


def test_a_file_that_is_nowhere_names_every_place(server: Server, cache: Path):
    with pytest.raises(DataError, match="the file cannot be downloaded") as caught:
        fetched(Remote("set", CHECKSUM, (server.place, "http://127.0.0.1:9/")), "some")
    assert f"{server.place}: HTTPError, 404" in str(caught.value)
    assert "http://127.0.0.1:9/: ConnectionError" in str(caught.value)


def test_a_full_disk_is_told_and_leaves_nothing(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch):
    import pooch

    def fill(self, url: str, output_file: str, *rest: Any) -> None:
        Path(output_file).write_bytes(CONTENT[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fill)
    with pytest.raises(DataError) as caught:
        fetched(Remote("set", CHECKSUM, (server.place,)), "some")
    assert str(caught.value) == (
        f"{cache}/some: the download cannot be written; got No space left on device. Make room, or let XDG_CACHE_HOME "
        "or GRADLOOM_CACHE name another place. Nothing was left behind."
    )
    assert left_behind(cache) == []


def test_a_place_that_is_no_folder_is_told(server: Server, cache: Path):
    cache.parent.write_text("a file")
    with pytest.raises(DataError, match="the download cannot be written"):
        fetched(Remote("set", CHECKSUM, (server.place,)), "some")


def test_without_pooch_the_extra_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pooch":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"downloads need pooch. Run: pip install 'gradloom\[images\]'"):
        data.mnist()


def test_mnist_from_a_server(server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images, labels = random_pixels(4, 28, 28), np.arange(4, dtype=np.uint8)
    write_idx(tmp_path / "images.gz", images)
    write_idx(tmp_path / "labels.gz", labels)
    files = {
        "t10k-images-idx3-ubyte.gz": (tmp_path / "images.gz").read_bytes(),
        "t10k-labels-idx1-ubyte.gz": (tmp_path / "labels.gz").read_bytes(),
    }
    server.serve(**files)
    checksums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(idx_sets._CHECKSUMS, "mnist", checksums)
    monkeypatch.setitem(idx_sets._PLACES, "mnist", (server.place,))
    found = data.mnist("test")
    assert np.array_equal(found.inputs[..., 0], images)
    assert found.source == str(cache / "mnist/t10k-images-idx3-ubyte.gz")


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the files of MNIST are not at hand")
def test_the_checksums_are_those_of_the_real_files():
    # The images to train on are packed anew in what is at hand; the others are as they were published.
    known = idx_sets._CHECKSUMS["mnist"]
    for name in set(known) - {"train-images-idx3-ubyte.gz"}:
        assert hashlib.md5((SHARED / "mnist" / name).read_bytes()).hexdigest() == known[name]
