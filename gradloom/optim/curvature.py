"""What kind of place parameters are at: the spectrum of the Hessian, read as minimum, saddle, plateau.

At a point where the gradient vanishes the eigenvalues of the Hessian say what the loss does around it: it rises along
eigenvectors with positive ones and falls along those with negative ones, so with both the point is a saddle
(catalogue 122), and the way out is the eigenvector of the most negative one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

import numpy as np

from gradloom import executors, options
from gradloom import functional as fn
from gradloom.compiling import jit
from gradloom.errors import NonFiniteError, OptionError
from gradloom.optim.base import as_parameters
from gradloom.optim.flat import Flat
from gradloom.optim.lanczos import Product, Ritz, lanczos
from gradloom.optim.piece import Tensors
from gradloom.optim.second_order import evaluated, hessian_product
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor

_FULL_UP_TO = 500
"""Parameters for which "auto" takes the whole Hessian, one product a column."""
_LENGTHS = 24
"""Steps that are tried along the direction of escape, each half as long as the one before."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Hessian with the share of the spectrum that each stands for.

    Attributes:
        values: from small to large; all eigenvalues, or Ritz values of all probes.
        weights: their shares, which add up to 1.
        is_exact: whether the values are all the eigenvalues.
        flat: a curvature no larger than this cannot be told from 0, for rounding.
        negative: how many eigenvalues are below -flat; at least so many where it is not exact.
        positive: how many are above flat, likewise.
        negative_estimate: how many are below -flat by the weights: stochastic Lanczos quadrature.
        negative_error: the standard error of that estimate over the probes; infinite for a single one.
        ends_error: how far the smallest and the largest value may be from an eigenvalue.
    """

    values: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    is_exact: bool
    flat: float
    negative: int
    positive: int
    negative_estimate: float
    negative_error: float
    ends_error: tuple[float, float]

    @property
    def smallest(self) -> float:
        """The smallest value."""
        return float(self.values[0])

    @property
    def largest(self) -> float:
        """The largest value."""
        return float(self.values[-1])

    def density(self, bins: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The share of the spectrum between edges of equal distance, as ``(edges, shares)``.

        Args:
            bins: how many.
        """
        shares, edges = np.histogram(self.values, options.whole("density", "bins", bins), weights=self.weights)
        return edges, shares


@dataclass(frozen=True)
class Escape:
    """The way down from a saddle or a maximum.

    Attributes:
        direction: the eigenvector of the most negative eigenvalue, of length 1, nested as the parameters; of its two
            signs the one that goes down the gradient.
        curvature: that eigenvalue.
        length: of the step that lowered the loss most.
        value: the loss after it.
        parameters: after it.
    """

    direction: Tensors = field(repr=False)
    curvature: float
    length: float
    value: float
    parameters: Tensors = field(repr=False)


@dataclass(frozen=True)
class Curvature:
    """A report on a point; ``print`` shows it.

    Attributes:
        verdict: "minimum", "saddle", "maximum", "plateau" (neither slope nor curvature), "flat minimum" (no
            direction goes down, but along some the curvature is 0, so second derivatives do not decide), or "not
            stationary".
        value: the loss.
        gradient_norm: the largest element of the gradient, in absolute value.
        tolerance: up to which slope and curvature count as vanished.
        parameters: how many there are.
        spectrum: of the Hessian.
        escape: the way down where curvature is negative and a step along it lowers the loss, else None.
    """

    verdict: str
    value: float
    gradient_norm: float
    tolerance: float
    parameters: int
    spectrum: Spectrum
    escape: Escape | None

    def __str__(self) -> str:
        found = self.spectrum
        is_certain = found.is_exact or self.verdict in ("saddle", "not stationary")
        certainty = "" if is_certain else ", as far as Lanczos' method shows"
        lines = [f"{self.verdict}{certainty}: loss {self.value:.6g}, largest slope {self.gradient_norm:.2g}"]
        ends = [f"{v:.4g}" + ("" if found.is_exact else f" ±{e:.1g}") for v, e in zip(self._ends(), found.ends_error)]
        lines.append(f"curvature from {ends[0]} to {ends[1]}; up to {found.flat:.1g} counts as 0")
        lines.append(self._counts())
        if self.escape:
            down = f"a step of {self.escape.length:.3g} lowers the loss to {self.escape.value:.6g}"
            lines.append(f"escape along the direction of curvature {self.escape.curvature:.4g}: {down}")
        edges, shares = found.density(min(10, self.parameters))
        for low, high, share in zip(edges, edges[1:], shares):
            lines.append(f"{low:>11.3g} to {high:>9.3g} {share:>6.1%} {'█' * round(40 * share)}".rstrip())
        return "\n".join(lines)

    def _ends(self) -> tuple[float, float]:
        return self.spectrum.smallest, self.spectrum.largest

    def _counts(self) -> str:
        found, n = self.spectrum, self.parameters
        if found.is_exact:
            flat = n - found.negative - found.positive
            return f"directions: {found.negative} down, {flat} flat, {found.positive} up"
        estimate = f"by estimate {found.negative_estimate:.1f} ± {found.negative_error:.1g}"
        return f"directions: of {n} at least {found.negative} down ({estimate}), at least {found.positive} up"


def curvature(
    loss: Callable[..., Any],
    parameters: Tensors,
    *args: Any,
    method: str = "auto",
    tolerance: float = 1e-4,
    probes: int = 4,
    products: int = 80,
    seed: int = 0,
    executor: str = executors.DEFAULT,
) -> Curvature:
    """What kind of place parameters are at.

    Args:
        loss: ``loss(parameters, *args)``, a scalar.
        parameters: the place, a nested value of floats.
        args: further arguments of the loss, such as data.
        method: "full" for all eigenvalues of the whole Hessian; "lanczos" for estimates from Hessian-vector products
            alone; "auto" takes the whole one for up to 500 parameters.
        tolerance: up to which the largest slope, and on a plateau the largest curvature, count as vanished.
        probes: random starts of Lanczos' method; the error of estimates falls with the root of their number.
        products: Hessian-vector products for each.
        seed: of the starts.
        executor: what runs the programs.

    Returns:
        A :class:`Curvature`.  Where the method is "full", counts are exact up to rounding.  Else ``negative`` and
        ``positive`` are lower bounds, and the ends of the spectrum come with their errors.

    Raises:
        ShapeError: the loss is not a scalar.
        DTypeError: a parameter is not of floats.
        OptionError: there are no parameters, or an option is out of range.
        NonFiniteError: loss, gradient or Hessian are not finite.

    Source: Ghorbani, Krishnan and Xiao, "An investigation into neural net optimization via Hessian eigenvalue
    density", 2019, for the estimates.
    """
    options.choice("curvature", "method", method, ("auto", "full", "lanczos"))
    limit = options.positive("curvature", "tolerance", tolerance)
    place = _Place(loss, as_parameters("curvature", parameters), args, executor)
    if method == "full" or (method == "auto" and place.flat.size <= _FULL_UP_TO):
        spectrum, lowest = _exact(place.product, place.flat)
    else:
        starts = options.whole("curvature", "probes", probes)
        steps = options.whole("curvature", "products", products)
        spectrum, lowest = _estimated(place.product, place.flat, starts, steps, seed)
    escape = place.escape(lowest, spectrum.smallest) if spectrum.negative else None
    verdict = _verdict(place.gradient_norm, spectrum, limit, place.flat.size)
    return Curvature(verdict, place.value, place.gradient_norm, limit, place.flat.size, spectrum, escape)


def _verdict(slope: float, found: Spectrum, tolerance: float, size: int) -> str:
    if slope > tolerance:
        return "not stationary"
    if max(abs(found.smallest), abs(found.largest)) <= tolerance:
        return "plateau"
    if found.negative:
        return "saddle" if found.positive else "maximum"
    all_up = found.positive == size if found.is_exact else found.smallest > found.flat
    return "minimum" if all_up else "flat minimum"


class _Place:
    """Loss, gradient and products with the Hessian at a point, compiled."""

    def __init__(self, loss: Callable[..., Any], parameters: Tensors, args: tuple[Any, ...], executor: str) -> None:
        self.flat = Flat.of(parameters)
        if not self.flat.size:
            raise OptionError("curvature", rule="there must be parameters", got="none", fix="Pass a nested dict.")
        self._x, self._args = self.flat.ravel(parameters), args

        def along(x: Tensor, *args: Any) -> Tensor:
            return fn.cast(loss(self.flat.unravel(x), *args), self.flat.dtype)

        self._loss = jit(along, executor)
        self._product = jit(lambda x, v, *args: hessian_product(lambda y: along(y, *args), x, v), executor)
        at = jit(lambda x, *args: evaluated(lambda y: along(y, *args), x), executor)(self._x, *args)
        self.gradient = at.gradient.numpy()
        self.value, self.gradient_norm = at.value.item(), float(np.abs(self.gradient).max())
        _check_finite("loss and gradient", np.array([self.value, self.gradient_norm]))

    def product(self, direction: np.ndarray) -> np.ndarray:
        """The Hessian times a direction."""
        found = self._product(self._x, tensor(direction, self.flat.dtype), *self._args).numpy()
        _check_finite("products with the Hessian", found)
        return found

    def escape(self, direction: np.ndarray, value: float) -> Escape | None:
        """The best of some steps along a direction; None where none lowers the loss."""
        downhill = tensor(-direction if self.gradient @ direction > 0 else direction, self.flat.dtype)
        longest = 1 + float(np.linalg.norm(self._x.numpy()))
        lengths = [longest * 0.5**k for k in range(_LENGTHS)]
        losses = [self._loss(self._x + length * downhill, *self._args).item() for length in lengths]
        best = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
        if not losses[best] < self.value:
            return None
        to = self.flat.unravel(self._x + lengths[best] * downhill)
        return Escape(self.flat.unravel(downhill), value, lengths[best], losses[best], to)


def _check_finite(what: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        fix = "Look at another place; gl.debug names the primitive where NaN and infinity come from."
        raise NonFiniteError("curvature", rule=f"{what} must be finite", got="NaN or infinity", fix=fix)


def _flat_below(values: np.ndarray, dtype: np.dtype) -> float:
    """The curvature that cannot be told from 0."""
    return float(np.sqrt(np.finfo(dtype).eps) * np.abs(values).max())


def _exact(product: Product, flat: Flat) -> tuple[Spectrum, np.ndarray]:
    """All eigenvalues, and the eigenvector of the smallest."""
    matrix = np.array([product(row) for row in np.eye(flat.size, dtype=flat.dtype)], np.float64)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    bound = _flat_below(values, flat.dtype)
    negative, positive = int((values < -bound).sum()), int((values > bound).sum())
    weights = np.full(flat.size, 1 / flat.size)
    return Spectrum(values, weights, True, bound, negative, positive, negative, 0.0, (0.0, 0.0)), vectors[:, 0]


def _estimated(product: Product, flat: Flat, probes: int, products: int, seed: int) -> tuple[Spectrum, np.ndarray]:
    """Ritz values of random starts, and the Ritz vector of the smallest."""
    random = np.random.default_rng(seed)
    runs: list[Ritz] = []
    for _ in range(probes):
        runs.append(lanczos(product, random.choice([-1.0, 1.0], flat.size).astype(flat.dtype), products))
    values, weights = np.concatenate([r.values for r in runs]), np.concatenate([r.weights for r in runs]) / probes
    bound = _flat_below(values, flat.dtype)
    shares = flat.size * np.array([r.weights[r.values < -bound].sum() for r in runs])
    order = np.argsort(values)
    low, high = min(runs, key=lambda r: r.values[0]), max(runs, key=lambda r: r.values[-1])
    found = Spectrum(
        values[order],
        weights[order],
        is_exact=False,
        flat=bound,
        negative=max(int((r.values < -bound).sum()) for r in runs),
        positive=max(int((r.values > bound).sum()) for r in runs),
        negative_estimate=float(shares.mean()),
        negative_error=float(shares.std(ddof=1) / np.sqrt(probes)) if probes > 1 else np.inf,
        ends_error=(float(low.residuals[0]), float(high.residuals[-1])),
    )
    return found, low.vector(0)
