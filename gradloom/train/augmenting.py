"""Augmentation as part of the step: which key changes which example, and what happens to its target."""

from __future__ import annotations

from typing import Any

from gradloom import functional as gl
from gradloom import random
from gradloom.data.augment.base import Augmentation
from gradloom.data.augment.mixture import Mixture
from gradloom.ir.graph import scope
from gradloom.tensor import Tensor, tensor
from gradloom.train.examples import Examples
from gradloom.train.inputs import only_input, two_examples, type_of
from gradloom.transforms import trace

START = (0, 0)
"""Epoch and chunk of examples that are no part of a run."""


def key_of(key: Tensor, origin: Any) -> Tensor:
    """The key that changes examples.

    Args:
        key: of the run, of which the keys of steps are folds; this one comes from a split, so it is none of them.
        origin: number of the epoch, and of the chunk that the examples lie in, shape (2,).
    """
    epoch, chunk = (tensor(origin)[i] for i in range(2))
    return random.fold_in(random.fold_in(random.split(key)[0], epoch), chunk)


def changed(augment: Augmentation, batch: Any, key: Tensor, rows: Any) -> tuple[Any, Mixture | None]:
    """A batch with its images changed, and how they were mixed.

    Targets with more than two axes are images themselves and move along, and so do maps of weights.  Mixing targets is
    left to :func:`mixed`, which needs to know the outputs.

    Args:
        augment: the change.
        batch: (inputs, targets, weights).
        key: see :func:`key_of`.
        rows: the numbers of the examples; None where they have none.
    """
    inputs, *others = batch
    with scope("augment"):
        pictures = augment.change(inputs, key, numbers=rows, masks=[other for other in others if other.ndim > 2])
    moved = iter(pictures.masks)
    return (pictures.images, *(next(moved) if other.ndim > 2 else other for other in others)), pictures.mixture


def mixed(outputs: Tensor, targets: Tensor, mixture: Mixture) -> Tensor:
    """Targets mixed as their examples were: class indices as shares of the classes, numbers as numbers.

    Args:
        outputs: of the model, shape (n, ...).
        targets: in the shape of the outputs, or class indices in that without its last axis.
        mixture: of the examples.
    """
    are_classes = not targets.type.is_float and targets.ndim == outputs.ndim - 1
    rows = gl.one_hot(targets, outputs.shape[-1], outputs.dtype) if are_classes else gl.cast(targets, outputs.dtype)
    return mixture.of(rows)


def check(augment: Augmentation | None, examples: Examples) -> None:
    """Refuse examples that an augmentation cannot change, before anything is compiled.

    Raises:
        OptionError: there are several inputs.
        ShapeError: inputs are no images, targets that are images have another size, or as the augmentation has it.
    """
    if augment is not None:
        only_input(type_of(examples.inputs), "augment")
        given = (two_examples(a.dtype, a.shape[1:]) for a in (examples.inputs, examples.targets, examples.weights))
        trace(lambda *batch: changed(augment, batch, random.key(0), None)[0], *given)
