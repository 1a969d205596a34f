"""Initialisers: how the parameters of a layer begin.

An initialiser is called as ``init(key, shape)`` and gives a float32 tensor.  Weights begin at random, since units
that begin alike stay alike; biases begin at 0.  The scale matters in deep networks: the variance of the activations
should be the same in every layer, for a factor of 0.9 a layer is a factor of 10⁻⁵ after a hundred.

    LeCun    Var w = 1/fan_in                 for tanh; the course notes call it Xavier
    Glorot   Var w = 2/(fan_in + fan_out)     keeps forward and backward variance, in compromise
    He       Var w = 2/fan_in                 for ReLU, which halves the second moment

Libraries call Glorot's rule Xavier too, and He's Kaiming: xavier_uniform and kaiming_normal are other names of
glorot_uniform and he_normal.

Sources: LeCun et al., "Efficient BackProp" (1998); Glorot and Bengio (2010); He et al. (2015);
Saxe, McClelland and Ganguli (2014) for orthogonal matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gradloom import functional as fn
from gradloom import options, random
from gradloom.equations import Described
from gradloom.errors import OptionError
from gradloom.nn.module import Initializer
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs feed one output of a layer, and how many outputs one input feeds.

    Args:
        shape: of the weights: (in, out) for a dense layer, (*window, in, out) for a convolution.
    """
    if len(shape) < 2:
        count = math.prod(shape)
        return count, count
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@dataclass(frozen=True)
class Constant(Described):
    """Every element ``value``."""

    value: float

    def __post_init__(self) -> None:
        options.number("init.constant", "value", self.value)

    def __call__(self, key: Tensor, shape: Sequence[int]) -> Tensor:
        return fn.full(shape, self.value, "float32")


@dataclass(frozen=True)
class Normal(Described):
    """N(0, ``stddev``²); the default is the course's ``randn * 0.01``."""

    stddev: float = 0.01

    def __post_init__(self) -> None:
        options.number("init.normal", "stddev", self.stddev, low=0, fix="Use a small number, such as 0.01.")

    def __call__(self, key: Tensor, shape: Sequence[int]) -> Tensor:
        return random.normal(key, shape) * self.stddev


@dataclass(frozen=True)
class Uniform(Described):
    """Uniform in [``low``, ``high``)."""

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        options.number("init.uniform", "low", self.low)
        options.number("init.uniform", "high", self.high, low=self.low, fix="Swap low and high?")

    def __call__(self, key: Tensor, shape: Sequence[int]) -> Tensor:
        return random.uniform(key, shape, self.low, self.high)


@dataclass(frozen=True)
class VarianceScaling(Described):
    """Mean 0 and variance ``gain · scale / n``, the one formula behind LeCun, Glorot and He.

    Args:
        scale: the rule's own factor, 1 or 2.
        mode: which n: "fan_in", "fan_out", or "fan_avg" for their mean.
        distribution: "normal"; "uniform" in [-r, r] with r = √(3 · variance); or "truncated" for a normal distribution
            without what lies beyond two of its deviations, widened to have the variance.
        gain: a further factor of the variance, to be tuned (1 is the rule itself).
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "normal"
    gain: float = 1.0

    def __post_init__(self) -> None:
        options.positive("init.variance_scaling", "scale", self.scale)
        options.choice("init.variance_scaling", "mode", self.mode, ("fan_in", "fan_out", "fan_avg"))
        options.choice("init.variance_scaling", "distribution", self.distribution, ("normal", "uniform", "truncated"))
        options.positive("init.variance_scaling", "gain", self.gain)

    def variance(self, shape: Sequence[int]) -> float:
        """The variance of weights of this shape."""
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        return self.gain * self.scale / max(n, 1)

    def __call__(self, key: Tensor, shape: Sequence[int]) -> Tensor:
        variance = self.variance(shape)
        if self.distribution == "normal":
            return random.normal(key, shape) * math.sqrt(variance)
        if self.distribution == "truncated":
            return _truncated_normal(key, shape) * math.sqrt(variance)
        bound = math.sqrt(3 * variance)
        return random.uniform(key, shape, -bound, bound)


_DRAWS = 8
"""One number in 22 lies beyond two deviations, so of eight draws all do with a probability of 2e-11."""

TRUNCATED_DEVIATION = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
"""0.8796, of what is left of a standard normal distribution between -2 and 2."""


def _truncated_normal(key: Tensor, shape: Sequence[int]) -> Tensor:
    """Normal numbers between -2 and 2, divided by their deviation: those beyond are drawn anew."""
    found = fn.zeros(shape)
    for draw in range(_DRAWS):
        drawn = random.normal(random.fold_in(key, draw), shape)
        found = fn.where(fn.equal(found, 0) if draw else True, fn.where(fn.abs(drawn) < 2, drawn, 0), found)
    return found / TRUNCATED_DEVIATION


@dataclass(frozen=True)
class Orthogonal(Described):
    """A matrix with orthonormal rows or columns (whichever are fewer), times ``gain``.

    Convolution kernels are taken as matrices (window · in, out).  The decomposition runs in NumPy, so the key must
    be a value and not symbolic.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        options.positive("init.orthogonal", "gain", self.gain)

    def __call__(self, key: Tensor, shape: Sequence[int]) -> Tensor:
        if len(shape) < 2:
            raise OptionError(
                "init.orthogonal", rule="the weights must be a matrix", got=f"shape {tuple(shape)}", fix="Use zeros."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = random.normal(key, (max(rows, columns), min(rows, columns)), "float64").numpy()
        q, r = np.linalg.qr(flat)
        # QR is unique up to signs; with r's diagonal positive, q is uniform over the orthogonal matrices.
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return tensor((self.gain * (q if rows >= columns else q.T)).reshape(shape), "float32")


@dataclass(frozen=True)
class Dirac(Described):
    """Filters of a convolution of which number i passes channel i on as it is; those beyond the channels are ``rest``.

    So a deep network begins by passing its input through.

    Args:
        rest: initialiser of the others.

    Source: Zagoruyko and Komodakis, "DiracNets" (2017).
    """

    rest: Initializer = VarianceScaling(1.0, "fan_in", "uniform")

    def __call__(self, key: Tensor, shape: Sequence[int]) -> Tensor:
        if len(shape) < 3:
            fix = "Use orthogonal for matrices."
            raise OptionError("init.dirac", rule="the weights must be a kernel", got=f"shape {tuple(shape)}", fix=fix)
        *window, channels, filters = shape
        pure = min(channels, filters)
        passing = np.zeros((*window, channels, pure), np.float32)
        passing[tuple(n // 2 for n in window)] = np.eye(channels, pure)
        others = self.rest(key, tuple(shape))[..., pure:]
        return fn.concatenate([tensor(passing), others], -1)


constant, normal, uniform = Constant, Normal, Uniform
variance_scaling, orthogonal, dirac = VarianceScaling, Orthogonal, Dirac

zeros = Constant(0.0)
ones = Constant(1.0)
lecun_normal = VarianceScaling(1.0, "fan_in", "normal")
lecun_uniform = VarianceScaling(1.0, "fan_in", "uniform")
glorot_normal = VarianceScaling(1.0, "fan_avg", "normal")
glorot_uniform = VarianceScaling(1.0, "fan_avg", "uniform")
he_normal = VarianceScaling(2.0, "fan_in", "normal")
he_uniform = VarianceScaling(2.0, "fan_in", "uniform")

NAMES: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "normal": Normal(),
    "uniform": Uniform(),
    "orthogonal": Orthogonal(),
    "dirac": Dirac(),
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "xavier_normal": glorot_normal,
    "xavier_uniform": glorot_uniform,
    "kaiming_normal": he_normal,
    "kaiming_uniform": he_uniform,
}


def get(name: str | Initializer, *, gain: float = 1.0) -> Initializer:
    """The initialiser of a name; one that is given is returned as it is.

    Args:
        name: such as "he_normal", or an initialiser.
        gain: a further factor of the variance, for the variance-scaling ones.

    Raises:
        UnknownNameError: no initialiser has this name.
        OptionError: a gain for one that has no such factor.
    """
    found = name if callable(name) else options.named("init.get", "initialiser", name, NAMES)
    if isinstance(found, type):
        fix = f"Write init.{found.__name__.lower()}(...) with its options."
        raise OptionError("init.get", rule="an initialiser is an object or a name", got=f"the class {name}", fix=fix)
    if gain == 1.0:
        return found
    if not isinstance(found, VarianceScaling):
        fix = "Use one of the lecun, glorot and he rules, or init.variance_scaling."
        raise OptionError("init.get", rule="this initialiser takes no gain", got=f"{name!r}, gain {gain}", fix=fix)
    return replace(found, gain=found.gain * gain)
