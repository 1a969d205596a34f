"""Optimisers: pure functions from gradients and a state to new parameters and a new state.

The named ones (:class:`Adam`, ...) are chains of pieces (:class:`ScaleByAdam`, ...), which can be chained anew with
:func:`chain` and :class:`Composed`.
"""

from __future__ import annotations

from gradloom.equations import written_in
from gradloom.optim import schedules
from gradloom.optim.adaptive import ScaleByAdaDelta, ScaleByAdaGrad, ScaleByAdam, ScaleByRms
from gradloom.optim.averaging import ExponentialAverage
from gradloom.optim.base import FirstOrder, Optimizer
from gradloom.optim.by_name import ScaleByName
from gradloom.optim.chain import Chain, Prefixed, chain
from gradloom.optim.clipping import ClipByNorm, ClipByValue, global_norm
from gradloom.optim.curvature import Curvature, curvature
from gradloom.optim.decay import AddDecayedWeights
from gradloom.optim.lbfgs import LBFGS
from gradloom.optim.learning_rate import ScaleByLearningRate
from gradloom.optim.minimize import Minimizer, Minimum, minimize
from gradloom.optim.momentum import ScaleByMomentum
from gradloom.optim.newton import Newton
from gradloom.optim.noise import AddNoise
from gradloom.optim.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdamW, Composed, RMSProp
from gradloom.optim.piece import Piece
from gradloom.optim.registry import NAMES, build, describe, get
from gradloom.optim.schedules import Schedule
from gradloom.optim.second_order import SecondOrder

written_in("gradloom.optim.formulas")

__all__ = [
    "LBFGS",
    "NAMES",
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "AddDecayedWeights",
    "AddNoise",
    "Chain",
    "ClipByNorm",
    "ClipByValue",
    "Composed",
    "Curvature",
    "ExponentialAverage",
    "FirstOrder",
    "Minimizer",
    "Minimum",
    "Newton",
    "Optimizer",
    "Piece",
    "Prefixed",
    "RMSProp",
    "ScaleByAdaDelta",
    "ScaleByAdaGrad",
    "ScaleByAdam",
    "ScaleByLearningRate",
    "ScaleByMomentum",
    "ScaleByName",
    "ScaleByRms",
    "Schedule",
    "SecondOrder",
    "build",
    "chain",
    "curvature",
    "describe",
    "get",
    "global_norm",
    "minimize",
    "schedules",
]
