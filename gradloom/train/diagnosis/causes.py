"""Which finding explains which: what is wrong with the data before what is wrong with the network that learned them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradloom.train.diagnosis.finding import NOTE, Finding

ROOTS_FIRST = (
    *("leaked_rows", "shifted_test", "shifted_validation", "outliers", "unscaled_inputs"),
    *("unrelated_targets", "label_noise", "label_imbalance"),
    *("unreached_parameters", "symmetric_units", "linear_stack"),
    *("dead_units_at_start", "saturated_units_at_start", "exploding_signal", "vanishing_signal"),
    *("vanishing_gradient",),
    *("learning_rate_too_high", "learning_rate_too_low", "too_much_regularisation", "too_much_dropout"),
    *("dead_units", "saturated_units", "loss_does_not_fall"),
    *("training_too_short", "too_small_network", "high_bias"),
    *("overtraining", "too_few_data", "high_variance"),
    *("large_updates", "loss_is_not_monotone", "constant_features", "equal_features", "no_validation", "no_test"),
)
"""Every finding; each can be brought about by those before it."""

_NOT_LEARNED = {"high_bias", "training_too_short", "too_small_network", "loss_does_not_fall"}
_NOT_GENERAL = {"high_variance", "too_few_data", "overtraining"}
_SICK_UNITS = {"dead_units", "saturated_units", "dead_units_at_start", "saturated_units_at_start"}

BRINGS_ABOUT: dict[str, set[str]] = {
    "shifted_test": _NOT_GENERAL,
    "shifted_validation": _NOT_GENERAL,
    "outliers": {"unscaled_inputs", "exploding_signal", "learning_rate_too_high"} | _SICK_UNITS | _NOT_LEARNED,
    "unscaled_inputs": {"exploding_signal", "vanishing_gradient", "learning_rate_too_high", "learning_rate_too_low"}
    | _SICK_UNITS
    | _NOT_LEARNED,
    "unrelated_targets": _NOT_LEARNED | _NOT_GENERAL,
    "label_noise": _NOT_LEARNED | _NOT_GENERAL,
    "label_imbalance": {"high_bias", "high_variance"},
    "unreached_parameters": _NOT_LEARNED | {"vanishing_gradient"},
    "symmetric_units": _NOT_LEARNED | {"vanishing_signal", "vanishing_gradient", "dead_units", "dead_units_at_start"},
    "linear_stack": _NOT_LEARNED,
    "dead_units_at_start": _NOT_LEARNED | {"vanishing_signal", "vanishing_gradient"},
    "saturated_units_at_start": _NOT_LEARNED | {"vanishing_gradient"},
    "exploding_signal": _NOT_LEARNED | {"learning_rate_too_high", "dead_units", "large_updates"},
    "vanishing_signal": _NOT_LEARNED | {"vanishing_gradient", "learning_rate_too_low"},
    "vanishing_gradient": _NOT_LEARNED | {"learning_rate_too_low"},
    "learning_rate_too_high": _NOT_LEARNED | {"dead_units", "saturated_units", "large_updates"},
    "learning_rate_too_low": _NOT_LEARNED,
    "too_much_regularisation": _NOT_LEARNED,
    "too_much_dropout": _NOT_LEARNED,
    "dead_units": _NOT_LEARNED,
    "saturated_units": _NOT_LEARNED,
}
"""By finding, those that it can explain."""


_BY_EXCLUSION = {"too_small_network"}
"""What is concluded where nothing else explains the error."""


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Roots before what follows from them, notes last; each is told which others of them explain it."""
    found = list(findings)
    harmful = [f.name for f in found if f.severity != NOTE]
    told = [replace(f, follows_from=tuple(c for c in harmful if f.name in BRINGS_ABOUT.get(c, ()))) for f in found]
    kept = [f for f in told if not (f.follows_from and f.name in _BY_EXCLUSION)]
    return tuple(sorted(kept, key=lambda f: (f.severity == NOTE, ROOTS_FIRST.index(f.name))))
