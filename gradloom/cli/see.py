"""``gradloom see``: pictures of what a model of images does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gradloom import nn, report, saving
from gradloom.cli.images.sources import pipelines, read_known
from gradloom.cli.options import Data, Debug, Json, MasksOption, Model, Quiet, model_path
from gradloom.cli.render import Screen
from gradloom.data.images import Images
from gradloom.errors import OptionError, unknown_name
from gradloom.records import dataclass
from gradloom.train import Trainer, load

_FEW = 4


class PictureFormat(StrEnum):
    """How pictures are written."""

    PNG = "png"
    SVG = "svg"


@dataclass(frozen=True)
class Seen:
    """What pictures are made of.

    Attributes:
        run: the model.
        images: with their targets.
        count: how many images a picture shows at most.
        layer: whose maps are shown.
    """

    run: Trainer
    images: Images
    count: int
    layer: str

    @property
    def inputs(self) -> np.ndarray:
        """Of the model."""
        return self.images.inputs

    def first(self) -> np.ndarray:
        """A few images, for pictures that take long."""
        return self.inputs[: min(self.count, _FEW)]


_OF_CLASSES: dict[str, Callable[[Seen], report.Figure]] = {
    "confusion": lambda s: report.confusion_matrix(s.run, s.inputs, s.images.targets),
    "samples": lambda s: report.samples(s.run, s.inputs, s.images.targets, count=s.count, labels=s.images.classes),
    "mistakes": lambda s: report.mistakes(s.run, s.inputs, s.images.targets, count=s.count, labels=s.images.classes),
    "filters": lambda s: report.filters(s.run),
    "features": lambda s: report.feature_maps(s.run, s.inputs[0], s.layer),
    "saliency": lambda s: report.saliency(s.run, s.first()),
    "occlusion": lambda s: report.occlusion(s.run, s.inputs[0]),
}
_OF_PIXELS = {
    "masks": lambda s: report.segmentation(s.run, s.inputs, s.images.targets, count=min(s.count, _FEW)),
    "filters": _OF_CLASSES["filters"],
    "features": _OF_CLASSES["features"],
}
PICTURES = tuple({**_OF_CLASSES, **_OF_PIXELS})


def see(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", show_default=False, help="Where pictures go.")],
    what: Annotated[
        str | None, typer.Option(metavar="NAME,...", help=f"{', '.join(PICTURES)}; by default all that the model has.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many images a picture shows at most.")] = 16,
    kind: Annotated[PictureFormat, typer.Option("--format", help="How pictures are written.")] = PictureFormat.PNG,
    layer: Annotated[
        str | None, typer.Option(metavar="PATH", help="Of which features are shown; by default the first convolution.")
    ] = None,
    masks: MasksOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw what MODEL does with the images of DATA: confusion, mistakes, filters, saliency, masks, ..."""
    screen, run = Screen(as_json, quiet), load(model_path(model))
    on_images = pipelines(run)
    if on_images is None:
        rule = "pictures are of models of images"
        raise OptionError("see", rule=rule, got="a model of tables", fix="Use gradloom report for models of tables.")
    if count < 1:
        raise OptionError("--count", rule="this is a whole number from 1", got=str(count))
    pipeline, target = on_images
    offered = _OF_PIXELS if pipeline.segments else _OF_CLASSES
    names = _chosen(what, offered)
    images = read_known(data, masks, pipeline, target.classes)
    for sentence in images.notes:
        screen.note(sentence)
    folder = saving.make_folder(out, who="--out", error=OptionError)
    files = []
    seen = Seen(run, images, count, layer or _first_convolution(run.model))
    for name in names:
        file = folder / f"{name}.{kind.value}"
        offered[name](seen).save(file)
        files.append(str(file))
    screen.result(f"Written: {', '.join(files)}")
    screen.json({"files": dict(zip(names, files)), "images": len(images), "notes": list(images.notes)})


def _chosen(what: str | None, offered: dict[str, Any]) -> Sequence[str]:
    """The pictures that were asked for, each once.

    Raises:
        UnknownNameError: there is no such picture.
        OptionError: it is of other models.
    """
    if what is None:
        return tuple(offered)
    names = tuple(dict.fromkeys(part.strip() for part in what.split(",") if part.strip()))
    for name in names:
        if name not in PICTURES:
            raise unknown_name("--what", "picture", name, PICTURES)
        if name not in offered:
            rule = f"a model like this has {', '.join(offered)}"
            raise OptionError("--what", rule=rule, got=name)
    if not names:
        raise OptionError("--what", rule="at least one picture must be named", got=repr(what), fix="Or leave it out.")
    return names


def _first_convolution(module: nn.Module, path: tuple[str, ...] = ()) -> str:
    """The path of the first convolution; empty if there is none."""
    if isinstance(module, nn.Conv):
        return ".".join(path)
    return next(filter(None, (_first_convolution(child, (*path, name)) for name, child in module.children())), "")
