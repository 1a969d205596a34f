"""What holds for every augmentation.  A line in CASES brings an augmentation all of these tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.data import augment
from gradloom.data.augment import Augmentation, Compose
from gradloom.data.augment.geometry import Geometric
from gradloom.errors import GradloomError, ShapeError

RNG = np.random.default_rng(5)
IMAGES = RNG.random((5, 8, 8, 3)).astype(np.float32)
LABELS = RNG.integers(0, 4, (5, 8, 8))
KEY = gl.random.key(11)


@dataclass(frozen=True)
class Case:
    """An augmentation, the same at strength 0, and whether it looks at other examples of the batch."""

    change: Augmentation
    nothing: Augmentation | None
    mixes: bool = False


CASES = {
    "flip": Case(augment.Flip(), augment.Flip(chance=0)),
    "flip vertical": Case(augment.Flip("vertical", 0.7), augment.Flip("vertical", 0)),
    "quarter turns": Case(augment.QuarterTurns(), None),
    "crop": Case(augment.Crop(2), augment.Crop(0)),
    "crop to a side": Case(augment.Crop(1, 5, border="zero"), augment.Crop(0, 8)),
    "translate": Case(augment.Translate(0.3, border="edge"), augment.Translate(0)),
    "rotate": Case(augment.Rotate(30), augment.Rotate(0)),
    "scale": Case(augment.Scale(0.3, border="zero"), augment.Scale(0)),
    "shear": Case(augment.Shear(20, border="edge"), augment.Shear(0, border="zero")),
    "elastic": Case(augment.Elastic(0.1), augment.Elastic(0)),
    "elastic with many points": Case(augment.Elastic(0.1, 6, border="zero"), augment.Elastic(0, 4, border="zero")),
    "noise": Case(augment.Noise(0.2), augment.Noise(0)),
    "brightness": Case(augment.Brightness(), augment.Brightness(0)),
    "contrast": Case(augment.Contrast(), augment.Contrast(0)),
    "saturation": Case(augment.Saturation(), augment.Saturation(0)),
    "hue": Case(augment.Hue(), augment.Hue(0)),
    "cutout": Case(augment.Cutout(), augment.Cutout(0)),
    "mixup": Case(augment.Mixup(), augment.Mixup(0), mixes=True),
    "a chain": Case(Compose(augment.Flip(), augment.Elastic(0.1), augment.Crop(2), augment.Noise()), Compose()),
    **{name: Case(preset, None) for name, preset in augment.PRESETS.items()},
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def changed(change: Augmentation, images: np.ndarray = IMAGES, key: gl.Tensor = KEY, **more: object) -> np.ndarray:
    return change(images, key, **more).numpy()


def test_every_augmentation_has_a_case() -> None:
    assert set(augment.AUGMENTATIONS) == {type(case.change) for case in CASES.values()}


def test_images_come_out_changed_in_their_type(case: Case) -> None:
    found = changed(case.change)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.shape[0] == 5
    assert found.shape[3] == 3
    assert found.shape != IMAGES.shape or not np.array_equal(found, IMAGES)
    assert changed(case.change, IMAGES.astype(np.float64)).dtype == np.float64


def test_whole_numbers_are_changed_as_floats_of_their_value(case: Case) -> None:
    whole = RNG.integers(0, 256, IMAGES.shape).astype(np.uint8)
    np.testing.assert_array_equal(changed(case.change, whole), changed(case.change, whole.astype(np.float32)))


def test_the_key_determines_the_change(case: Case) -> None:
    np.testing.assert_array_equal(changed(case.change), changed(case.change))
    assert not np.array_equal(changed(case.change), changed(case.change, key=gl.random.key(12)))


def test_an_example_is_changed_alike_in_every_batch(case: Case) -> None:
    if case.mixes:
        return  # that looks at the batch
    whole, order = changed(case.change), np.array([4, 1, 3])
    np.testing.assert_array_equal(changed(case.change, IMAGES[order], numbers=order), whole[order])
    np.testing.assert_array_equal(changed(case.change, IMAGES[2:3], numbers=[2]), whole[2:3])


def test_strength_0_changes_nothing(case: Case) -> None:
    if case.nothing is not None:
        np.testing.assert_array_equal(changed(case.nothing), IMAGES)


def test_the_native_executor_agrees(case: Case) -> None:
    def f(images: gl.Tensor, mask: gl.Tensor, key: gl.Tensor) -> object:
        return case.change(images, key, mask=mask)

    images, mask = gl.jit(f, "native")(IMAGES, LABELS, KEY)
    wanted, labels = case.change(IMAGES, KEY, mask=LABELS)
    np.testing.assert_allclose(images.numpy(), wanted.numpy(), rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(mask.numpy(), labels.numpy())


def test_a_mask_moves_with_its_images(case: Case) -> None:
    """Masks in one channel or in one-hot channels move alike; where images do not move, masks do not."""
    images, mask = case.change(IMAGES, KEY, mask=LABELS)
    assert mask.dtype == LABELS.dtype
    assert mask.shape == images.shape[:3]
    one_hot = case.change(IMAGES, KEY, mask=np.eye(4)[LABELS])[1].numpy()
    is_zero = one_hot.sum(-1) == 0  # beyond a zero border
    np.testing.assert_array_equal(one_hot.argmax(-1)[~is_zero], mask.numpy()[~is_zero])
    assert not mask.numpy()[is_zero].any()
    geometric = [part for part in case.change.parts if isinstance(part, Geometric)]
    if not geometric:
        np.testing.assert_array_equal(mask.numpy(), LABELS)
    elif len(geometric) == len(case.change.parts) and all(part.exact for part in geometric):
        itself = case.change(IMAGES, KEY, mask=IMAGES)
        np.testing.assert_array_equal(itself[1].numpy(), itself[0].numpy())


def test_smooth_images_are_near_their_masks(case: Case) -> None:
    """A ramp read between pixels is near the ramp read at the nearest one."""
    if not all(isinstance(part, Geometric) for part in case.change.parts):
        return
    ramp = np.add.outer(np.arange(8.0), np.arange(8.0) / 8)[np.newaxis, :, :, np.newaxis].repeat(5, 0)
    images, mask = case.change(ramp, KEY, mask=ramp)
    assert np.abs(images.numpy() - mask.numpy()).max() <= 0.5 + 0.5 / 8 + 1e-5


def test_description_round_trip(case: Case) -> None:
    text = json.dumps(augment.describe(case.change))
    assert augment.build(json.loads(text)) == case.change
    assert repr(case.change).startswith(f"{type(case.change).__name__}(")


def test_it_is_frozen_and_can_be_hashed(case: Case) -> None:
    assert hash(case.change) == hash(augment.build(augment.describe(case.change)))
    for name in case.change.config():
        with pytest.raises(AttributeError):
            setattr(case.change, name, 1)


def test_every_number_has_a_range(case: Case) -> None:
    if isinstance(case.change, Compose):
        return
    change: Any = case.change
    for name, value in change.config().items():
        for wrong in (float("nan"), "x", -1.5):
            if isinstance(value, (int, float)) and (name, wrong) != ("value", -1.5):
                with pytest.raises(GradloomError, match=rf"^{type(case.change).__name__}: .*{name}"):
                    replace(change, **{name: wrong})


def test_what_is_no_image_is_refused(case: Case) -> None:
    with pytest.raises(ShapeError, match=r"images have the shape \(examples, height, width, channels\)"):
        case.change(IMAGES[..., 0], KEY)
    with pytest.raises(ShapeError, match="a mask has the size of its images"):
        case.change(IMAGES, KEY, mask=LABELS[:, :-1])


@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_any_size(data: st.DataObject) -> None:
    shape = [data.draw(st.integers(1, 6)) for _ in range(3)]
    channels = data.draw(st.sampled_from([1, 3, 4]))
    images = np.random.default_rng(0).random((*shape, channels)).astype(np.float32)
    for case in CASES.values():
        coloured = any(isinstance(p, (augment.Hue, augment.Saturation)) for p in case.change.parts)
        if (channels != 3 and coloured) or isinstance(case.change, augment.Crop):
            continue
        found = case.change(images, KEY).numpy()
        assert found.shape == images.shape
        assert np.isfinite(found).all()
