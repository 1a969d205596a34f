"""load: every kind of source finds its reader, and what is no source is refused to the letter."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gradloom.data.arrays import Arrays
from gradloom.data.sources import load
from gradloom.data.table import Table
from gradloom.errors import DataError, OptionError


def table(source: object, **options) -> Table:
    loaded = load(source, **options)
    assert isinstance(loaded, Table)
    return loaded


def arrays(source: object) -> Arrays:
    loaded = load(source)
    assert isinstance(loaded, Arrays)
    return loaded


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.tsv", "t.txt", "t.data", "t.csv.gz"])
def test_delimited_text(tmp_path: Path, name: str) -> None:
    text = b"a\tb\n1\tx\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    for source in (tmp_path / name, str(tmp_path / name)):
        assert table(source).names == ["a", "b"]
    assert table(tmp_path / name, header=False).rows == 2
    assert table(tmp_path / name, kinds={"b": "text"})["b"].kind == "text"


def test_npy_of_two_dimensions_is_a_table(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 3)))
    assert table(tmp_path / "a.npy").names == ["column_1", "column_2", "column_3"]


def test_npy_of_more_dimensions_is_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 3, 2)))
    assert arrays(tmp_path / "a.npy").inputs.shape == (4, 3, 2)


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((4, 3)), y=np.ones(4))
    assert arrays(tmp_path / "a.npz").inputs.shape == (4, 3)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte.gz", "a.idx"])
def test_idx(tmp_path: Path, name: str) -> None:
    raw = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 5, 6])
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    np.testing.assert_array_equal(arrays(tmp_path / name).inputs, [[[5, 6]]])


def test_parquet(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    polars.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    assert table(tmp_path / "a.parquet", kinds={"a": "category"})["a"].values.tolist() == ["1", "2"]


def test_bundled_name_with_kinds() -> None:
    pytest.importorskip("sklearn")
    iris = table("iris", kinds={"target": "text"})
    assert (iris.target, iris["target"].kind) == ("target", "text")


def test_memory() -> None:
    pandas = pytest.importorskip("pandas")
    assert table(pandas.DataFrame({"a": [1.0]})).names == ["a"]
    assert table({"a": [1.0], "b": ["x"]}).names == ["a", "b"]
    assert table(np.ones((2, 2))).names == ["column_1", "column_2"]
    assert arrays(np.ones((2, 2, 2))).targets is None
    assert arrays({"x": np.ones((2, 3)), "y": [0, 1]}).inputs.shape == (2, 3)


def refusal(error: type[Exception], source: object, **options) -> str:
    with pytest.raises(error) as caught:
        load(source, **options)
    return str(caught.value)


def test_missing_file_proposes_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "titanic-train.csv").touch()
    (tmp_path / "adult.csv").touch()
    path = tmp_path / "titanic.csv"
    assert refusal(DataError, path) == (
        f"{path}: there is no such file. Did you mean 'titanic-train.csv'? Known: adult.csv, titanic-train.csv."
    )


def test_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "t.csv"
    assert refusal(DataError, path) == (
        f"{path}: there is no such file. The folder {path.parent} does not exist either."
    )


def test_misspelt_name_of_a_bundled_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(DataError, "irsi") == (
        "irsi: there is neither a file nor a bundled data set of this name. Did you mean 'iris'? "
        "Known: breast_cancer, diabetes, digits, iris, wine."
    )


@pytest.mark.parametrize("name", ["folder", "folder.csv"])
def test_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    rule = f"{folder}: a data set is read from a file, and this is a folder"
    assert refusal(DataError, folder) == f"{rule}. It holds no files."
    (folder / "a.csv").touch()
    assert refusal(DataError, folder) == f"{rule}. Name one of its files: a.csv."


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bytes:  # chmod would not stop a test that runs as root
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", denied)
    path = tmp_path / "t.csv"
    assert refusal(DataError, path) == (
        f"{path}: this file may not be read. Ask its owner for permission, or copy it to where you may read."
    )


@pytest.mark.parametrize(("name", "suffix"), [("t.xlsx", "'.xlsx'"), ("data", "no suffix")])
def test_unknown_suffix(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / name).touch()
    assert refusal(DataError, tmp_path / name) == (
        f"{tmp_path / name}: the suffix must tell the format: "
        f".csv, .tsv, .txt, .data, .parquet, .npy, .npz, .idx, each also with .gz; got {suffix}. "
        "Convert the file, or name it after what it holds."
    )


def test_no_source_at_all() -> None:
    assert refusal(DataError, [1, 2]) == (
        "load: a data set is read from a path, a name, a DataFrame, a dict of arrays or an array; got list. "
        "Collect a LazyFrame, turn a list into an array with np.asarray."
    )


def test_scalar_array() -> None:
    assert refusal(DataError, np.array(3.0)) == (
        "array: inputs need at least one sample along their first axis; got shape ()"
    )


def test_options_without_a_use() -> None:
    assert refusal(OptionError, np.ones((2, 2)), header=True) == (
        "load: header is only for delimited text; got header for ndarray. Leave it out."
    )
    assert refusal(OptionError, {"x": np.ones(2)}, encoding="latin-1") == (
        "load: encoding is only for delimited text; got encoding for dict. Leave it out."
    )
    assert refusal(OptionError, "iris", encoding="utf-16") == (
        "load: encoding is only for delimited text; got encoding for iris. Leave it out."
    )
    assert refusal(OptionError, "iris", header=False) == (
        "load: header is only for delimited text; got header for iris. Leave it out."
    )
    assert refusal(OptionError, np.ones((2, 2, 2)), kinds={"a": "text"}) == (
        "load: kinds is only for tables; got kinds for array. Leave it out."
    )
