"""Networks with inputs of several kinds, such as an image beside the figures of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from gradloom import functional as fn
from gradloom import options
from gradloom.errors import DataError, OptionError, ShapeError, nearest_hint
from gradloom.nn.module import Module
from gradloom.tensor import Tensor


class Branches(Module):
    """A hybrid network: each kind of input goes through a network of its own, and the results stand side by side.

    What it is given is a dict of arrays if there are ``names``, else a tuple of arrays; or with ``shapes`` one array
    whose rows hold all inputs of an example, one after the other.

    Args:
        branches: a network for each kind of input, which gives (n, features).
        names: of the inputs, such as ``["image", "table"]``.
        shapes: the shape that each kind has in a row, such as ``[(28, 28, 1), (5,)]``.

    Raises:
        OptionError: something else than modules; not one name or shape for each; both of them, or a name twice.
        DataError: the inputs have other names, or are not so many.
        ShapeError: the rows have another length than the shapes together, or a branch gives something else.
    """

    def __init__(
        self, *branches: Module, names: Sequence[str] = (), shapes: Sequence[Sequence[int]] | None = None
    ) -> None:
        if not branches or not all(isinstance(branch, Module) for branch in branches):
            got = f"{branches!r}"[:100]
            raise OptionError("Branches", rule="branches are modules", got=got, fix="Pass one network for each kind.")
        self.branches = branches
        self.names = _checked_names(names, len(branches))
        if shapes is not None and len(shapes) != len(branches):
            got = f"{len(branches)} branches and {len(shapes)} shapes"
            raise OptionError("Branches", rule="each branch needs the shape of its input", got=got)
        if shapes is not None and names:
            rule = "names are for a dict of inputs, shapes for rows that hold them all"
            raise OptionError("Branches", rule=rule, got="both", fix="Leave out one of them.")
        sizes = [tuple(options.whole("Branches", "a size", n) for n in shape) for shape in shapes or ()]
        self.shapes = None if shapes is None else tuple(sizes)

    def forward(self, x: Any) -> Tensor:
        """The features of all branches, shape (n, features)."""
        found = [branch(part) for branch, part in zip(self.branches, self._parts(x))]
        for y in found:
            if y.ndim != 2:
                fix = "End it with nn.Flatten() or nn.GlobalAvgPool()."
                raise ShapeError("Branches", rule="a branch gives (n, features)", got=str(y.type), fix=fix)
        return fn.concatenate(found, -1)

    def _parts(self, x: Any) -> Sequence[Tensor]:
        """What each branch is given."""
        if self.shapes is not None:
            return _cut(x, self.shapes)
        if self.names and isinstance(x, dict):
            check_names("Branches", self.names, x)
            return [x[name] for name in self.names]
        if not self.names and isinstance(x, tuple) and len(x) == len(self.branches):
            return x
        wanted = f"a dict of {listed(self.names)}" if self.names else f"a tuple of {len(self.branches)}"
        got = str(x.type) if isinstance(x, Tensor) else f"a {type(x).__name__} of {len(x)}"
        raise DataError("Branches", rule=f"its inputs are {wanted}", got=got, fix="Pass an array for each branch.")


def check_names(who: str, wanted: Iterable[str], given: Iterable[str]) -> None:
    """See that inputs have the names that a network knows, in any order.

    Args:
        who: for the message.
        wanted: names of the network's inputs.
        given: names of those that it is given.

    Raises:
        DataError: one is missing, or another is there.
    """
    known, found = list(wanted), list(given)
    missing, extra = [n for n in known if n not in found], [n for n in found if n not in known]
    if not missing and not extra:
        return
    got = [f"no {listed(missing)}"] if missing else []
    got += [f"{listed(extra)} besides"] if extra else []
    fix = nearest_hint(str(extra[0]), known) if extra else "Pass an array for each name."
    raise DataError(who, rule=f"the inputs are {listed(known)}", got=", ".join(got), fix=fix)


def listed(names: Iterable[str]) -> str:
    """Names in quotes."""
    return ", ".join(f"{name!r}" for name in names)


def _checked_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise OptionError("Branches", rule="names are different texts", got=f"{names!r}"[:100])
    if names and len(names) != count:
        rule = "each branch needs the name of its input"
        raise OptionError("Branches", rule=rule, got=f"{count} branches and {len(names)} names")
    return tuple(names)


def _cut(x: Any, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The inputs that rows hold, one after the other."""
    sizes = [math.prod(shape) for shape in shapes]
    if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != sum(sizes):
        raise ShapeError(
            "Branches",
            rule=f"an example is a row of {' + '.join(map(str, sizes))} = {sum(sizes)} numbers",
            got=str(x.type) if isinstance(x, Tensor) else f"a {type(x).__name__}",
            fix="Put the inputs of an example side by side: np.hstack([first.reshape(n, -1), second]).",
        )
    ends = [sum(sizes[:i]) for i in range(1, len(sizes))]
    parts = fn.split(x, ends, axis=1) if ends else [x]
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes)]
