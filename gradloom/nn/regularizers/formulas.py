"""The formulas of regularisers, as ``describe()`` shows them: of the weights w of a layer, or of each of its units."""

from __future__ import annotations

from gradloom.equations import Equations, equations
from gradloom.nn.regularizers.base import Regularizer
from gradloom.nn.regularizers.constraints import Box, L1Ball, MaxNorm, NonNegative, Normed, UnitNorm
from gradloom.nn.regularizers.penalties import L1, L2, Elastic, Proximal, Scaled

_FACTORS = {"plain": "", "half": "1 / 2 * ", "per_example": "1 / m * ", "half_per_example": "1 / (2 * m) * "}


def _spared(rule: Regularizer) -> tuple[str, ...]:
    place = f"It acts on {rule.at} alone." if rule.at else ""
    return tuple(said for said in (place, "" if rule.bias else "Vectors and scalars are spared.") if said)


def _penalty(rule: Scaled, body: str, proximal: str, **values: float) -> Equations:
    factor = _FACTORS[rule.scale]
    if isinstance(rule, Proximal) and rule.proximal:
        step = "s is the distance that a lasting gradient of 1 moves w."
        lines = (f"u = {factor}s" if factor else "u = s", *proximal.split("; "))
        return Equations(lines, values, (step, *_spared(rule)))
    return Equations((f"R = {factor}{body}",), values, _spared(rule))


@equations.register
def _(rule: L2) -> Equations:
    return _penalty(rule, "lamda * sum(w[i]**2, i)", "", lamda=rule.rate)


@equations.register
def _(rule: L1) -> Equations:
    step = "w <- sign(w) * max(abs(w) - u * lamda, 0)"
    return _penalty(rule, "lamda * sum(abs(w[i]), i)", step, lamda=rule.rate)


@equations.register
def _(rule: Elastic) -> Equations:
    body = "(lamda_1 * sum(abs(w[i]), i) + lamda_2 * sum(w[i]**2, i))"
    step = "w <- sign(w) * max(abs(w) - u * lamda_1, 0) / (1 + 2 * u * lamda_2)"
    return _penalty(rule, body, step, lamda_1=rule.l1, lamda_2=rule.l2)


def _normed(rule: Normed, *lines: str) -> Equations:
    over = "each unit" if rule.over == "unit" else "a parameter"
    return Equations(lines, {"C": rule.c}, (f"w are the weights of {over}.", *_spared(rule)))


@equations.register
def _(rule: MaxNorm) -> Equations:
    return _normed(rule, "w <- w * min(1, C / norm(w))")


@equations.register
def _(rule: UnitNorm) -> Equations:
    return _normed(rule, "w <- w * C / norm(w)")


@equations.register
def _(rule: L1Ball) -> Equations:
    said = _normed(rule, "w <- sign(w) * max(abs(w) - t, 0)")
    least = "t is the least number from 0 with which Σ|w| ≤ C."
    return Equations(said.lines, {}, (f"{least} C = {rule.c:g}.", *said.remarks))


@equations.register
def _(rule: Box) -> Equations:
    bounds = {"a": rule.low, "b": rule.high}
    found = "w" if rule.low is None else "max(w, a)"
    found = found if rule.high is None else f"min({found}, b)"
    return Equations((f"w <- {found}",), {n: v for n, v in bounds.items() if v is not None}, _spared(rule))


@equations.register
def _(rule: NonNegative) -> Equations:
    return Equations(("w <- max(w, 0)",), {}, _spared(rule))
