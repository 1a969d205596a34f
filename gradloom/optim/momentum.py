"""Momentum: updates that remember those before them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from gradloom import functional as fn
from gradloom import tree
from gradloom.errors import OptionError
from gradloom.optim.piece import Hyper, Piece, State, Tensors, no_steps, zeros_like
from gradloom.options import Flag, Fraction, words
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

Start = Annotated[Literal["zero", "gradient"], words("zero", "gradient")]


@dataclass(frozen=True)
class ScaleByMomentum(Piece):
    """u ↦ v with v = μ v + u, or, as an exponentially weighted average, v = μ v + (1 - μ) u.

    Before :class:`ScaleByLearningRate` in a chain this is the form v = μv + g, θ -= ηv; after it, the velocity form
    v = μv - ηg, θ += v.  The two differ only where η changes.

    Args:
        momentum: μ.
        average: whether it is the average.
        start: whether v begins at zero, or (in the average) at the first update, which takes away the pull to zero.
        nesterov: give μ v + u (or μ v + (1 - μ) u) in place of v, with v the new one: Nesterov's method written in
            the look-ahead points, so that the gradient is taken at the parameters (Bengio and others, "Advances in
            optimizing recurrent networks", 2013).
    """

    momentum: Fraction = 0.9
    average: Flag = False
    start: Start = "zero"
    nesterov: Flag = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == "gradient" and not self.average:
            raise OptionError(
                type(self).__name__,
                rule="only the average can start at the first gradient; a sum would count it twice",
                got="start='gradient', average=False",
                fix="Use start='zero', or the average (in SGD: momentum_form='ewma').",
            )

    def init(self, parameters: Tensors) -> State:
        """The velocity v and, where v begins at the first update, the number of steps."""
        velocity = {"velocity": zeros_like(parameters)}
        return velocity if self.start == "zero" else {**velocity, "step": no_steps()}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        momentum = self.values(hyper)["momentum"]
        new_state, before = {}, state["velocity"]
        if self.start == "gradient":
            is_first = state["step"] == 0
            before = tree.map(lambda v, u: fn.where(is_first, u, v), before, updates)
            new_state["step"] = state["step"] + 1
        parts = tree.map(lambda u: self._part(u, momentum), updates)
        velocity = _moved(before, parts, momentum)
        new_state["velocity"] = velocity
        return (_moved(velocity, parts, momentum) if self.nesterov else velocity), new_state

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """A sum of all μᵏ is 1/(1 - μ); an average leaves them."""
        if self.average:
            return sizes
        momentum = self.values(hyper)["momentum"]
        return tree.map(lambda s: s / (1 - tensor(momentum, s.dtype)), sizes)

    def _part(self, u: Tensor, momentum: Any) -> Tensor:
        """What an update adds to the velocity."""
        return (1 - tensor(momentum, u.dtype)) * u if self.average else u


def _moved(velocity: Tensors, parts: Tensors, momentum: Any) -> Tensors:
    """μ v + u."""
    return tree.map(lambda v, u: tensor(momentum, v.dtype) * v + u, velocity, parts)
