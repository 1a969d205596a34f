"""The exponentially weighted average of anything that changes from step to step, such as the parameters."""

from __future__ import annotations

from gradloom.optim.adaptive import unbiased
from gradloom.optim.piece import State, Tensors, blend, no_steps, zeros_like
from gradloom.options import Flag, Fraction, Options
from gradloom.records import dataclass


@dataclass(frozen=True)
class ExponentialAverage(Options):
    """v = β v + (1 - β) θ (catalogue 120).

    Args:
        beta: β.
        bias_correction: divide by the total weight 1 - βᵗ, which takes away the pull to the zero that v begins at.
    """

    beta: Fraction = 0.9
    bias_correction: Flag = True

    @property
    def memory(self) -> float:
        """About how many steps are remembered: 1 / (1 - β)."""
        return 1 / (1 - self.beta)

    def init(self, values: Tensors) -> State:
        """The state before the first value; only structure and types of ``values`` count."""
        return {"step": no_steps(), "average": zeros_like(values)}

    def update(self, values: Tensors, state: State) -> State:
        """The state with one more value in it."""
        return {"step": state["step"] + 1, "average": blend(state["average"], values, self.beta)}

    def value(self, state: State) -> Tensors:
        """The average so far; NaN with bias correction before the first value."""
        if not self.bias_correction:
            return state["average"]
        return unbiased(state["average"], self.beta, state["step"])
