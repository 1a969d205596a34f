"""A recipe through gradloom's trainer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.accuracy.recipes import Recipe, Row, warm_up
from benchmarks.accuracy.sets import Part
from benchmarks.systems.gradloom_images import image_model
from gradloom import optim, train
from gradloom.data import augment
from gradloom.optim.schedules import Cosine, WarmUp

_AUGMENTATIONS: dict[str, Any] = {
    "": None,
    "shift and mirror": augment.Compose(augment.Flip(), augment.Crop(4)),
    "digits": augment.Compose(augment.Rotate(10), augment.Scale(0.1), augment.Translate(0.08)),
    "tissue": augment.Compose(
        augment.Flip("horizontal"), augment.Flip("vertical"), augment.QuarterTurns(), augment.Elastic(0.02, 3)
    ),
}


def run(recipe: Recipe, first: Part, seed: int) -> Iterator[tuple[Row, Any]]:
    """Train; after each epoch the row without scores, and what predicts the scores of classes of images."""
    trainer = train.Trainer(
        image_model(recipe.work), optimizer=_optimizer(recipe, first), seed=seed, augment=_AUGMENTATIONS[recipe.augment]
    )
    spent = 0.0
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        trainer.fit((first.inputs, first.targets), epochs=1, batch_size=recipe.batch, progress="silent")
        spent += time.perf_counter() - start
        yield Row(epoch, spent, trainer.history.rows[-1]["loss"], 0.0, {}), trainer.predict


def _optimizer(recipe: Recipe, first: Part) -> optim.Optimizer:
    steps = recipe.epochs * -(-len(first.inputs) // recipe.batch)
    warm = warm_up(steps)
    rate = WarmUp(Cosine(recipe.rate, steps - warm), warm)
    if recipe.method == "adam":
        return optim.Adam(rate, weight_decay=recipe.decay)
    return optim.SGD(rate, momentum=0.9, nesterov="reparametrised", weight_decay=recipe.decay)
