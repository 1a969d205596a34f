"""How a run was made, as the run itself keeps it: what was asked for, on which data, on which machine."""

from __future__ import annotations

import builtins
import hashlib
import shlex
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from gradloom.cli.request import TrainOptions
from gradloom.errors import ModelFileError
from gradloom.records import dataclass
from gradloom.report import environment

RECIPE = "recipe"
_PATHS, _TUPLES = ("out", "masks"), ("hidden", "size")
_NAMES = {"learning_rate": "lr"}
_SEPARATORS = {"hidden": ",", "size": "x"}
REMEDY = "Train again, or use a copy of the folder that is whole."


@dataclass(frozen=True)
class Recipe:
    """What the page of a run needs beside the model.

    Attributes:
        options: what ``train`` was asked for.
        data: fingerprints of the parts, by name.
        environment: versions and machine.
    """

    options: TrainOptions
    data: Mapping[str, str]
    environment: Mapping[str, str]

    @classmethod
    def of(cls, options: TrainOptions, parts: Mapping[str, Iterable[np.ndarray]]) -> Recipe:
        """That of a run being made.

        Args:
            options: what was asked for.
            parts: by name their inputs and targets.
        """
        return cls(options, fingerprints(parts), environment())

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON; options that were not used are left out."""
        asked = {name: str(v) if isinstance(v, Path) else v for name, v in changed(self.options).items()}
        return {"options": asked, "data": dict(self.data), "environment": dict(self.environment)}

    @classmethod
    def from_json(cls, value: Any, who: str) -> Recipe:
        """What :meth:`as_json` gave.

        Args:
            value: from a file.
            who: the file, for messages.

        Raises:
            ModelFileError: it is something else.
        """
        try:
            options, data, machine = value["options"], value["data"], value["environment"]
            sound = all(isinstance(k, str) and isinstance(v, str) for m in (data, machine) for k, v in m.items())
            made = {name: _read(name, v) for name, v in options.items()}
            kinds = get_type_hints(TrainOptions)
            for name, option in made.items():
                if name in kinds and not _is_of(option, kinds[name]):
                    raise TypeError(f"{name}: {option!r}")
            if not sound or not isinstance(made["data"], str):
                raise TypeError("texts are needed")
            return cls(TrainOptions(**made), data, machine)
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ModelFileError(
                who, rule=f"the field {RECIPE!r} must say how the run was made", got=str(problem)[:80], fix=REMEDY
            ) from None

    def command(self) -> str:
        """The command that makes the run again, without the place of the run; a long path is the file's name alone."""
        words = ["gradloom", "train", _short(self.options.data)]
        for name, value in changed(self.options).items():
            if name in ("data", "out"):
                continue
            words.append(_option(name))
            words += [] if value is True else [_word(name, value)]
        return shlex.join(words)

    def settings(self) -> dict[str, str]:
        """What was asked for, by the names of the options."""
        asked = {name: value for name, value in changed(self.options).items() if name != "out"}
        return {name if name == "data" else _option(name): _word(name, value) for name, value in asked.items()}


def fingerprints(parts: Mapping[str, Iterable[np.ndarray]]) -> dict[str, str]:
    """SHA-256 of the arrays of each part, by which it is known whether data are still the same."""
    found = {}
    for name, arrays in parts.items():
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        found[name] = digest.hexdigest()
    return found


def changed(options: TrainOptions) -> dict[str, Any]:
    """The data and the options that differ from their defaults; the seed always, for it matters."""
    usual = TrainOptions("")
    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    return {n: v for n, v in asked.items() if n in ("data", "seed") or v not in (getattr(usual, n), {})}


def _read(name: str, value: Any) -> Any:
    if name in _PATHS:
        return Path(value)
    return tuple(value) if name in _TUPLES else value


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of the type that is written at an option; a whole number is a float too."""
    parts = get_args(kind)
    match get_origin(kind):
        case typing.Union | types.UnionType:
            return any(_is_of(value, part) for part in parts)
        case typing.Literal:
            return value in parts
        case builtins.tuple:
            return isinstance(value, tuple) and all(_is_of(item, parts[0]) for item in value)
        case builtins.dict:
            key, item = parts
            return isinstance(value, dict) and all(_is_of(k, key) and _is_of(v, item) for k, v in value.items())
    return isinstance(value, Path) if kind is Path else type(value) is kind or (kind is float and type(value) is int)


def _option(name: str) -> str:
    """An option as it is written in a command."""
    return f"--{_NAMES.get(name, name.replace('_', '-'))}"


def _word(name: str, value: Any) -> str:
    """An option's value as it is written in a command."""
    if name in _SEPARATORS:
        return _SEPARATORS[name].join(map(str, value))
    if isinstance(value, Mapping):
        return ",".join(f"{column}={kind}" for column, kind in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _short(str(value)) if name in ("data", "masks") else str(value)


def _short(path: str) -> str:
    """A path as it was typed if it is relative, for a page is shown to others; else the name of the file."""
    return Path(path).name if Path(path).is_absolute() else path
