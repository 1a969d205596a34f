"""Objects as JSON and back, for classes that are neither layers nor optimisers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from gradloom.description import decode, encode, table_of
from gradloom.errors import ModelFileError, OptionError


@dataclass(frozen=True)
class Point:
    """Its options are its attributes."""

    x: float
    y: float = 0.0


class Path:
    """Its options are what ``config`` gives; it gathers them in ``*points``."""

    def __init__(self, *points: Any, name: str = "path") -> None:
        self._points, self._name = points, name

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"points": self._points, "name": self._name}


TABLE = table_of((Point, Path))
POINT = {"type": "Point", "options": {"x": 1.0, "y": 0.0}}


def test_golden_description() -> None:
    described = encode(Path(Point(1.0), [Point(1.0), None]), TABLE)
    assert described == {"type": "Path", "options": {"points": [POINT, [POINT, None]], "name": "path"}}
    again = decode(json.loads(json.dumps(described)), TABLE, Path)
    assert again.config() == {"points": (Point(1.0), [Point(1.0), None]), "name": "path"}


def test_lists_become_what_is_asked_for() -> None:
    described = encode(Path((1, (2, 3))), TABLE)
    assert decode(described, TABLE, Path, sequence=tuple).config()["points"] == ((1, (2, 3)),)
    assert decode(described, TABLE, Path).config()["points"] == ([1, [2, 3]],)


def test_only_tied_objects_are_shared() -> None:
    point = Point(1.0)
    model = Path(point, point)
    assert encode(model, TABLE)["options"]["points"] == [POINT, POINT]
    tied = encode(model, TABLE, tied=Point)
    assert tied["options"]["points"] == [POINT, {"shared": 0}]
    first, second = decode(tied, TABLE, Path, tied=Point).config()["points"]
    assert first is second
    with pytest.raises(ModelFileError, match="a shared module must occur before; got number 0"):
        decode(tied, TABLE, Path)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (POINT, "box: a Point stands where a Path belongs"),
        ({"type": "Pint", "options": {}}, "box: no class has this name; got 'Pint'. Did you mean 'Point'?"),
        ({"type": "Point", "options": {}}, "box: Point needs the option x; got no options"),
        ({"type": "Point", "options": {"x": 1, "z": 1}}, "box: Point has no such option; got 'z'"),
    ],
)
def test_refusals_name_what_is_read(described: object, said: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        decode(described, TABLE, Path, who="box")
    assert str(caught.value).startswith(said)


def test_what_cannot_be_written() -> None:
    for value in (float("nan"), print, object(), {1: 2}, Path):
        with pytest.raises(OptionError, match=r"^Path\.points\[0\]: an option in a model file is"):
            encode(Path(value), TABLE)
