"""How good a model is on images whose classes are known."""

from __future__ import annotations

from pathlib import Path

from gradloom.cli.images.scores import rate
from gradloom.cli.images.sources import read_known
from gradloom.cli.scores import Scores
from gradloom.data.images import ImagePipeline
from gradloom.data.target import TargetPipeline
from gradloom.train import Trainer


def evaluate_images(
    run: Trainer, pipeline: ImagePipeline, target: TargetPipeline, source: str, masks: Path | None
) -> tuple[int, tuple[str, ...], Scores]:
    """How many images there are, what is to be said of them, and the figures.

    Args:
        run: a model that was trained on images.
        pipeline: how it reads them.
        target: how it names classes.
        source: name of a set, or a folder.
        masks: folder of masks, where pixels have classes.

    Raises:
        DataError: the images cannot be used.
        OptionError: masks are missing, or there is no use for them.
    """
    images = read_known(source, masks, pipeline, target.classes)
    return len(images), images.notes, rate(run, images)
