"""Fitted objects as plain JSON and back.

Whatever preprocessing has learned is kept in frozen dataclasses (:class:`Stateful`) whose fields are numbers,
strings, tuples of them, or other such objects.  The annotations of the fields say how to read them back, so no
class writes its own reader.  A state names its class by a word from a closed list, never by a module path, and it
holds no pickle: a file from a stranger can at worst be refused.  Floats come back with all their bits, since
Python's ``json`` writes the shortest decimal that reads as the same float.
"""

from __future__ import annotations

import math
import types
from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from gradloom.errors import ModelFileError, nearest_hint

_KIND = "kind"
_KINDS: dict[str, type[Stateful]] = {}


class Stateful:
    """Base of the frozen dataclasses that can be written as JSON: ``class Affine(Stateful, kind="affine")``."""

    kind: ClassVar[str]

    def __init_subclass__(cls, kind: str = "") -> None:
        super().__init_subclass__()
        if kind:
            assert kind not in _KINDS, f"two classes of kind {kind!r}"
            cls.kind = kind
            _KINDS[kind] = cls

    def state(self) -> dict[str, Any]:
        """The object as dicts, lists, strings and numbers, ready for ``json.dumps``."""
        return {_KIND: self.kind} | {f.name: _encoded(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_state(cls, state: object) -> Self:
        """The object that :meth:`state` was taken from.

        Raises:
            ModelFileError: the state is damaged, or is that of another kind of object.
        """
        return _decoded_object(cls, state)

    def fault(self) -> str:
        """What contradicts itself in the fields, which a damaged state could bring; empty if nothing does."""
        return ""


class Fitted(Stateful, ABC):
    """A transform of a column that has learned its numbers from the training part."""

    @abstractmethod
    def transform(self, values: np.ndarray) -> np.ndarray:
        """The values, shape (rows,) or (rows, features), transformed."""

    def feature_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the features that come out, from the names of those that go in."""
        return names


FittedT = TypeVar("FittedT", bound=Fitted)


class Transform(ABC, Generic[FittedT]):
    """A transform that has yet to see the training part; ``fit`` gives a new, fitted object."""

    @abstractmethod
    def fit(self, values: np.ndarray) -> FittedT:
        """The transform with the numbers that the training part ``values`` gives it."""

    def fit_transform(self, values: np.ndarray) -> tuple[FittedT, np.ndarray]:
        """The fitted transform and the transformed training part."""
        fitted = self.fit(values)
        return fitted, fitted.transform(values)


def _encoded(value: Any) -> Any:
    if isinstance(value, Stateful):
        return value.state()
    return [_encoded(item) for item in value] if isinstance(value, tuple) else value


def _decoded_object(base: type[Any], state: object) -> Any:
    kind = state.get(_KIND) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(kind, str) or kind not in _KINDS:
        raise _damaged(f"no fitted object is of kind {kind!r}"[:200], fix=nearest_hint(str(kind), _KINDS))
    cls = _KINDS[kind]
    if not issubclass(cls, base):
        raise _damaged(f"a {cls.kind!r} stands where a {base.__name__} belongs")
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    if set(state) != {_KIND, *names}:
        raise _damaged(f"a {cls.kind!r} with fields {', '.join(sorted(map(str, state)))}")
    built = cls(**{name: _decoded(hints[name], state[name], f"{cls.kind}.{name}") for name in names})
    if built.fault():
        raise _damaged(f"{cls.kind}: {built.fault()}")
    return built


def _decoded(hint: Any, value: Any, place: str) -> Any:
    """``value`` as the annotation ``hint`` of its field asks for it."""
    origin = get_origin(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_decoded(get_args(hint)[0], item, place) for item in value)
    if origin is types.UnionType:  # X | None
        return None if value is None else _decoded(get_args(hint)[0], value, place)
    if isinstance(hint, type) and issubclass(hint, Stateful):
        return _decoded_object(hint, value)
    is_of_type = type(value) is hint and (hint is not float or math.isfinite(value))
    if is_of_type or (origin is Literal and value in get_args(hint)):
        return value
    raise _damaged(f"{place} = {value!r}"[:200])


def _damaged(got: str, fix: str = "It is damaged or of another version: save the model again.") -> ModelFileError:
    return ModelFileError("saved preprocessing", rule="the state must be one that gradloom wrote", got=got, fix=fix)
