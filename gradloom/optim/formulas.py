"""The formulas of optimisers, their pieces and schedules, as ``describe()`` shows them.

An optimiser's formula is put together from those of its pieces, each of which says what it makes of the update u that
it is given, so a chain of one's own has a formula too.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import singledispatch
from typing import Any

from gradloom.equations import Equations, equations
from gradloom.errors import UnsupportedError
from gradloom.optim.adaptive import ScaleByAdaDelta, ScaleByAdaGrad, ScaleByAdam, ScaleByRms
from gradloom.optim.base import FirstOrder
from gradloom.optim.by_name import ScaleByName
from gradloom.optim.chain import Chain, Prefixed
from gradloom.optim.clipping import ClipByNorm, ClipByValue
from gradloom.optim.decay import AddDecayedWeights
from gradloom.optim.lbfgs import LBFGS
from gradloom.optim.learning_rate import ScaleByLearningRate
from gradloom.optim.momentum import ScaleByMomentum
from gradloom.optim.newton import Newton
from gradloom.optim.noise import AddNoise
from gradloom.optim.optimizers import SGD
from gradloom.optim.piece import Piece
from gradloom.optim.schedules import (
    Constant,
    Cosine,
    Cyclical,
    Exponential,
    InverseSquareRoot,
    InverseTime,
    Linear,
    OneCycle,
    Piecewise,
    Polynomial,
    Schedule,
    StepDecay,
    WarmUp,
    as_schedule,
)
from gradloom.records import dataclass


@dataclass(frozen=True)
class _Rule:
    """What has been said so far: lines, values, and the update, an expression that is subtracted or added."""

    update: str
    lines: tuple[str, ...] = ()
    values: tuple[tuple[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    is_negative: bool = False

    def to(self, update: str, *lines: str, **values: Any) -> _Rule:
        """With another update, and more lines and values."""
        found = (*self.values, *values.items())
        return replace(self, update=update, lines=(*self.lines, *lines), values=found)

    def equations(self, left: str, before: str) -> Equations:
        """Ended by the line "left <- before ± update"."""
        sign = "-" if self.is_negative else "+" if before else ""
        last = f"{left} <- {f'{before} {sign} {_factor(self.update)}'.strip()}"
        return Equations((*self.lines, last), dict(self.values), self.remarks)


def _factor(u: str) -> str:
    """In brackets if it is a sum."""
    top = ast.parse(u, mode="eval").body
    return f"({u})" if isinstance(top, ast.BinOp) and isinstance(top.op, (ast.Add, ast.Sub)) else u


@singledispatch
def _after(piece: Piece, rule: _Rule) -> _Rule:
    """What a piece makes of an update."""
    raise UnsupportedError("describe", rule="each piece has a formula", got=piece.name)


@_after.register
def _(piece: Chain, rule: _Rule) -> _Rule:
    for inner in piece.pieces:
        rule = _after(inner, rule)
    return rule


@_after.register
def _(piece: Prefixed, rule: _Rule) -> _Rule:
    return _after(piece.piece, rule)


@_after.register
def _(piece: ClipByNorm, rule: _Rule) -> _Rule:
    u = rule.update
    return rule.to("u", f"u = {_factor(u)} * min(1, c / norm({u}))", c=piece.clip_norm)


@_after.register
def _(piece: ClipByValue, rule: _Rule) -> _Rule:
    return rule.to("u", f"u = min(max({rule.update}, -a), a)", a=piece.clip_value)


@_after.register
def _(piece: AddDecayedWeights, rule: _Rule) -> _Rule:
    found = rule.to(f"{rule.update} + lamda * theta", lamda=piece.weight_decay)
    spared = () if piece.decay_bias else ("Vectors and scalars do not decay: for them λ = 0.",)
    return replace(found, remarks=(*rule.remarks, *spared))


@_after.register
def _(piece: ScaleByName, rule: _Rule) -> _Rule:
    only = f"Parameters of other names than {piece.parameter} have f = 1."
    return replace(rule.to(f"f * {_factor(rule.update)}", f=piece.factor), remarks=(*rule.remarks, only))


@_after.register
def _(piece: AddNoise, rule: _Rule) -> _Rule:
    line = f"u = {rule.update} + sigma * z / (1 + k)**(gamma / 2)"
    drawn = "z is standard normal, drawn for each element in each step k."
    return replace(rule.to("u", line, sigma=piece.std, gamma=piece.decay), remarks=(*rule.remarks, drawn))


@_after.register
def _(piece: ScaleByLearningRate, rule: _Rule) -> _Rule:
    schedule = as_schedule(piece.lr)
    name = "eta" if isinstance(schedule, Constant) else "eta_k"
    said = Equations((), {"eta": schedule.value}) if isinstance(schedule, Constant) else equations(schedule)
    found = rule.to(f"{name} * {_factor(rule.update)}", *said.lines, **said.values)
    return replace(found, is_negative=not rule.is_negative, remarks=(*rule.remarks, *said.remarks))


@_after.register
def _(piece: ScaleByMomentum, rule: _Rule) -> _Rule:
    part = f"(1 - mu) * {_factor(rule.update)}" if piece.average else _factor(rule.update)
    sign = "-" if rule.is_negative else "+"
    update = f"mu * v {sign} {part}" if piece.nesterov else "v"
    first = ("In the first step v begins as u." if piece.start == "gradient" else "v begins at 0.",)
    found = rule.to(update, f"v <- mu * v {sign} {part}", mu=piece.momentum)
    return replace(found, is_negative=False, remarks=(*rule.remarks, *first))


def _divided(u: str, square: str, mode: str, eps: float) -> tuple[str, dict[str, float]]:
    """u over the root of the squares."""
    below = {
        "inside": f"sqrt({square} + epsilon)",
        "outside": f"(sqrt({square}) + epsilon)",
        "none": f"sqrt({square})",
        "uncorrected": f"(sqrt({square}) + epsilon / sqrt(1 - beta_2**t))",
    }[mode]
    return f"{_factor(u)} / {below}", {} if mode == "none" else {"epsilon": eps}


@_after.register
def _(piece: ScaleByAdaGrad, rule: _Rule) -> _Rule:
    kept, values = ("G", {}) if piece.decay == 1 else ("rho * G", {"rho": piece.decay})
    update, eps = _divided(rule.update, "G", piece.eps_mode, piece.eps)
    found = rule.to(update, f"G <- {kept} + {_factor(rule.update)}**2", **values, **eps)
    return replace(found, remarks=(*rule.remarks, f"G begins at {piece.initial:g}."))


@_after.register
def _(piece: ScaleByRms, rule: _Rule) -> _Rule:
    update, eps = _divided(rule.update, "s", piece.eps_mode, piece.eps)
    return rule.to(update, f"s <- rho * s + (1 - rho) * {_factor(rule.update)}**2", rho=piece.rho, **eps)


@_after.register
def _(piece: ScaleByAdaDelta, rule: _Rule) -> _Rule:
    own = {} if piece.rho_updates is None else {"gamma": piece.rho_updates}
    decay = "gamma" if own else "rho"
    lines = (
        f"s <- rho * s + (1 - rho) * {_factor(rule.update)}**2",
        f"u = sqrt(d + epsilon) / sqrt(s + epsilon) * {_factor(rule.update)}",
        f"d <- {decay} * d + (1 - {decay}) * u**2",
    )
    return rule.to("u", *lines, rho=piece.rho, **own, epsilon=piece.eps)


@_after.register
def _(piece: ScaleByAdam, rule: _Rule) -> _Rule:
    u, mode = _factor(rule.update), piece.bias_correction
    squared = u if piece.squares == "gradient" else "m"
    lines = [f"m <- beta_1 * m + (1 - beta_1) * {u}", f"v <- beta_2 * v + (1 - beta_2) * {squared}**2"]
    if mode == "recursive":
        lines += ["m <- m / (1 - beta_1**t)", "v <- v / (1 - beta_2**t)"]
    elif mode:
        lines += ["m_hat = m / (1 - beta_1**t)", "v_hat = v / (1 - beta_2**t)"]
    mean, square = ("m_hat", "v_hat") if mode is True else ("m", "v")
    update, eps = _divided(mean, square, piece.eps_mode, piece.eps)
    return rule.to(update, *lines, beta_1=piece.beta1, beta_2=piece.beta2, **eps)


@equations.register
def _(piece: Piece) -> Equations:
    return _after(piece, _Rule("u")).equations("u", "")


@equations.register
def _(optimizer: FirstOrder) -> Equations:
    point = "theta"
    if isinstance(optimizer, SGD) and optimizer.nesterov is True:
        point = "theta + mu * v" if optimizer.momentum_form == "inside" else "theta - eta * mu * v"
    rule = _after(optimizer.chain, _Rule("g", (f"g = gradient({point})",)))
    if point != "theta" and not isinstance(as_schedule(optimizer.lr), Constant):  # type: ignore[attr-defined]
        rule = replace(rule, lines=(rule.lines[0].replace("eta *", "eta_k *"), *rule.lines[1:]))
    if point != "theta" and "lamda" in dict(rule.values):
        rule = replace(rule, remarks=(*rule.remarks, "Weight decay is taken where the gradient is."))
    return rule.equations("theta", "theta")


@equations.register
def _(optimizer: Newton) -> Equations:
    if optimizer.method == "cg":
        solver = (
            "cg(H, b, Δ) solves H p = b by conjugate gradients, until the residual is min(1/2, √‖b‖) of ‖b‖. Where a "
            "direction has no positive curvature, or p would become longer than Δ, it goes to that length and ends."
        )
        first = "H is the Hessian at θ. Δ is that of the first step; it follows how good the quadratic model is"
        lines = ("g = gradient(theta)", "theta <- theta + cg(H, -g, Delta)")
        return Equations(lines, {"Delta": optimizer.radius}, (solver, f"{first}: {_options(optimizer)}."))
    remark = f"H is the Hessian at θ, kept positive as the options say: {_options(optimizer)}."
    if not optimizer.damping:
        return Equations(("g = gradient(theta)", "theta <- theta - inverse(H) @ g"), {}, (remark,))
    first = "λ is that of the first step; it follows how good the quadratic model is."
    lines = ("g = gradient(theta)", "theta <- theta - inverse(H + lamda * I) @ g")
    return Equations(lines, {"lamda": optimizer.damping}, (remark, first))


@equations.register
def _(optimizer: LBFGS) -> Equations:
    lines = ("g = gradient(theta)", "d = -(H_k @ g)", "theta <- theta + a * d")
    remark = f"H_k is the BFGS inverse of the Hessian from the last steps, a the length found: {_options(optimizer)}."
    return Equations(lines, {}, (remark,))


def _options(optimizer: Newton | LBFGS) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in optimizer.config().items())


# Schedules ----------------------------------------------------------------------------------------------------------


@equations.register
def _(schedule: Constant) -> Equations:
    return Equations(("eta_k = eta",), {"eta": schedule.value})


@equations.register
def _(schedule: StepDecay) -> Equations:
    return Equations(("eta_k = eta_0 * q**floor(k / n)",), _of(schedule, eta_0="initial", q="factor", n="every"))


@equations.register
def _(schedule: Exponential) -> Equations:
    return Equations(("eta_k = eta_0 * q**(k / n)",), _of(schedule, eta_0="initial", q="decay", n="every"))


@equations.register
def _(schedule: InverseTime) -> Equations:
    return Equations(("eta_k = eta_0 / (1 + q * k)",), _of(schedule, eta_0="initial", q="decay"))


@equations.register
def _(schedule: Linear) -> Equations:
    line = "eta_k = (1 - min(k / tau, 1)) * eta_0 + min(k / tau, 1) * eta_tau"
    return Equations((line,), _of(schedule, eta_0="initial", eta_tau="final", tau="steps"))


@equations.register
def _(schedule: Cosine) -> Equations:
    done = "(k / n - floor(k / n))" if schedule.restarts else "min(k / n, 1)"
    line = f"eta_k = eta_min + (eta_0 - eta_min) * (1 + cos(pi * {done})) / 2"
    return Equations((line,), _of(schedule, eta_0="initial", eta_min="floor", n="steps"))


@equations.register
def _(schedule: Polynomial) -> Equations:
    line = "eta_k = eta_tau + (eta_0 - eta_tau) * (1 - min(k / tau, 1))**q"
    return Equations((line,), _of(schedule, eta_0="initial", eta_tau="final", tau="steps", q="power"))


@equations.register
def _(schedule: InverseSquareRoot) -> Equations:
    return Equations(("eta_k = eta_0 * sqrt(n / max(k, n))",), _of(schedule, eta_0="initial", n="steps"))


@equations.register
def _(schedule: Cyclical) -> Equations:
    height = "(1 - abs(2 * (k / (2 * n) - floor(k / (2 * n))) - 1))"
    line = f"eta_k = eta_min + (eta_max - eta_min) * {height} * q**floor(k / (2 * n))"
    return Equations((line,), _of(schedule, eta_min="low", eta_max="high", n="steps", q="decay"))


@equations.register
def _(schedule: OneCycle) -> Equations:
    up = "eta_0 + (eta_max - eta_0) * k / (r * tau)"
    down = "eta_max + (eta_tau - eta_max) * (min(k / tau, 1) - r) / (1 - r)" if schedule.rise < 1 else "eta_max"
    values = _of(schedule, eta_0="initial", eta_max="peak", eta_tau="final", tau="steps", r="rise")
    if schedule.rise == 1:
        del values["eta_tau"]
    return Equations((f"eta_k = {up} if k <= r * tau else {down}",), values)


@equations.register
def _(schedule: WarmUp) -> Equations:
    said = equations(as_schedule(schedule.after))
    lines = [line.replace("eta_k =", "after(k) =") for line in said.lines]
    rise = "eta_k = eta_s + (after(0) - eta_s) * (k + 1) / (w + 1) if k < w else after(k - w)"
    return Equations((*lines, rise), {**said.values, **_of(schedule, eta_s="start", w="steps")}, said.remarks)


@equations.register
def _(schedule: Piecewise) -> Equations:
    found = f"{schedule.rates[-1]!r}"
    for bound, value in reversed(list(zip(schedule.boundaries, schedule.rates))):
        found = f"{value!r} if k < {bound} else {found}"
    return Equations((f"eta_k = {found}",))


def _of(schedule: Schedule, **names: str) -> dict[str, Any]:
    """The values of options under the names of a formula."""
    return {name: getattr(schedule, option) for name, option in names.items()}
