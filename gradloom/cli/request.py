"""What the user asked ``train`` for."""

from __future__ import annotations

from pathlib import Path

from gradloom import executors
from gradloom.data.delimited import UTF_8, Header
from gradloom.data.table import Kind
from gradloom.data.target import Asked
from gradloom.records import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """The options; None where the default is to be found from the data."""

    data: str
    target: str | None = None
    task: Asked | None = None
    model: str = "auto"
    hidden: tuple[int, ...] | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | str = "auto"
    optimizer: str = "adam"
    loss: str | None = None
    validation: float | None = None
    test: float | None = None
    seed: int = 0
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float | None = None
    max_norm: float | None = None
    dropout: float | None = None
    class_weight: str | None = None
    schedule: str | None = None
    warmup: int | None = None
    clip_norm: float | None = None
    patience: int | None = None
    workers: int | None = None
    precision: str | None = None
    debug_nans: bool = False
    executor: str = executors.DEFAULT
    out: Path | None = None
    header: Header = "auto"
    encoding: str = UTF_8
    kinds: dict[str, Kind] | None = None
    masks: Path | None = None
    augment: str | None = None
    size: tuple[int, int] | None = None
    tensorboard: bool = False
    checkpoint: bool = False
