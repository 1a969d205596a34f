"""The commands on images, from end to end on small folders."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from picture_files import cells, save, shapes
from PIL import Image

from gradloom import data, train
from gradloom.cli.images.scores import pixel_scores
from gradloom.cli.images.sources import is_images
from gradloom.errors import ModelFileError

TRAIN = ["train", "shapes", "--model", "smallcnn", "--batch-size", "6", "--executor", "reference"]


def test_a_run_on_a_folder_of_classes(cli, tmp_path: Path):
    shapes(tmp_path)
    found = cli(*TRAIN, "--epochs", "2")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "Read: shapes."
    assert lines[1] == (
        "Images: 12 training, 4 validation, 4 test; 8 x 8, colour. Classes: bands, bars. Network: smallcnn."
    )
    assert "Baseline: always 'bands' (test)." in lines
    figures = json.loads((tmp_path / "runs/shapes-001/metrics.json").read_text())
    assert figures["task"] == "classification"
    assert figures["network"] == "smallcnn"
    assert figures["classes"] == ["bands", "bars"]
    assert figures["image"] == [8, 8, 3]
    assert figures["rows"] == {"training": 12, "validation": 4, "test": 4}
    assert figures["baseline"]["accuracy"] == 0.5
    assert figures["baseline"]["cross_entropy"] == pytest.approx(np.log(2))


def test_the_same_seed_gives_the_same_run(cli, tmp_path: Path):
    shapes(tmp_path)
    for seed in ("5", "5", "6"):
        cli(*TRAIN, "--epochs", "1", "--seed", seed)
    first, second, other = ((tmp_path / f"runs/shapes-00{i}/history.csv").read_text() for i in (1, 2, 3))
    assert first == second != other


def test_augmentation_changes_the_course_and_is_kept_in_the_model_file(cli, tmp_path: Path):
    shapes(tmp_path)
    for more in ([], ["--augment", "photo"]):
        assert cli(*TRAIN, "--epochs", "1", *more).code == 0
    first, second = (tmp_path / f"runs/shapes-00{i}" for i in (1, 2))
    assert (first / "history.csv").read_text() != (second / "history.csv").read_text()
    assert train.load(second / "model.safetensors").augment == data.augment.get("photo")


def test_an_unknown_augmentation_is_refused_with_the_nearest(cli, tmp_path: Path):
    shapes(tmp_path)
    assert "Did you mean 'photo'" in cli(*TRAIN, "--augment", "foto").err


def test_the_model_file_holds_all_that_predicting_needs(classifier: Path):
    run = train.load(classifier / "model.safetensors")
    assert run.preprocessing is not None
    assert run.preprocessing.images is not None
    assert run.preprocessing.images.pixel.channels == 3
    assert run.input_type == ("uint8", (8, 8, 3))
    images = data.image_folder(classifier / "shapes")
    assert run.evaluate(images)["accuracy"] > 0.9


def test_predictions_on_an_image_and_on_a_folder(cli, classifier: Path):
    one = cli("predict", str(classifier), str(classifier / "shapes/bars/03.png"))
    assert one.err == ""
    (row,) = csv.DictReader(io.StringIO(one.out))
    assert row["file"] == "03.png"
    assert row["prediction"] == "bars"
    assert float(row["probability bars"]) + float(row["probability bands"]) == pytest.approx(1, abs=2e-6)
    rows = list(csv.DictReader(io.StringIO(cli("predict", str(classifier), str(classifier / "shapes")).out)))
    assert [row["file"] for row in rows[:2]] == ["bands/00.png", "bands/01.png"]
    assert sum(row["file"].startswith(row["prediction"]) for row in rows) >= 18
    assert rows[13] == {"file": "bars/03.png"} | {name: row[name] for name in row if name != "file"}


def test_predictions_go_to_a_file_or_become_json(cli, classifier: Path, tmp_path: Path):
    found = cli("predict", str(classifier), str(classifier / "shapes/bars"), "-o", "answers.csv")
    assert found.out == "Written: answers.csv (10 images)\n"
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 11
    shown = json.loads(cli("predict", str(classifier), str(classifier / "shapes/bars"), "--json").out)
    assert shown["files"][0] == "00.png"
    assert shown["classes"] == ["bands", "bars"]
    assert np.array(shown["probabilities"]).shape == (10, 2)


def test_evaluation_on_a_folder_of_classes(cli, classifier: Path):
    shown = json.loads(cli("evaluate", str(classifier), str(classifier / "shapes"), "--json").out)
    assert shown["images"] == 20
    assert shown["metrics"]["accuracy"] > 0.9
    assert cli("evaluate", str(classifier), str(classifier / "shapes")).out.startswith("20 images of ")


def test_info_on_a_model_and_on_a_folder(cli, classifier: Path):
    assert "of 8 x 8 (height x width), colour of 8 bits" in cli("info", str(classifier)).out
    shown = cli("info", str(classifier / "shapes")).out.splitlines()
    assert shown[0].endswith("shapes: colour of 8 bits")
    assert shown[-1].split() == ["bars", "10"]


def test_pictures_call_classes_by_their_names(cli, classifier: Path, tmp_path: Path):
    words = ["see", str(classifier), str(classifier / "shapes"), "-o", "pictures", "--format", "svg"]
    assert cli(*words, "--what", "saliency,occlusion", "--count", "1").code == 0
    for name in ("saliency", "occlusion"):
        drawn = (tmp_path / f"pictures/{name}.svg").read_text()
        assert "bands" in drawn or "bars" in drawn
        assert "class 0" not in drawn
        assert "class 1" not in drawn


def test_a_mask_comes_back_in_the_size_and_the_values_of_training(cli, segmenter: Path, tmp_path: Path):
    save(tmp_path / "wide.png", np.zeros((20, 31), np.uint8))
    found = cli("predict", str(segmenter), "wide.png", "-o", "mask.png")
    assert found.out == "Written: mask.png\n"
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "L"
        assert mask.size == (31, 20)
        assert set(np.unique(np.asarray(mask)).tolist()) <= {0, 255}


def test_an_image_of_another_size_is_predicted_in_tiles(cli, tmp_path: Path):
    cells(tmp_path)
    words = ["train", "cells", "--masks", "masks", "--model", "unet-small", "--loss", "dice", "--lr", "0.02"]
    cli(*words, "--epochs", "6", "--batch-size", "2", "--executor", "reference", "--out", "run")
    history = (tmp_path / "run/history.csv").read_text().splitlines()[0]
    assert history == "epoch,loss,accuracy,mean_iou,val_loss,val_accuracy,val_mean_iou"
    # One of the images of training in a wider field of noise: it is found where it lies, and nothing else is.
    random = np.random.default_rng(5)
    field, truth = random.integers(0, 100, (37, 90), dtype=np.uint8), np.zeros((37, 90), bool)
    with Image.open(tmp_path / "cells/0.png") as cell, Image.open(tmp_path / "masks/0.png") as mask:
        field[10:26, 50:66], truth[10:26, 50:66] = np.asarray(cell), np.asarray(mask) > 0
    save(tmp_path / "field.png", field)
    assert cli("predict", "run", "field.png", "-o", "found.png").code == 0
    with Image.open(tmp_path / "found.png") as found:
        assert found.size == (90, 37)
        assert ((np.asarray(found) > 0) == truth).mean() > 0.95


def test_masks_of_a_folder_are_like_the_true_ones(cli, segmenter: Path, tmp_path: Path):
    assert cli("predict", str(segmenter), str(segmenter / "cells"), "-o", "out").out == "Written: out (10 masks)\n"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(path.name for path in (segmenter / "cells").iterdir())
    same = [
        (np.asarray(Image.open(tmp_path / "out" / name)) == np.asarray(Image.open(segmenter / "masks" / name))).mean()
        for name in names
    ]
    shown = json.loads(
        cli("evaluate", str(segmenter), str(segmenter / "cells"), "--masks", str(segmenter / "masks"), "--json").out
    )
    assert shown["metrics"]["accuracy"] == pytest.approx(np.mean(same), abs=1e-9)
    assert np.mean(same) > 0.9
    assert shown["metrics"]["mean_iou"] > 0.7


def test_masks_of_folders_lie_in_folders(cli, segmenter: Path, tmp_path: Path):
    for name in ("a/1.png", "b/1.png", "b/2.bmp"):
        save(tmp_path / "days" / name, np.zeros((16, 16), np.uint8))
    assert cli("predict", str(segmenter), "days", "-o", "out").out == "Written: out (3 masks)\n"
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert found == ["a/1.png", "b/1.png", "b/2.png"]
    save(tmp_path / "days/b/1.bmp", np.zeros((16, 16), np.uint8))
    again = cli("predict", str(segmenter), "days", "-o", "again")
    assert again.code == 2
    assert "names must differ in more than the suffix" in again.err
    assert "got b/1.bmp and b/1.png" in again.err
    assert not (tmp_path / "again").exists()


def test_what_is_read_is_not_overwritten(cli, classifier: Path, segmenter: Path, tmp_path: Path):
    cells(tmp_path, count=2)
    (tmp_path / "link").symlink_to("cells")
    shutil.copytree(classifier, tmp_path / "run")
    files = [*(tmp_path / "cells").iterdir(), tmp_path / "run/model.safetensors", tmp_path / "run/shapes/bars/03.png"]
    before = [path.read_bytes() for path in files]
    for words in (
        [str(segmenter), "cells/0.png", "-o", "cells/0.png"],
        [str(segmenter), "cells/0.png", "-o", "link/0.png"],
        [str(segmenter), "cells", "-o", "cells"],
        [str(segmenter), "cells", "-o", "link"],
        ["run", "run/shapes/bars/03.png", "-o", "run/shapes/bars/03.png"],
        ["run", "run/shapes", "-o", "run/model.safetensors"],
    ):
        found = cli("predict", *words)
        assert found.code == 2
        assert "-o: predictions must not take the place of what is read" in found.err
    assert [path.read_bytes() for path in files] == before


def test_without_a_file_the_shares_of_the_classes_are_shown(cli, segmenter: Path):
    (row,) = csv.DictReader(io.StringIO(cli("predict", str(segmenter), str(segmenter / "cells/0.png")).out))
    assert row.keys() == {"file", "share 0", "share 255"}
    assert float(row["share 0"]) + float(row["share 255"]) == pytest.approx(1, abs=2e-6)


def test_a_public_set_by_name(cli, tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        folder = tmp_path / "sets/mnist"
        folder.mkdir(parents=True, exist_ok=True)
        images, labels = random.integers(0, 255, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10
        head = bytes([0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28])
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, count]) + labels.tobytes())
    monkeypatch.setenv("GRADLOOM_DATA", str(tmp_path / "sets"))
    words = ["train", "mnist", "--model", "lenet5", "--epochs", "1", "--validation", "0", "--executor", "reference"]
    shown = json.loads(cli(*words, "--json", "-q").out)
    assert shown["rows"] == {"training": 40, "test": 10}
    assert any(note.startswith("Read: ") and "train-images-idx3-ubyte" in note for note in shown["notes"])
    assert json.loads(cli("evaluate", "runs/mnist-001", "mnist", "--json").out)["images"] == 10
    other = cli("evaluate", str(classifier), "mnist")
    assert other.code == 1
    assert "the classes must be those that the model knows; got 0, 1, 2, ... and a model of bands, bars" in other.err


def test_what_is_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shapes(tmp_path, count=1)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/a.csv").write_text("x,y\n1,2\n")
    assert all(map(is_images, ("shapes", "shapes/bars", "shapes/bars/00.png", "cifar10")))
    assert not any(map(is_images, ("tables", "tables/a.csv", "iris", "nowhere")))


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"channels": 2}, {"levels": [0]}, {"levels": [0, 70_000]}, {"deep": 1}, {"spare": 1}]
)
def test_a_damaged_description_of_images_is_refused(change: dict[str, object]):
    whole = data.ImagePipeline(8, 9, 3, False, True, (0, 255))
    assert data.ImagePipeline.from_state(whole.state()) == whole
    with pytest.raises(ModelFileError, match="the state must be one that gradloom wrote"):
        data.ImagePipeline.from_state(whole.state() | change)


def test_scores_of_pixels_by_hand():
    # 6 pixels of class 0, of which 1 is called 1; 4 of class 1, of which 2 are called 0; none of class 2.
    scores = pixel_scores(np.array([[5, 1, 0], [2, 2, 0], [0, 0, 0]]))
    assert scores == {"accuracy": 0.7, "mean_iou": pytest.approx((5 / 8 + 2 / 5) / 2)}
