"""A recipe through gradloom's trainer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.accuracy.recipes import Recipe, warm_up
from benchmarks.accuracy.sets import Part
from benchmarks.systems.gradloom_images import image_model
from gradloom import models, nn, optim, train
from gradloom.data import augment
from gradloom.optim.schedules import Cosine, WarmUp

_AUGMENTATIONS: dict[str, Any] = {
    "": None,
    "shift and mirror": augment.Compose(augment.Flip(), augment.Crop(4, border="zero")),
    "small shift and mirror": augment.Compose(augment.Flip(), augment.Crop(2)),
    "digits": augment.get("digits"),
    "tissue": augment.Compose(
        augment.Flip("horizontal"), augment.Flip("vertical"), augment.QuarterTurns(), augment.Elastic(0.02, 3)
    ),
}


class Run:
    """A model in training."""

    def __init__(self, recipe: Recipe, first: Part, seed: int) -> None:
        self.recipe, self.first = recipe, first
        model = first_model(recipe, first, seed)
        options: dict[str, Any] = {"seed": seed, "augment": _AUGMENTATIONS[recipe.augment]}
        if recipe.method == "speedrun":
            made = models.speedrun_recipe(len(first.inputs), epochs=recipe.epochs, batch_size=recipe.batch)
            self.trainer = train.Trainer(model, made.loss, made.optimizer, **options)
        else:
            self.trainer = train.Trainer(model, optimizer=_optimizer(recipe, first), **options)

    def epoch(self, *, shuffle: bool = True) -> float:
        """Go through the images once; the mean loss."""
        data = self.first.inputs, self.first.targets
        self.trainer.fit(data, epochs=1, batch_size=self.recipe.batch, shuffle=shuffle, progress="silent")
        return self.trainer.history.rows[-1]["loss"]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The scores of classes."""
        return self.trainer.predict(images, augment="mirror" if self.recipe.mirrors else None)

    def parameters(self) -> list[np.ndarray]:
        """All that is trained, in the order of the layers."""
        return list(in_order(self.trainer.model.parameters()))


def first_model(recipe: Recipe, first: Part, seed: int) -> nn.Sequential:
    """The network with the parameters that training begins with."""
    if recipe.method != "speedrun":
        return image_model(recipe.work)
    model = models.Speedrun(recipe.classes, width=recipe.width)
    model.initialize(first.inputs[:1], seed=seed)
    whitening = model[0]
    assert isinstance(whitening, nn.Whitening)
    whitening.fit(first.inputs[:5000])
    return model


def in_order(nested: Any) -> Iterator[np.ndarray]:
    """The tensors of nested dicts as arrays, layer after layer."""
    if isinstance(nested, dict):
        for value in nested.values():
            yield from in_order(value)
    else:
        yield nested.numpy()


def _optimizer(recipe: Recipe, first: Part) -> optim.Optimizer:
    steps = recipe.epochs * -(-len(first.inputs) // recipe.batch)
    warm = warm_up(steps)
    rate = WarmUp(Cosine(recipe.rate, steps - warm), warm)
    if recipe.method == "adam":
        return optim.Adam(rate, weight_decay=recipe.decay)
    return optim.SGD(rate, momentum=0.9, nesterov="reparametrised", weight_decay=recipe.decay)
