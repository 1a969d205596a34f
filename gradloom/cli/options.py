"""Options that several commands share, and how their text is read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from gradloom.data.delimited import Header
from gradloom.data.table import Kind
from gradloom.data.target import Asked
from gradloom.errors import OptionError

MODEL_FILE = "model.safetensors"


class TaskChoice(StrEnum):
    """What kind of answer the target asks for; classification is binary or multiclass by the number of classes."""

    AUTO = "auto"
    REGRESSION = "regression"
    CLASSIFICATION = "classification"
    BINARY = "binary"
    MULTICLASS = "multiclass"


class HeaderChoice(StrEnum):
    """Whether the first line of a delimited file names the columns."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="A file (.csv, .tsv, .parquet, .npz, .npy, idx; also .gz), a folder of images, or a name: digits, iris, "
        "wine, breast_cancer, diabetes, mnist, fashion_mnist, cifar10, cifar100, isbi.",
    ),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", show_default=False, help="A model file, or the folder of a run.")
]
HeaderOption = Annotated[HeaderChoice, typer.Option("--header", help="Whether the first line names columns.")]
EncodingOption = Annotated[
    str,
    typer.Option(
        "--encoding", metavar="NAME", help="How delimited text was written as bytes, such as latin-1 or utf-16."
    ),
]
KindsOption = Annotated[
    str,
    typer.Option(
        "--kinds",
        metavar="COL=KIND,...",
        show_default=False,
        help="Kinds of columns: number, category, text, date, identifier. The others are inferred.",
    ),
]
MasksOption = Annotated[
    Path | None,
    typer.Option("--masks", metavar="DIR", help="Folder of masks, which tell a class for each pixel of the images."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show the result only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def header_of(choice: HeaderChoice) -> Header:
    """The choice as :func:`gradloom.data.sources.load` takes it."""
    return "auto" if choice is HeaderChoice.AUTO else choice is HeaderChoice.YES


def task_of(choice: TaskChoice) -> Asked | None:
    """The choice as :meth:`gradloom.data.target.TargetPipeline.fit` takes it."""
    return None if choice is TaskChoice.AUTO else choice.value


def kinds_of(text: str) -> Mapping[str, Kind]:
    """``Pclass=category,Born=date`` as a dict.

    Raises:
        OptionError: a part is not of the form COL=KIND.
    """
    kinds: dict[str, Kind] = {}
    for part in filter(None, text.split(",")):
        name, equals, kind = part.rpartition("=")
        if not equals or not name or not kind:
            raise OptionError("--kinds", rule="each part is of the form COL=KIND", got=repr(part))
        kinds[name.strip()] = cast(Kind, kind.strip())  # whether there is such a kind, the reader of the data checks
    return kinds


def widths_of(text: str) -> tuple[int, ...]:
    """``64,32`` as numbers of units.

    Raises:
        OptionError: one is not a whole number from 1.
    """
    widths = [part.strip() for part in text.split(",")]
    if not all(width.isascii() and width.isdigit() and int(width) > 0 for width in widths):
        raise OptionError(
            "--hidden", rule="sizes of hidden layers are whole numbers from 1", got=repr(text), fix="Example: 64,32."
        )
    return tuple(map(int, widths))


def size_of(text: str) -> tuple[int, int]:
    """``96x128``, height and width, or ``96`` for both.

    Raises:
        OptionError: it is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise OptionError(
            "--size",
            rule="a size is one whole number from 1, or height x width",
            got=repr(text),
            fix="Example: 96x128.",
        )
    return int(parts[0]), int(parts[-1])


def model_path(path: Path) -> Path:
    """The model file itself where the folder of a run was named."""
    return path / MODEL_FILE if path.is_dir() else path
