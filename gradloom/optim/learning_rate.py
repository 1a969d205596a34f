"""The piece that turns a direction into a step downhill."""

from __future__ import annotations

from gradloom import tree
from gradloom.optim.names import named, under
from gradloom.optim.piece import Hyper, Piece, State, Tensors, no_steps
from gradloom.optim.schedules import LearningRate, as_schedule
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


@dataclass(frozen=True)
class ScaleByLearningRate(Piece):
    """u ↦ -η_k · u.

    Args:
        lr: η, a number or a schedule of the number k of steps made so far.
    """

    lr: LearningRate

    def hyperparameters(self) -> dict[str, float]:
        """``lr``, or the numbers of the schedule as ``lr.initial`` and so on."""
        return named("lr", as_schedule(self.lr).hyperparameters())

    def init(self, parameters: Tensors) -> State:
        """The number of steps made."""
        return {"step": no_steps()}

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        """See the class."""
        rate = self._rate(state["step"], hyper)
        return tree.map(lambda u: -tensor(rate, u.dtype) * u, updates), {"step": state["step"] + 1}

    def step_sizes(self, sizes: Tensors, state: State, hyper: Hyper) -> Tensors:
        """Multiplied by the rate of the last step."""
        rate = self._rate(state["step"] - 1, hyper)
        return tree.map(lambda s: tensor(rate, s.dtype) * s, sizes)

    def _rate(self, step: Tensor, hyper: Hyper) -> Tensor:
        return as_schedule(self.lr)(step, under("lr", self.values(hyper)))
