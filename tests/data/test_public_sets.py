"""Public sets of images in every form that they are passed around in, small; the real ones where they are at hand."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import random_pixels, save
from test_pickles import batch, text

from gradloom import data
from gradloom.data.images import archives
from gradloom.errors import DataError, OptionError

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def planes(images: np.ndarray) -> np.ndarray:
    """Images of shape (n, 32, 32, 3) as CIFAR stores them: a row each, channel by channel."""
    return np.stack([np.concatenate([image[..., channel].ravel() for channel in range(3)]) for image in images])


def pack(path: Path, files: dict[str, bytes]) -> None:
    """An archive of files, or a folder, by the name."""
    if not path.name.endswith(".tar.gz"):
        path.mkdir(parents=True)
        for name, content in files.items():
            (path / name).write_bytes(content)
        return
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"some-folder/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of data."""
    monkeypatch.setenv("GRADLOOM_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("read", "name"), [(data.mnist, "mnist"), (data.fashion_mnist, "fashion-mnist")])
def test_mnist_and_its_sister(folder: Path, suffix: str, read: Callable[..., data.Images], name: str):
    images, labels = random_pixels(12, 28, 28), np.arange(12, dtype=np.uint8) % 10
    for part, count in (("train", 12), ("t10k", 5)):
        write_idx(folder / f"{name}/{part}-images-idx3-ubyte{suffix}", images[:count])
        write_idx(folder / f"{name}/{part}-labels-idx1-ubyte{suffix}", labels[:count])
    found = read()
    assert found.inputs.shape == (12, 28, 28, 1)
    assert np.array_equal(found.inputs[..., 0], images)
    assert found.targets is not None
    assert found.targets.dtype == np.int64
    assert found.targets.tolist() == labels.tolist()
    assert len(found.classes) == 10
    assert found.source == str(folder / f"{name}/train-images-idx3-ubyte{suffix}")
    assert len(read("test")) == 5


def test_images_without_labels_are_refused(folder: Path):
    write_idx(folder / "mnist/train-images-idx3-ubyte", random_pixels(2, 28, 28))
    with pytest.raises(DataError, match="the labels must lie beside the images"):
        data.mnist()


def binary_10(images: np.ndarray, labels: list[int]) -> bytes:
    return b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, planes(images)))


def cifar_files(form: str) -> tuple[dict[str, bytes], np.ndarray, list[int]]:
    """The six batches of two images each."""
    images, labels = random_pixels(12, 32, 32, 3), [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1]
    parts = [(images[2 * i : 2 * i + 2], labels[2 * i : 2 * i + 2]) for i in range(6)]
    if form == "binary":
        return {f"{name}.bin": binary_10(*part) for name, part in zip(BATCHES, parts)}, images, labels
    return {name: batch(planes(x), y) for name, (x, y) in zip(BATCHES, parts)}, images, labels


@pytest.mark.parametrize(
    ("place", "form"),
    [
        ("cifar-10-binary.tar.gz", "binary"),
        ("cifar10/cifar-10-batches-bin", "binary"),
        ("cifar-10-python.tar.gz", "python"),
        ("cifar-10-batches-py", "python"),
    ],
)
def test_cifar10_in_all_its_forms(folder: Path, place: str, form: str):
    files, images, labels = cifar_files(form)
    pack(folder / place, files | {"readme.html": b"x"})
    train, test = data.cifar10(), data.cifar10("test")
    assert train.targets is not None
    assert test.targets is not None
    assert np.array_equal(train.inputs, images[:10])
    assert np.array_equal(test.inputs, images[10:])
    assert [*train.targets.tolist(), *test.targets.tolist()] == labels
    assert train.inputs.flags.c_contiguous
    assert train.classes[3] == "cat"
    assert train.source == str(folder / place)


@pytest.mark.parametrize("form", ["binary", "python"])
def test_cifar100_has_two_kinds_of_labels(folder: Path, form: str):
    images, fine, coarse = random_pixels(2, 32, 32, 3), [1, 0], [2, 1]
    rows = b"".join(bytes([c, f]) + row.tobytes() for c, f, row in zip(coarse, fine, planes(images)))
    names = b"".join(text(name) for name in ("apple", "bee"))
    groups = b"".join(text(name) for name in ("fruit", "insects", "fish"))
    meta = text("fine_label_names") + b"](" + names + b"e" + text("coarse_label_names") + b"](" + groups + b"e"
    pickled = {"fine_labels": batch(planes(images), fine, "fine_labels")}
    pickled["coarse_labels"] = batch(planes(images), coarse, "coarse_labels")
    for kind, wanted, classes in (
        ("fine", fine, ("apple", "bee")),
        ("coarse", coarse, ("fruit", "insects", "fish")),
    ):
        place = folder / f"cifar-100-{form}"
        texts = {"fine_label_names.txt": b"apple\nbee\n", "coarse_label_names.txt": b"fruit\ninsects\nfish\n"}
        files = {"train.bin": rows, **texts} if form == "binary" else {"train": pickled[f"{kind}_labels"]}
        files |= {} if form == "binary" else {"meta": b"\x80\x02}(" + meta + b"u."}
        place.mkdir(exist_ok=True)
        for name, content in files.items():
            (place / name).write_bytes(content)
        found = data.cifar100(labels=kind)
        assert found.targets is not None
        assert found.targets.tolist() == wanted
        assert found.classes == classes
        assert np.array_equal(found.inputs, images)


def test_the_original_is_never_replaced_by_jpeg(folder: Path, monkeypatch: pytest.MonkeyPatch):
    save(folder / "cifar10-jpeg/train/cat/1.jpg", random_pixels(32, 32, 3))
    save(folder / "cifar10-jpeg/train/airplane/2.jpg", random_pixels(32, 32, 3))
    save(folder / "cifar10-jpeg/test/cat/1.jpg", random_pixels(32, 32, 3))
    found = data.cifar10(variant="jpeg")
    assert found.targets is not None
    assert found.targets.tolist() == [0, 3]
    assert "with loss" in found.notes[0]
    assert "cifar10-jpeg" in found.source

    def refuse(remote, folder):
        raise DataError(remote.name, rule="would be downloaded")

    monkeypatch.setattr("gradloom.data.images.cifar.fetched", refuse)
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: would be downloaded"):
        data.cifar10()


DAMAGED = {
    "rows cut short": ({"test_batch.bin": bytes(3074)}, "a batch consists of rows of 3073 bytes; got 3074 bytes"),
    "a label of no class": ({"test_batch.bin": b"\x0a" + bytes(3072)}, "labels go from 0 to 9"),
    "no batch": ({"other": b""}, "the archive does not hold the files of the set"),
    "another pickle": ({"test_batch": b"\x80\x02]."}, "a batch has 'data', rows of 3072 bytes"),
    "a hostile pickle": ({"test_batch": b"\x80\x02cos\nsystem\nU\x02ls\x85R."}, "the name os.system"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_batches_are_refused(folder: Path, name: str):
    files, message = DAMAGED[name]
    pack(folder / "cifar-10-batches-bin", files)
    with pytest.raises(DataError, match=message):
        data.cifar10("test")


def test_an_archive_cut_short_is_refused(folder: Path):
    path = folder / "cifar-10-binary.tar.gz"
    pack(path, cifar_files("binary")[0])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: the archive is damaged or cut short"):
        data.cifar10()


def test_an_archive_that_would_fill_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    path = folder / "cifar-10-binary.tar.gz"
    pack(path, {"test_batch.bin": bytes(3073 * 100)})
    assert len(data.cifar10("test")) == 100
    monkeypatch.setattr(archives.limits, "memory", lambda: 3073.0 * 99)
    with pytest.raises(DataError) as caught:
        data.cifar10("test")
    assert str(caught.value) == (
        f"{path}: the files of the set must fit into memory; got some-folder/test_batch.bin of 307,300 bytes, 3,073 "
        "too many. If the archive is what it should be, unpack it, and read it in parts."
    )


def test_an_archive_cannot_reach_outside(folder: Path):
    files, images, _ = cifar_files("binary")
    pack(folder / "cifar-10-binary.tar.gz", {f"../../{name}": content for name, content in files.items()})
    assert np.array_equal(data.cifar10("test").inputs, images[10:])
    assert [path.name for path in folder.iterdir()] == ["cifar-10-binary.tar.gz"]


def test_membranes(folder: Path):
    save(folder / "isbi2012-membrane/train/image/0.png", random_pixels(8, 8))
    save(folder / "isbi2012-membrane/train/label/0.png", np.array([[0, 255] * 4] * 8, np.uint8))
    save(folder / "isbi2012-membrane/test/0.png", random_pixels(8, 8))
    found = data.isbi()
    assert found.classes == ("membrane", "inside")
    assert found.targets is not None
    assert found.targets[0, 0].tolist() == [0, 1] * 4
    assert data.isbi("test").targets is None


def test_without_the_folder_the_layout_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GRADLOOM_DATA", raising=False)
    with pytest.raises(DataError, match=r"there is no folder isbi2012-membrane in GRADLOOM_DATA\. Save the slices as"):
        data.isbi()
    with pytest.raises(DataError, match="the variant jpeg is read from GRADLOOM_DATA only"):
        data.cifar10(variant="jpeg")


@pytest.mark.parametrize("read", [data.mnist, data.fashion_mnist, data.cifar10, data.cifar100, data.isbi])
def test_no_such_split(read: Callable[..., data.Images]):
    with pytest.raises(OptionError, match="split"):
        read("valid")


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the files of MNIST are not at hand")
def test_the_real_mnist(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADLOOM_DATA", str(SHARED))
    found = data.mnist("test")
    assert found.inputs.shape == (10_000, 28, 28, 1)
    assert found.targets is not None
    # What is known of it everywhere: the first labels, and the number of each digit.
    assert found.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(found.targets).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.skipif(not (SHARED / "isbi2012-membrane").is_dir(), reason="the slices of ISBI are not at hand")
def test_the_real_membranes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADLOOM_DATA", str(SHARED))
    found = data.isbi()
    assert found.inputs.shape == (30, 512, 512, 1)
    assert found.targets is not None
    assert 0.7 < found.targets.mean() < 0.85  # about a fifth of the pixels are membrane
