"""Augmentation in training: keyed by seed, epoch and example; only there; targets follow; and at test time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import interrupt_at

import gradloom as gl
from gradloom import nn, optim, train
from gradloom.data import augment
from gradloom.errors import ModelFileError, NonFiniteError, OptionError, ShapeError, UnknownNameError
from gradloom.executors.native.program import NativeProgram
from gradloom.nn.losses import Loss
from gradloom.nn.metrics import StreamingMetric
from gradloom.train.augmenting import changed, key_of, mixed

ROWS, SIDE = 11, 6
IMAGES = np.random.default_rng(0).random((ROWS, SIDE, SIDE, 1)).astype(np.float32)
NUMBERED = IMAGES, np.arange(ROWS)
CHAIN = augment.Compose(augment.Flip(), augment.Elastic(0.1), augment.Noise(0.1))


class Nothing(nn.Module):
    """Gives what it is given; its weight, which training needs, counts nothing."""

    weight: gl.Tensor

    def build(self, x: Any) -> None:
        self.add_parameter("weight", (1,), nn.init.constant(1.0))

    def forward(self, x: Any) -> Any:
        return x + 0.0 * self.weight


@dataclass(frozen=True)
class Free(Loss):
    """Asks for nothing."""

    def per_example(self, outputs: Any, targets: Any) -> gl.Tensor:
        return gl.mean(outputs * 0.0, tuple(range(1, outputs.ndim)))


@dataclass(frozen=True)
class Seen(StreamingMetric[np.ndarray]):
    """What the model saw of each example, by the number that is its target, exactly: every sum has one term."""

    name = "seen"
    higher_is_better = False
    epochs: list[np.ndarray] = field(default_factory=list, init=False)

    def sums(self, outputs: Any, targets: Any, weights: Any = None) -> gl.Tensor:
        chosen = gl.one_hot(targets, ROWS, "float64") * gl.cast(weights, "float64").reshape(-1, 1)
        rows = gl.cast(outputs, "float64").reshape(len(targets), -1)
        return gl.sum(gl.expand_dims(chosen, 2) * gl.expand_dims(rows, 1), 0).reshape(-1)

    def finish(self, sums: np.ndarray) -> np.ndarray:
        self.epochs.append(sums.reshape(ROWS, SIDE, SIDE, 1).astype(np.float32))
        return sums


def looking(change: Any = CHAIN, **options: Any) -> train.Trainer:
    settings = {"metrics": [Seen()], "augment": change, "seed": 3, "executor": "reference", **options}
    return train.Trainer(Nothing(), Free(), optim.SGD(0.1), **settings)


def seen(run: train.Trainer, epochs: int = 2, data: Any = NUMBERED, **options: Any) -> list[np.ndarray]:
    """What the model saw in each epoch."""
    run.fit(data, epochs=epochs, **{"batch_size": 4, "progress": "silent", **options})
    (metric,) = run.metrics
    assert isinstance(metric, Seen)
    return metric.epochs


USUAL = seen(looking())


def same(found: list[np.ndarray], wanted: list[np.ndarray] = USUAL) -> bool:
    return len(found) == len(wanted) and all(a.tobytes() == b.tobytes() for a, b in zip(found, wanted))


def test_every_epoch_and_every_seed_change_images_anew():
    first, second = USUAL
    for other in (second, IMAGES, seen(looking(seed=4))[0]):
        assert (first != other).any((1, 2, 3)).all()


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"batch_size": 11}, {"shuffle": False}, {"batch_size": 1}])
def test_an_example_is_changed_alike_in_every_batch_and_order(options: dict[str, Any]):
    assert same(seen(looking(), **options))


def test_a_resumed_run_changes_images_alike(tmp_path: Path):
    run = looking()
    before = seen(run, 1)
    run.save(tmp_path / "model.safetensors")
    metric = Seen()
    own: Any = {"modules": [Nothing], "loss": Free(), "metrics": [metric], "executor": "reference"}
    resumed = train.load(tmp_path / "model.safetensors", **own)
    assert resumed.augment == CHAIN
    assert same([*before, *seen(resumed, 1)])


def test_an_interrupted_epoch_goes_on_alike():
    run = looking()
    interrupt_at(run, 2)
    with pytest.raises(KeyboardInterrupt):
        seen(run)
    assert run.position == 1
    assert same(seen(run))


def test_chunks_of_a_stream_are_changed_alike_in_batches_of_any_size():
    chunks = [(IMAGES[:6], np.arange(6)), (IMAGES[6:], np.arange(6, ROWS))]
    found = seen(looking(), data=train.Stream(chunks))
    for options in ({"batch_size": 2}, {"shuffle": False}):
        assert same(seen(looking(), data=train.Stream(chunks), **options), found)
    # Examples count from 0 in each chunk, and the first chunk is like a data set.
    assert found[0][:6].tobytes() == USUAL[0][:6].tobytes()
    assert found[0][6:].tobytes() != USUAL[0][6:].tobytes()


def test_the_native_executor_does_the_same_in_batches_of_any_size():
    exact = augment.Compose(augment.Flip(), augment.QuarterTurns(), augment.Crop(2))
    native = [seen(looking(exact, executor="native"), batch_size=size) for size in (4, 11)]
    assert same(*native)
    assert same(native[0], seen(looking(exact)))


def test_the_number_of_threads_does_not_matter():
    images = np.random.default_rng(1).random((64, 24, 24, 3)).astype(np.float32)
    change = augment.Compose(*augment.get("digits").parts, *augment.get("photo").parts, augment.Noise())
    program = NativeProgram(gl.trace(lambda x, key: change(x, key), gl.tensor(images), gl.random.key(1)))
    results = []
    for threads in (1, 2, 5):
        program.threads = threads
        results.append(program([images, gl.random.key(1).numpy()])[0].tobytes())
    assert results[0] == results[1] == results[2]


def test_whoever_predicts_or_evaluates_sees_images_as_they_are():
    run = looking()
    seen(run, 1)
    np.testing.assert_array_equal(run.predict(IMAGES), IMAGES)
    np.testing.assert_array_equal(run.evaluate((IMAGES, np.arange(ROWS)))["seen"].reshape(IMAGES.shape), IMAGES)


@dataclass(frozen=True)
class Apart(Loss):
    """How far a segmentation's target is from the image, which is its own target here."""

    def per_example(self, outputs: Any, targets: Any) -> gl.Tensor:
        return gl.mean(gl.abs(outputs - targets), (1, 2, 3))


def test_targets_that_are_images_move_along():
    run = train.Trainer(
        Nothing(),
        Apart(),
        optim.SGD(0.0),
        augment=augment.Compose(augment.Crop(2), augment.Flip()),
        executor="reference",
    )
    history = run.fit((IMAGES, IMAGES), epochs=2, batch_size=4, progress="silent")
    assert [row["loss"] for row in history.rows] == [0.0, 0.0]
    assert run.evaluate((IMAGES, IMAGES[:, ::-1]))["loss"] > 0.1


def valid_run(masks: Any, maps: Any, **options: Any) -> list[bytes]:
    """The weights that a network which takes off two pixels on either side comes to."""
    net = nn.Sequential(nn.Conv(2, 3, padding="valid", activation="relu"), nn.Conv(2, 3, padding="valid"))
    run = train.Trainer(
        net, optimizer=optim.SGD(0.1), executor="reference", metrics=["accuracy"], augment=options.pop("augment", None)
    )
    images = np.random.default_rng(1).random((8, 9, 9, 1)).astype(np.float32)
    run.fit((images, masks, maps), epochs=2, batch_size=4, progress="silent", **options)
    found = run.evaluate((images, masks, maps))
    return [*(leaf.numpy().tobytes() for leaf in gl.tree.leaves(run.snapshot()["parameters"])), repr(found).encode()]


@pytest.mark.parametrize("workers", [None, train.MapReduce(1, chunks=2)])
def test_of_masks_as_large_as_images_the_middle_counts(workers: Any):
    random = np.random.default_rng(0)
    masks, maps = random.integers(0, 2, (8, 9, 9)), random.random((8, 9, 9)).astype(np.float32)
    cut = np.s_[:, 2:-2, 2:-2]
    assert valid_run(masks, maps, workers=workers) == valid_run(masks[cut], maps[cut], workers=workers)
    turning = augment.Compose(augment.Rotate(90.0))
    assert valid_run(masks, maps, workers=workers, augment=turning)
    with pytest.raises(ShapeError, match="Give it in full"):
        valid_run(masks[cut], maps[cut], workers=workers, augment=turning)


def test_maps_of_weights_move_along():
    batch = gl.tensor(IMAGES), gl.arange(ROWS), gl.tensor(IMAGES[..., 0])
    change = augment.Compose(augment.Crop(2), augment.Flip())
    (images, numbers, weights), _ = changed(change, batch, gl.random.key(1), None)
    np.testing.assert_array_equal(weights.numpy(), images.numpy()[..., 0])
    np.testing.assert_array_equal(numbers.numpy(), np.arange(ROWS))


def test_a_mixed_target_costs_what_both_do():
    logits = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    labels = np.array([0, 2, 1, 1, 0])
    mixture = augment.Mixture(gl.tensor(np.array([1, 0.5, 0.7, 0.9, 0.6], np.float32)))
    loss = nn.losses.CrossEntropy()
    own, next_one = (loss.per_example(logits, y).numpy() for y in (labels, np.roll(labels, -1)))
    share = mixture.share.numpy()
    found = loss.per_example(logits, mixed(gl.tensor(logits), gl.tensor(labels), mixture)).numpy()
    np.testing.assert_allclose(found, share * own + (1 - share) * next_one, rtol=1e-5)
    numbers = mixed(gl.tensor(logits[:, 0]), gl.tensor(labels), mixture).numpy()
    np.testing.assert_allclose(numbers, share * labels + (1 - share) * np.roll(labels, -1), rtol=1e-6)


@pytest.mark.parametrize(("loss", "units"), [("cross_entropy", 3), ("binary_cross_entropy", 1), ("mse", 1)])
def test_mixup_trains(loss: str, units: int):
    model = nn.Sequential(nn.Flatten(), nn.Dense(units))
    labels = np.arange(ROWS) % (3 if units == 3 else 2)
    metrics = ["accuracy"] if units == 3 else []
    change = augment.Mixup(0.5)
    run = train.Trainer(model, loss, optim.SGD(0.0), metrics, augment=change, executor="reference")
    run.fit((IMAGES, labels), epochs=1, batch_size=ROWS, shuffle=False, progress="silent")
    pictures = change.change(IMAGES, key_of(run._key(2), (0, 0)))
    assert pictures.mixture is not None
    outputs = model(pictures.images)
    given = outputs if units == 3 else outputs.reshape(-1)
    wanted = nn.losses.get(loss)(given, mixed(given, gl.tensor(labels), pictures.mixture))
    assert run.history.rows[0]["loss"] == pytest.approx(wanted.item(), rel=1e-5)
    if metrics:
        chosen = outputs.numpy().argmax(1)
        assert run.history.rows[0]["accuracy"] == pytest.approx(np.mean(chosen == labels))


def test_a_hunt_for_nan_sees_the_augmented_images():
    run = train.Trainer(
        nn.Sequential(nn.Flatten(), nn.Dense(2)),
        *("mse", optim.SGD(1e30)),
        augment=augment.Noise(1e18),
        executor="reference",
        debug_nans=True,
    )
    with pytest.raises(NonFiniteError, match="it began with"):
        run.fit((IMAGES, np.zeros((ROWS, 2), np.float32)), epochs=2, batch_size=4, progress="silent")


def test_what_cannot_be_augmented_is_refused_before_training():
    flat = train.Trainer(nn.Dense(3), augment="digits", executor="reference")
    with pytest.raises(ShapeError, match=r"Compose: images have the shape .*got \(2, 36\)\. Reshape them"):
        flat.fit((IMAGES.reshape(ROWS, -1), np.arange(ROWS) % 3), progress="silent")
    small = train.Trainer(Nothing(), Free(), augment=augment.Flip(), executor="reference")
    with pytest.raises(ShapeError, match="a mask has the size of its images"):
        small.fit((IMAGES, np.zeros((ROWS, 4, 4), int)), progress="silent")
    with pytest.raises(UnknownNameError, match="no augmentation has this name"):
        train.Trainer(nn.Dense(3), augment="foto")
    with pytest.raises(OptionError, match="augment is fixed once the trainer is made"):
        small.augment = None


def test_an_augmentation_of_ones_own(tmp_path: Path):
    run = looking(Darker())
    found = seen(run, 1)
    np.testing.assert_allclose(found[0], IMAGES / 2)
    run.save(tmp_path / "model.safetensors")
    own: Any = {"modules": [Nothing], "loss": Free(), "metrics": [Seen()]}
    with pytest.raises(ModelFileError, match="no class has this name; got 'Darker'"):
        train.load(tmp_path / "model.safetensors", **own)
    assert train.load(tmp_path / "model.safetensors", **own, augment=Darker()).augment == Darker()


@dataclass(frozen=True)
class Darker(augment.Recolouring):
    """Half as bright."""

    def recolour(self, images: gl.Tensor, keys: gl.Tensor) -> gl.Tensor:
        return images * 0.5


# Test time --------------------------------------------------------------------------------------------------------


def trained(model: nn.Module, targets: np.ndarray, loss: str = "cross_entropy") -> train.Trainer:
    run = train.Trainer(model, loss, executor="reference")
    run.fit((IMAGES, targets), epochs=1, batch_size=4, progress="silent")
    return run


def classifier() -> train.Trainer:
    return trained(nn.Sequential(nn.Conv(2, 3, activation="tanh"), nn.Flatten(), nn.Dense(3)), np.arange(ROWS) % 3)


def segmenter() -> train.Trainer:
    return trained(nn.Conv(2, 3), (IMAGES[..., 0] > 0.5).astype(int))


def symmetries(images: np.ndarray) -> list[np.ndarray]:
    turned = [np.rot90(images, k, (1, 2)) for k in range(4)]
    return [*turned, *(image[:, :, ::-1] for image in turned)]


@pytest.mark.parametrize(
    ("asked", "alike"),
    [("mirror", [0, 4]), (2, [0, 4]), ("flips", [0, 2, 4, 6]), (4, [0, 2, 4, 6]), ("turns", [0, 1, 2, 3])]
    + [("all", list(range(8))), (8, list(range(8))), (1, [0])],
)
def test_predictions_are_the_mean_over_views(asked: Any, alike: list[int]):
    run = classifier()
    wanted = np.mean([run.predict(symmetries(IMAGES)[i]) for i in alike], 0)
    np.testing.assert_allclose(run.predict(IMAGES, augment=asked), wanted, atol=1e-5)


@pytest.mark.parametrize("asked", ["flips", "turns", "all"])
def test_segmentations_are_turned_back_before_the_mean(asked: str):
    """So a prediction for a turned image is the turned prediction, which the network alone knows nothing of."""
    run = segmenter()
    turned = symmetries(IMAGES)[2 if asked == "flips" else 1]
    plain, tested = run.predict(turned), run.predict(turned, augment=asked)
    k = 2 if asked == "flips" else 1
    assert np.abs(plain - np.rot90(run.predict(IMAGES), k, (1, 2))).max() > 1e-3
    np.testing.assert_allclose(tested, np.rot90(run.predict(IMAGES, augment=asked), k, (1, 2)), atol=1e-5)


def test_views_that_do_not_exist_are_refused():
    run = classifier()
    with pytest.raises(OptionError, match="there are 8 views of an image; got 9"):
        run.predict(IMAGES, augment=9)
    with pytest.raises(OptionError, match="augment is a whole number from 1"):
        run.predict(IMAGES, augment=0)
    with pytest.raises(UnknownNameError, match="no set of views has this name; got 'flip'"):
        run.predict(IMAGES, augment="flip")
    oblong = train.Trainer(nn.Conv(2, 3), executor="reference")
    oblong.fit((IMAGES[:, :4], (IMAGES[:, :4, :, 0] > 0.5).astype(int)), epochs=1, batch_size=4, progress="silent")
    with pytest.raises(ShapeError, match="only square images can be turned by 90 degrees"):
        oblong.predict(IMAGES[:, :4], augment="turns")
    assert oblong.predict(IMAGES[:, :4], augment="flips").shape == (ROWS, 4, SIDE, 2)
    flat = train.Trainer(nn.Dense(3), executor="reference")
    flat.fit((IMAGES.reshape(ROWS, -1), np.arange(ROWS) % 3), epochs=1, batch_size=4, progress="silent")
    with pytest.raises(ShapeError, match="augment needs images"):
        flat.predict(IMAGES.reshape(ROWS, -1), augment="flips")
