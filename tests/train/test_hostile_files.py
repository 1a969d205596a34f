"""Files that are damaged or made by an enemy are refused with a ModelFileError, and nothing else happens."""

from __future__ import annotations

import copy
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import X, Y, fit, interrupt_at, load, network, same, trainer

from gradloom import nn, optim, train
from gradloom.errors import ModelFileError, UnknownNameError
from gradloom.train import checkpoint

Path_ = tuple[str | int, ...]  # of a value inside a description


@pytest.fixture(scope="module")
def run() -> train.Trainer:
    """A run that was interrupted within an epoch, with something in every field."""
    schedule = optim.schedules.WarmUp(optim.schedules.Cosine(0.05, steps=20), steps=3)
    made = trainer(
        network(deep=True), optimizer=optim.AdamW(schedule), metrics=["accuracy"], class_weight={0: 1, 1: 2, 2: 1}
    )
    fit(made)
    interrupt_at(made, 3)
    with pytest.raises(KeyboardInterrupt):
        fit(made)
    return made


@pytest.fixture(scope="module")
def content(run: train.Trainer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "m"
    run.save(path)
    return path.read_bytes()


@pytest.fixture
def parts(content: bytes, tmp_path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the tensors of the run."""
    (tmp_path / "whole").write_bytes(content)
    return checkpoint.read(tmp_path / "whole")


def must_refuse(path: Path) -> ModelFileError:
    """Both ways of reading refuse the file, or reading the header does not see the damage."""
    with pytest.raises(ModelFileError) as caught:
        train.load(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".")  # there is a remedy
    return caught.value


def test_a_file_cut_off_at_any_byte(content: bytes, tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(content)
    with open(path, "r+b") as file:
        for length in range(len(content) - 1, -1, -1):
            file.truncate(length)
            with pytest.raises(ModelFileError):
                checkpoint.read(path)
    must_refuse(path)


def test_flipped_bits(run: train.Trainer, content: bytes, tmp_path: Path):
    """Whatever is flipped, the file is refused, or it is one that says the same in other words."""
    rng, path = np.random.default_rng(0), tmp_path / "m"
    header = 8 + int.from_bytes(content[:8], "little")
    refused = 0
    for trial in range(400):
        damaged = bytearray(content)
        last = header if trial % 2 else len(content)  # half of them in the header
        for place in rng.integers(0, last, rng.integers(1, 4)):
            damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = train.load(path)
        except ModelFileError:
            refused += 1
        else:
            assert same(run, found)
    assert refused > 390


JUNK: dict[str, bytes] = {
    "nothing": b"",
    "seven bytes": b"\x01" * 7,
    "a header of 2^63 bytes": (2**63).to_bytes(8, "little") + b"{}",
    "a header of 2^64 - 1 bytes": b"\xff" * 8 + b"{}",
    "a header that ends behind the file": (3).to_bytes(8, "little") + b"{}",
    "no JSON": (4).to_bytes(8, "little") + b"{]{]",
    "no object": (2).to_bytes(8, "little") + b"[]",
    "another safetensors file": (2).to_bytes(8, "little") + b"{}",
    "deep JSON": (100_000).to_bytes(8, "little") + b"[" * 100_000,
    "a number of many digits": (5000).to_bytes(8, "little") + b"9" * 5000,
    "text": b"epoch,loss\n1,0.5\n" * 10,
    "a zip": b"PK\x03\x04" + b"\0" * 100,
    "a pickle": b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.",
}


@pytest.mark.parametrize("name", JUNK)
def test_junk(name: str, tmp_path: Path):
    (tmp_path / "m").write_bytes(JUNK[name])
    must_refuse(tmp_path / "m")
    with pytest.raises(ModelFileError):
        train.read_header(tmp_path / "m")


def test_places_without_a_file(tmp_path: Path):
    for path in (tmp_path, tmp_path / "a\0b"):
        with pytest.raises(ModelFileError, match=r"the model file cannot be read; got .*Check the path"):
            train.load(path)


def test_a_file_that_does_not_exist(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    for name, remedy in {
        "mode.safetensors": "Did you mean 'model.safetensors'? Known: model.safetensors.",
        "no/model.safetensors": f"The folder {tmp_path / 'no'} does not exist either.",
    }.items():
        with pytest.raises(ModelFileError) as caught:
            train.load(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: there is no such model file. {remedy}"


# Descriptions that lie -----------------------------------------------------------------------------------------


def signed(text: str, arrays: dict[str, np.ndarray]) -> bytes:
    """A file with this description, whose checksum is right."""
    metadata = {"gradloom": text, "checksum": checkpoint._checksum(text, arrays)}
    return checkpoint.serialize_tensors(arrays, metadata=metadata)


def places(value: Any, place: Path_ = ()) -> Iterator[Path_]:
    """Every place inside a description."""
    yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*place, index))


def replaced(value: Any, place: Path_, new: Any) -> Any:
    """A copy with another value in one place."""
    if not place:
        return new
    changed = copy.copy(value)
    changed[place[0]] = replaced(value[place[0]], place[1:], new)
    return changed


WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, float("nan"), "x", [], {}, [[]], [None], {"type": "Dense"})


def test_any_value_anywhere_in_the_description(parts: Any, tmp_path: Path):
    """Whatever stands in a place, the file is refused or describes a run; no other error ever comes out."""
    description, arrays = parts
    path, refused, loaded = tmp_path / "m", set(), set()
    every = list(places(description))
    for place in every:
        for new in WRONG:
            changed = replaced(description, place, new)
            text = json.dumps(changed)
            path.write_bytes(signed(text, arrays))
            try:
                train.load(path)
            except ModelFileError:
                refused.add(place)
            else:
                loaded.add((place, repr(new)))
    assert refused == set(every)  # in every place something is wrong
    assert {place for place, new in loaded if new == "'x'"} == {("history", "stopped")}  # the only free text
    assert {place for place, new in loaded if new == "None"} == {
        *(("model", "options", "layers", n, "options", "activation") for n in (0, 3)),
        *(("optimizer", "options", f"clip_{bound}") for bound in ("norm", "value")),
        ("class_weight",),
        *(("augment",), ("precision",), ("preprocessing",)),
        *(("loss", "options", "ignore"), ("loss", "options", "groups"), ("metrics", 0, "options", "ignore")),
        ("history", "best_epoch"),
    }


def test_any_field_left_out(parts: Any, tmp_path: Path):
    description, arrays = parts
    for name in (n for n in description if n != "format"):
        checkpoint.write(tmp_path / "m", {n: v for n, v in description.items() if n != name}, arrays)
        assert f"the field '{name}' of the description must be" in str(must_refuse(tmp_path / "m"))
        assert "got nothing" in str(must_refuse(tmp_path / "m"))


def test_a_tensor_too_many(parts: Any, tmp_path: Path):
    description, arrays = parts
    checkpoint.write(tmp_path / "m", description, {**arrays, "parameters/spare": np.zeros(2)})
    assert "every tensor must belong to what is described; got parameters/spare" in str(must_refuse(tmp_path / "m"))


def test_any_tensor_left_out_or_of_another_type(parts: Any, tmp_path: Path):
    description, arrays = parts
    for name in arrays:
        if name.startswith("totals/"):
            checkpoint.write(tmp_path / "m", description, {n: a for n, a in arrays.items() if n != name})
            must_refuse(tmp_path / "m")
            continue
        others = {"gone": None, "float64": arrays[name].astype("float64"), "shape": np.zeros(99, arrays[name].dtype)}
        for other in others.values():
            changed = {n: (other if n == name else a) for n, a in arrays.items() if n != name or other is not None}
            checkpoint.write(tmp_path / "m", description, changed)
            assert f"the tensor {name} must be" in str(must_refuse(tmp_path / "m"))


def layer(**options: Any) -> Callable[[dict[str, Any]], None]:
    """Change options of the first layer."""
    return lambda description: description["model"]["options"]["layers"][0]["options"].update(options)


def add(*layers: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Put layers in front of the first."""
    return lambda description: description["model"]["options"]["layers"].__setitem__(slice(0, 0), layers)


def version(value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda description: description.update(format=value)


HUGE = {"type": "Dense", "options": {"units": 10**15}}
NORM = {"type": "BatchNorm", "options": {}}

LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown layer": (
        add({"type": "Danse", "options": {}}),
        "no class has this name; got 'Danse'. Did you mean 'Dense'",
    ),
    "a function of Python": (add({"type": "os.system", "options": {"command": "touch owned"}}), "got 'os.system'"),
    "an unknown option": (layer(unit=3), "Dense has no such option; got 'unit'. Did you mean 'units'"),
    "units as text": (layer(units="many"), "units is a whole number"),
    "many units": (layer(units=10**15), "must be float32[1000000000000000] for this model; got float32[6]"),
    "more units than any array has": (layer(units=10**30), "does not describe a model"),
    "a huge layer before a norm": (add(HUGE, NORM), "must be float32[1000000000000000] for this model; got float32[6]"),
    "a huge input": (lambda d: d["input"][1].__setitem__(0, 10**15), "must be float32[1000000000000000,6]"),
    "a later version": (version(2), "this version of gradloom reads model files of format 1; got format 2"),
    "a version as text": (version("1"), "got format '1'"),
    "a step beyond int64": (
        lambda d: d.update(step=2**63),
        "the field 'step' of the description must be a whole number",
    ),
    "nested without end": (lambda d: _nest(d), "nested too deeply"),
    "a shared layer without a first": (add({"shared": 7}), "a shared module must occur before"),
}


def _nest(description: dict[str, Any]) -> None:
    for _ in range(300):
        description["model"] = {"type": "Sequential", "options": {"layers": [description["model"]]}}


@pytest.mark.parametrize("name", LIES)
def test_descriptions_that_lie(name: str, parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    change, message = LIES[name]
    description, arrays = parts
    change(description)
    text = json.dumps(description)
    Path("m").write_bytes(signed(text, arrays))
    tracemalloc.start()
    error = must_refuse(Path("m"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message in str(error)
    assert peak < 20e6
    assert {path.name for path in Path().iterdir()} == {"m", "whole"}


def test_the_checksum_covers_description_and_tensors(parts: Any, tmp_path: Path):
    description, arrays = parts
    text = json.dumps(description)
    checksum = checkpoint._checksum(text, arrays)
    first = next(name for name in arrays if name.startswith("parameters/"))
    for changed_text, changed in (
        (text.replace('"l2": 0.0', '"l2": 0.5'), arrays),
        (text, {**arrays, first: arrays[first] + 1}),
        (text, {**arrays, "one/more": arrays[first]}),
    ):
        content = checkpoint.serialize_tensors(changed, metadata={"gradloom": changed_text, "checksum": checksum})
        (tmp_path / "m").write_bytes(content)
        assert "the checksum of a model file must match its content" in str(must_refuse(tmp_path / "m"))


def test_a_module_of_ones_own_that_refuses_its_options(tmp_path: Path):
    class Own(nn.Module):
        def __init__(self, size: int) -> None:
            if size != 3:
                raise RuntimeError("three!")
            self.size = size

        def forward(self, x: Any) -> Any:
            return x

    made = trainer(nn.Sequential(Own(3), nn.Dense(3)))
    fit(made)
    made.save(tmp_path / "m")
    assert same(made, train.load(tmp_path / "m", modules=[Own]))
    description, arrays = checkpoint.read(tmp_path / "m")
    layer(size=4)(description)
    checkpoint.write(tmp_path / "m", description, arrays)
    with pytest.raises(ModelFileError, match="does not describe a model; got RuntimeError: three!"):
        train.load(tmp_path / "m", modules=[Own])


def test_an_unknown_executor_is_the_callers_mistake(content: bytes, tmp_path: Path):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(UnknownNameError, match=r"no executor .* got 'referense'\. Did you mean 'reference'"):
        train.load(tmp_path / "m", executor="referense")


def test_the_file_itself_is_fine(run: train.Trainer, content: bytes, tmp_path: Path):
    (tmp_path / "m").write_bytes(content)
    found = load(tmp_path / "m")
    assert same(run, found)
    assert found.evaluate((X, Y)) == run.evaluate((X, Y))
