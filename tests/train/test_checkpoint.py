"""Model files: what is written comes back, and an old file is only ever replaced by a whole new one."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import CLASSES, X, Y, fit, network, same, tensors, trainer

import gradloom as gl
from gradloom import nn, saving, train
from gradloom.errors import ModelFileError, OptionError
from gradloom.ir.tensortype import ORDER, as_dtype
from gradloom.nn import losses, metrics
from gradloom.train import checkpoint
from gradloom.train.description import described


@pytest.fixture(scope="module")
def run() -> train.Trainer:
    """A trained network, not to be changed."""
    made = trainer(network(deep=True), metrics=["accuracy"])
    fit(made)
    return made


def description(run: train.Trainer) -> dict[str, Any]:
    return json.loads(json.dumps(described(run)))


@pytest.mark.parametrize("dtype", ORDER)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_tensors_come_back_with_all_their_bits(dtype: str, shape: tuple[int, ...], run: train.Trainer, tmp_path: Path):
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, int(np.prod(shape)) * as_dtype(dtype).itemsize, np.uint8)
    values = (raw % 2 == 0).reshape(shape) if dtype == "bool" else raw.view(as_dtype(dtype)).reshape(shape)
    told = description(run)
    checkpoint.write(tmp_path / "m", told, {"a/b": values, "transposed": values.T})
    found, arrays = checkpoint.read(tmp_path / "m")
    assert found == {**told, "format": 1}
    for name, wanted in (("a/b", values), ("transposed", values.T)):
        assert (arrays[name].dtype, arrays[name].shape) == (wanted.dtype, wanted.shape)
        assert arrays[name].tobytes() == wanted.tobytes()


def test_other_readers_of_safetensors_can_read_the_file(run: train.Trainer, tmp_path: Path):
    from safetensors import safe_open

    run.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="np") as file:
        weight = file.get_tensor("parameters/layers.0/weight")
        assert set(file.metadata()) == {"gradloom", "checksum"}
    np.testing.assert_array_equal(weight, run.model.parameters()["layers.0"]["weight"].numpy())


def test_the_header_alone(run: train.Trainer, tmp_path: Path):
    run.save(tmp_path / "m")
    header = train.read_header(tmp_path / "m")
    assert header["loss"]["type"] == "CrossEntropy"
    assert header["history"]["rows"] == run.history.rows


def test_a_model_is_saved_once_it_has_parameters():
    with pytest.raises(OptionError, match="save: the model must be trained first"):
        trainer().save("nowhere")


def test_names_of_nested_tensors():
    nested = {"a": [gl.ones(2), gl.zeros(())], "b": {"c": gl.ones((1, 2))}}
    flat = checkpoint.flat(nested, "top")
    assert set(flat) == {"top/a/0", "top/a/1", "top/b/c"}
    again = checkpoint.nested(nested, flat, "top", "file")
    assert again["b"]["c"].shape == (1, 2)
    with pytest.raises(ModelFileError, match=r"the tensor top/b/c must be float32\[1,2\] for this model; got none"):
        checkpoint.nested(nested, {k: v for k, v in flat.items() if k != "top/b/c"}, "top", "file")
    for wrong in (np.ones((2, 1), np.float32), np.ones((1, 2))):
        with pytest.raises(
            ModelFileError, match=r"the tensor top/b/c must be float32\[1,2\] for this model; got float"
        ):
            checkpoint.nested(nested, {**flat, "top/b/c": wrong}, "top", "file")


# Classes of one's own -------------------------------------------------------------------------------------------


class Twice(nn.Module):
    """A module that the library does not know."""

    def forward(self, x: Any) -> Any:
        return 2 * x


class Cubic(losses.Loss):
    """A loss that it does not know."""

    def per_example(self, outputs: Any, targets: Any) -> Any:
        return gl.mean(gl.abs(outputs - targets) ** 3, 1)


class Largest(metrics.WholeSetMetric):
    """A metric that it does not know."""

    name, higher_is_better = "largest", True

    def compute(self, outputs: Any, targets: Any, weights: Any = None) -> float:
        return float(np.max(outputs))


def test_a_module_of_ones_own_is_named_when_loading(tmp_path: Path):
    own = trainer(nn.Sequential(nn.Dense(CLASSES), Twice()))
    fit(own)
    own.save(tmp_path / "m")
    with pytest.raises(ModelFileError, match=r"no class has this name; got 'Twice'.*must be passed when loading"):
        train.load(tmp_path / "m")
    assert same(own, train.load(tmp_path / "m", modules=[Twice]))


def test_a_loss_and_metrics_of_ones_own_are_passed_when_loading(tmp_path: Path):
    own = trainer(loss=Cubic(), metrics=["mse", Largest()])
    targets = np.eye(CLASSES, dtype=np.float32)[Y]
    fit(own, data=(X, targets))
    own.save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="no class has this name; got 'Cubic'"):
        train.load(tmp_path / "m")
    with pytest.raises(ModelFileError, match="no class has this name; got 'Largest'"):
        train.load(tmp_path / "m", loss=Cubic())
    found = train.load(tmp_path / "m", loss=Cubic(), metrics=own.metrics, executor="reference")
    assert found.evaluate((X, targets)) == own.evaluate((X, targets))


def test_a_function_cannot_be_written(tmp_path: Path):
    made = trainer(nn.Sequential(nn.Dense(CLASSES, init=lambda key, shape: gl.zeros(shape))))
    fit(made)
    with pytest.raises(OptionError, match="Use the name of a function in place of the function"):
        made.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# Writing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An earlier file, alone in its folder."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the old model")
    return path


def _fail(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["fsync", "replace", "fchmod"])
def test_a_full_disk_keeps_the_old_file(place: str, run: train.Trainer, old: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, place, _fail)
    with pytest.raises(ModelFileError, match=r"could not be saved; got No space left on device\. Free some space"):
        run.save(old)
    assert old.read_bytes() == b"the old model"
    assert list(old.parent.iterdir()) == [old]


def test_a_disk_that_is_full_in_the_middle_of_the_file(run: train.Trainer, old: Path, monkeypatch: pytest.MonkeyPatch):
    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        def fileno(self) -> int:
            return self.file.fileno()

        def write(self, data: bytes) -> None:
            self.file.write(data[: len(data) // 2])
            _fail()

    monkeypatch.setattr(saving, "open", lambda path, mode: Full(open(path, mode)), raising=False)  # noqa: SIM115
    with pytest.raises(ModelFileError, match="No space left on device"):
        run.save(old)
    assert old.read_bytes() == b"the old model"
    assert list(old.parent.iterdir()) == [old]


def test_ctrl_c_while_saving_keeps_the_old_file(run: train.Trainer, old: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.save(old)
    assert old.read_bytes() == b"the old model"
    assert list(old.parent.iterdir()) == [old]


def test_a_folder_that_cannot_be_synced_is_no_failure(run: train.Trainer, old: Path, monkeypatch: pytest.MonkeyPatch):
    synced, sync = [], os.fsync

    def only_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "no")
        synced.append(handle)
        sync(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    run.save(old)
    assert len(synced) == 1
    assert same(run, train.load(old))


def test_folders_are_made(run: train.Trainer, tmp_path: Path):
    run.save(tmp_path / "a" / "b" / "m")
    assert same(run, train.load(tmp_path / "a" / "b" / "m"))


PLACES = {
    "a folder": lambda folder: folder,
    "a file as folder": lambda folder: folder / "file" / "m",
    "a null character": lambda folder: folder / "a\0b",
    "a name that is too long": lambda folder: folder / ("x" * 300),
    "a device": lambda folder: Path("/dev/null"),
    "a pipe": lambda folder: folder / "pipe",
}


@pytest.mark.parametrize("name", PLACES)
def test_places_that_cannot_hold_a_file(name: str, run: train.Trainer, tmp_path: Path):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelFileError, match="the model could not be saved"):
        run.save(PLACES[name](tmp_path))
    assert sorted(tmp_path.iterdir()) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(run: train.Trainer, tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ModelFileError, match="Permission denied"):
            run.save(tmp_path / "m")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_new_files(run: train.Trainer, old: Path, monkeypatch: pytest.MonkeyPatch):
    """As the test above, for those who run the tests as root."""

    def refused(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(saving, "open", refused, raising=False)
    with pytest.raises(ModelFileError, match="Permission denied"):
        run.save(old)
    assert old.read_bytes() == b"the old model"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_usual_permissions(umask: int, run: train.Trainer, tmp_path: Path):
    before = os.umask(umask)
    try:
        run.save(tmp_path / "m")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o666 & ~umask


def test_an_old_file_keeps_its_permissions(run: train.Trainer, old: Path):
    old.chmod(0o640)
    run.save(old)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_link_keeps_pointing_to_the_file(run: train.Trainer, old: Path):
    link = old.parent / "latest"
    link.symlink_to(old.name)
    run.save(link)
    assert link.is_symlink()
    assert not old.is_symlink()
    assert same(run, train.load(old))


def test_reader_and_writer_at_once(run: train.Trainer, old: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that takes the place of another while that is read does not mix with it."""
    run.save(old)
    other = trainer(network(deep=True), metrics=["accuracy"], seed=9)
    fit(other)
    metadata = checkpoint._metadata

    def replaced_meanwhile(*args: Any) -> Any:
        found = metadata(*args)
        other.save(old)
        return found

    monkeypatch.setattr(checkpoint, "_metadata", replaced_meanwhile)
    assert same(run, train.load(old))
    monkeypatch.undo()
    assert same(other, train.load(old))


def test_a_loaded_model_shares_nothing_with_the_file(run: train.Trainer, old: Path):
    run.save(old)
    found = train.load(old)
    old.write_bytes(b"\0" * old.stat().st_size)
    for a, b in zip(tensors(run), tensors(found)):
        np.testing.assert_array_equal(a, b)
