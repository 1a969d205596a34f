"""Pieces one after the other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gradloom import tree
from gradloom.errors import OptionError, ShapeError
from gradloom.ir.tensortype import TensorType
from gradloom.optim.names import named, under
from gradloom.optim.piece import Hyper, Piece, State, Tensors
from gradloom.records import dataclass
from gradloom.tensor import tensor


@dataclass(frozen=True)
class Chain(Piece):
    """Each piece is given what the one before it made; the state holds theirs by name.  See :func:`chain`."""

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.pieces, tuple) or not all(isinstance(piece, Piece) for piece in self.pieces):
            raise OptionError(
                "chain",
                rule="it consists of pieces",
                got=repr(self.pieces)[:100],
                fix="Pass e.g. optim.ClipByNorm(1.0), optim.ScaleByAdam(), optim.ScaleByLearningRate(0.001).",
            )
        self._refuse_twins("piece", [piece.name for piece in self.pieces])
        self._refuse_twins("hyperparameter", [name for piece in self.pieces for name in piece.hyperparameters()])

    @staticmethod
    def _refuse_twins(kind: str, names: list[str]) -> None:
        twins = [name for name, count in Counter(names).items() if count > 1]
        if twins:
            raise OptionError(
                "chain",
                rule=f"each {kind} needs a name of its own",
                got=f"{twins[0]} more than once",
                fix='Put one of the pieces into optim.Prefixed("late", piece).',
            )

    def hyperparameters(self) -> dict[str, float]:
        """Those of all pieces."""
        return {name: value for piece in self.pieces for name, value in piece.hyperparameters().items()}

    def init(self, parameters: Tensors) -> State:
        """The states of the pieces by their names."""
        return {piece.name: piece.init(parameters) for piece in self.pieces}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """The pieces in order.

        Raises:
            ShapeError: the state is not one that this chain made for such parameters.
        """
        new_state = {}
        for piece in self.pieces:
            before = _state_of(piece, state, parameters)
            updates, new_state[piece.name] = piece.update(updates, before, parameters, hyper)
        return updates, new_state

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Those of the pieces in order."""
        for piece in self.pieces:
            sizes = piece.step_sizes(sizes, state[piece.name], hyper)
        return sizes


def _state_of(piece: Piece, state: object, parameters: Tensors) -> State:
    """What a chain's state holds for a piece; another's would be broadcast and change the types of parameters."""
    found = state.get(piece.name) if isinstance(state, dict) else None
    wanted = piece.init(parameters)
    if tree.flatten(found)[1] != tree.flatten(wanted)[1] or _types(found) != _types(wanted):
        raise ShapeError(
            piece.name,
            rule="the state must be the one that this optimiser made for these parameters",
            got=f"{_outline(found)} in place of {_outline(wanted)}",
            fix="Make it with init(parameters).",
        )
    return found  # type: ignore[return-value]


def _types(state: Any) -> list[TensorType]:
    return [tensor(leaf).type for leaf in tree.leaves(state)]


def _outline(state: Any) -> str:
    """Types by path in short, for messages."""
    paths = [".".join(path) for path in tree.paths(tree.flatten(state)[1])]
    entries = [f"{path} {kind}".strip() for path, kind in zip(paths, _types(state))]
    return ", ".join(entries[:4] + ["..."] * (len(entries) > 4)) or "nothing"


def chain(*pieces: Piece) -> Chain:
    """Pieces one after the other; chains among them are spread out.

    Raises:
        OptionError: two pieces or two hyperparameters have one name.
    """
    flat: list[Piece] = []
    for piece in pieces:
        flat += piece.pieces if isinstance(piece, Chain) else (piece,)
    return Chain(tuple(flat))


@dataclass(frozen=True)
class Prefixed(Piece):
    """A piece under another name, so that a chain can hold two of a kind.

    Args:
        prefix: put before the name of the piece and the names of its hyperparameters, with a point.
        piece: the piece.
    """

    prefix: str
    piece: Piece

    def __post_init__(self) -> None:
        if not isinstance(self.prefix, str) or not self.prefix or not isinstance(self.piece, Piece):
            raise OptionError("Prefixed", rule="it takes a word and a piece", got=f"{self.prefix!r}, {self.piece!r}")

    @property
    def name(self) -> str:
        """With the prefix."""
        return f"{self.prefix}.{self.piece.name}"

    def hyperparameters(self) -> dict[str, float]:
        """Those of the piece, with the prefix."""
        return named(self.prefix, self.piece.hyperparameters())

    def init(self, parameters: Tensors) -> State:
        """The state of the piece."""
        return self.piece.init(parameters)

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """What the piece does."""
        return self.piece.update(updates, state, parameters, under(self.prefix, hyper))

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Those of the piece."""
        return self.piece.step_sizes(sizes, state, under(self.prefix, hyper))
