"""What a step does for simplicity of the model: penalties within the loss, moves after the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradloom import functional as gl
from gradloom.errors import OptionError
from gradloom.ir.graph import scope
from gradloom.nn.pairs import map_means
from gradloom.nn.regularizers import L1, L2, Regularizer
from gradloom.optim import FirstOrder, Optimizer
from gradloom.optim.names import named, under
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train.settings import differ_in_numbers_alone
from gradloom.train.settings import penalty as penalty_rate
from gradloom.transforms import jit

Tensors = Any  # nested dicts of tensors

_SHORTHANDS = {"l1": L1, "l2": L2}  # the trainer's own, whose rates come with every step


@dataclass(frozen=True)
class Regularization:
    """All regularisers of a run: its ``l1`` and ``l2``, and those given.

    Attributes:
        given: in the order in which they act.
    """

    given: tuple[Regularizer, ...] = ()

    def hyperparameters(self, l1: float, l2: float) -> dict[str, float]:
        """The numbers of all, by names such as ``l1`` and ``regularizers.0.rate``.

        A rate of 0 is left out, and so is its term: to compute it for nothing takes up to a tenth of a step.
        """
        found = {name: rate for name, rate in (("l1", l1), ("l2", l2)) if rate}
        for place, regularizer in enumerate(self.given):
            found |= named(_name(place), regularizer.hyperparameters())
        return found

    def penalty(self, parameters: Tensors, hyper: Mapping[str, Any], weights: Any) -> Tensor:
        """What is added to the loss.

        Args:
            parameters: of the model.
            hyper: see :meth:`hyperparameters`; other numbers may be among them.
            weights: of the examples that the loss is the mean of, or their sum.
        """
        total = penalty(parameters, hyper)
        for place, regularizer in enumerate(self.given):
            if not regularizer.moves:
                total = total + regularizer.penalty(parameters, _total(weights), under(_name(place), hyper))
        return total

    def moved(
        self, parameters: Tensors, optimizer: Optimizer, state: Any, hyper: Mapping[str, Any], weights: Any
    ) -> Tensors:
        """The parameters after the proximal steps and projections that follow an update.

        Args:
            parameters: as the update left them.
            optimizer: that made the update.
            state: its state after it.
            hyper: as for :meth:`penalty`.
            weights: likewise.
        """
        moving = [(place, regularizer) for place, regularizer in enumerate(self.given) if regularizer.moves]
        if not moving:
            return parameters
        assert isinstance(optimizer, FirstOrder), "check() has seen to it"
        with scope("regularizers"):
            sizes = optimizer.step_sizes(parameters, state, hyper)
            for place, regularizer in moving:
                parameters = regularizer.moved(parameters, sizes, _total(weights), under(_name(place), hyper))
        return parameters

    def check(self, optimizer: Optimizer) -> None:
        """Refuse what cannot work together.

        Raises:
            OptionError: something given is no regulariser, or moves parameters under an optimiser that compares losses.
        """
        for regularizer in self.given:
            if not isinstance(regularizer, Regularizer):
                fix = "Such as nn.regularizers.L2(1e-4)."
                raise OptionError("Trainer", rule="regularizers are regularisers", got=repr(regularizer)[:100], fix=fix)
            if regularizer.moves:
                _check_moves(type(regularizer).__name__, optimizer)

    def is_like(self, other: Regularization) -> bool:
        """Whether a step with this one is a step with the other, but for the values of numbers."""
        is_as_long = len(self.given) == len(other.given)
        return is_as_long and all(map(differ_in_numbers_alone, self.given, other.given))


def _check_moves(who: str, optimizer: Optimizer) -> None:
    """Moved weights must be where the optimiser takes the next gradient."""
    rule = f"{who} moves the weights after each update, which an optimiser that "
    if not isinstance(optimizer, FirstOrder):
        rule += "compares the losses of its steps does not foresee"
        fix = "Use an optimiser of first order, such as optim.Adam, or a penalty."
    elif optimizer.looks_ahead:
        rule += "takes the gradient elsewhere would not come to rest with"
        fix = "Use nesterov='reparametrised', the same method with the gradient taken at the weights."
    else:
        return
    raise OptionError("Trainer", rule=rule, got=type(optimizer).__name__, fix=fix)


def regularization(given: Sequence[Regularizer]) -> Regularization:
    """The regularisers of a list.

    Raises:
        OptionError: it is no list.
    """
    if isinstance(given, Regularizer):
        raise OptionError("Trainer", rule="regularizers is a list", got=repr(given)[:100], fix="Put it in brackets.")
    return Regularization(tuple(given))


def penalty(parameters: Tensors, hyper: Mapping[str, Any]) -> Tensor:
    """λ₁ Σ|w| + λ₂ Σw² over weights, each where its rate is among the numbers; vectors (biases, scales) are left out,
    as is usual (catalogue 136, 138, 142)."""
    terms = [term(0.0).penalty(parameters, hyper={"rate": hyper[n]}) for n, term in _SHORTHANDS.items() if n in hyper]
    return sum(terms, gl.zeros(()))


def _given(run: Any) -> tuple[Regularizer, ...]:
    """The regularisers of the run.  Others may be assigned; where only numbers change, nothing is compiled anew."""
    return run._recipe.regularization.given


def _assign(run: Any, given: Sequence[Regularizer]) -> None:
    before, after = run._recipe.regularization, regularization(given)
    run._recipe = replace(run._recipe, regularization=after)
    if not after.is_like(before):
        run._compiled = jit(run._recipe.train_call, run.executor, flush_denormals=True)


def _rate(name: str) -> property:
    """The λ of a penalty.  Another may be assigned: only where it is 0 no longer, or now is, something is compiled."""

    def given(run: Any) -> float:
        return vars(run)[name]

    def assign(run: Any, rate: float) -> None:
        before, vars(run)[name] = vars(run).get(name), penalty_rate(name, rate)
        if before is not None and bool(before) != bool(rate):
            run._compiled = jit(run._recipe.train_call, run.executor, flush_denormals=True)

    return property(given, assign)


def penalty_of(run: Any) -> float:
    """What the penalties add to the loss at the weights as they are, for as many examples as the last fit had."""
    hyper = run._recipe.hyperparameters(run.l1, run.l2)
    return run._recipe.regularization.penalty(run.model.parameters(), hyper, gl.ones(run.rows or 1)).item()


OF_A_TRAINER: Any = property(_given, _assign), _rate("l1"), _rate("l2"), penalty_of
"""``Trainer.regularizers``, ``l1``, ``l2`` and ``penalty``."""


def _name(place: int) -> str:
    return f"regularizers.{place}"


def _total(weights: Any) -> Tensor:
    return gl.sum(map_means(weights))
