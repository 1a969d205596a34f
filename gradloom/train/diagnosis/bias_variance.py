"""The verdict of bias and variance, and the next action (catalogue 209 to 213).

    avoidable bias = training error - optimal error        variance = error on new data - training error

Low training error and high error on new data is variance; a high training error is bias; both can be.  Bias first: a
larger network, longer training, another architecture.  Then variance: more data, regularisation, another architecture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom import tree
from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.curves import learning_curve
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, WARNING, Finding

FALLING = 0.05
"""A loss that fell by more than this share in the last tenth of the epochs still falls."""
RISEN = 1.15
"""A validation loss so many times its least has turned."""


def verdict(case: Case) -> str:
    """Bias, variance, both or neither, as a sentence."""
    kind = {(True, True): "high bias and high variance", (True, False): "high bias", (False, True): "high variance"}
    said = kind.get((case.has_bias, case.has_variance), "neither high bias nor high variance")
    measure = "error" if case.is_classes else "unexplained variance"
    parts = ", ".join(f"{name} {value:.3g}" for name, value in case.errors.items())
    return f"{said[0].upper()}{said[1:]}: {measure} {parts}; optimal {case.optimal_error:.3g}."


def bias_variance(case: Case) -> Iterator[Finding]:
    """What is left to explain a high error.

    ``training_too_short``, ``too_small_network`` or ``high_bias``; ``overtraining``, ``too_few_data`` or
    ``high_variance``; the notes ``no_validation`` and ``no_test`` (catalogue 191).
    """
    if case.has_bias and not case.has_failed:
        yield _bias(case)
    if case.has_variance:
        yield _variance(case)
    if "validation" not in case.parts:
        yield Finding(
            "no_validation",
            NOTE,
            "There are no validation data.",
            "Without an error on new data nothing can be said about variance.",
            "Hold out a share of the examples: validation=0.2.",
        )
    elif "test" not in case.parts:
        yield Finding(
            "no_test",
            NOTE,
            "There are no test data.",
            "Whatever is chosen by the validation error (epochs, rates, sizes) is fitted to it, so it is no unbiased "
            "estimate of the error on new data.",
            "Keep a third part, and rate one model on it, once.",
        )


def _bias(case: Case) -> Finding:
    falling, asked = _still_falls(case), case.neighbours
    errors = case.errors
    chart = Chart("Errors", "", "error", bars={"optimal": case.optimal_error, **errors})
    if falling > FALLING:
        losses = case.column("loss")
        return Finding(
            "training_too_short",
            SERIOUS,
            f"The training error is {errors['training']:.3g}, and the loss still fell by {falling:.0%} in the last "
            f"tenth of the {len(losses)} epochs.",
            "Training ended before the network had learned what it can.",
            "Train on: more epochs, or a higher learning rate at the beginning.",
            Chart("Loss", "epoch", "", curves={"training": list(enumerate(losses, 1))}),
        )
    size = sum(leaf.size for leaf in tree.leaves(case.now["parameters"]))
    if asked is not None and asked.error < errors["training"] - case.high:
        narrow = min((min(w.shape[-2:]) for w in _matrices(case)), default=0)
        return Finding(
            "too_small_network",
            SERIOUS,
            f"The training error stays at {errors['training']:.3g}, while nearest neighbours get {asked.error:.3g} "
            f"on the same data. The network has {size:,} parameters, and {narrow} units where it is narrowest.",
            "More can be learned from these inputs than this network can hold: high bias.",
            "Use a larger network, wider first, then deeper; train longer; or try another architecture.",
            Chart("Errors", "", "error", bars={"optimal": case.optimal_error, "neighbours": asked.error, **errors}),
        )
    return Finding(
        "high_bias",
        WARNING,
        f"The training error of {errors['training']:.3g} is {case.avoidable_bias:.3g} above the optimal one of "
        f"{case.optimal_error:.3g}.",
        "The network does not fit its own training data; if no model could, that is no fault of it.",
        "Use a larger network, train longer, try another architecture or better inputs. If people or other models do "
        "no better, tell optimal_error=.",
        chart,
    )


def _variance(case: Case) -> Finding:
    errors, rows = case.errors, len(case.training)
    turned = _turned(case)
    if turned is not None:
        return turned
    curve = learning_curve(case) if case.experiments else None
    if curve is not None and curve.gain > 0.1 * (errors["validation"] - case.optimal_error):
        return Finding(
            "too_few_data",
            SERIOUS,
            f"Training error {errors['training']:.3g}, validation error {errors['validation']:.3g} with {rows} "
            f"examples; with fewer: {curve.told}. Extrapolated, twice as many would lead to about "
            f"{curve.next:.3g}, ever more to {curve.limit:.3g}.",
            "The error on new data falls as data grow, and has not levelled off: high variance.",
            "Get more data (or augment those that there are); until then regularise: l2, dropout, early stopping, a "
            "smaller network.",
            curve.chart(),
        )
    return Finding(
        "high_variance",
        WARNING,
        f"The validation error of {errors['validation']:.3g} is {case.variance:.3g} above the training error of "
        f"{errors['training']:.3g}, with {rows} examples" + (f"; with fewer: {curve.told}." if curve else "."),
        "The network fits what is particular to its training data.",
        "Regularise (l2, dropout, early stopping), get more data, or try another architecture.",
        Chart("Errors", "", "error", bars={"optimal": case.optimal_error, **errors}),
    )


def _turned(case: Case) -> Finding | None:
    """Whether the validation loss was much lower before, and the weights of that epoch were not kept."""
    losses, seen = case.column("val_loss"), case.column("loss")
    if len(losses) < 5 or case.run.history.best_epoch is not None:
        return None
    best = int(np.argmin(losses))
    if losses[-1] < RISEN * losses[best] or best > 0.8 * len(losses):
        return None
    return Finding(
        "overtraining",
        SERIOUS,
        f"The validation loss was least, {losses[best]:.3g}, after epoch {best + 1} of {len(losses)}, and is "
        f"{losses[-1]:.3g} now; the training loss went on from {seen[best]:.3g} to {seen[-1]:.3g}.",
        "Since then the network has learned what is particular to the training data; the distance of the curves grows.",
        "Stop early and give the best weights back: callbacks=[train.EarlyStopping(patience=5)]; then regularise.",
        Chart(
            "Loss",
            "epoch",
            "",
            curves={"training": list(enumerate(seen, 1)), "validation": list(enumerate(losses, 1))},
            limit=best + 1.0,
        ),
    )


def _still_falls(case: Case) -> float:
    """By which share the loss fell in the last tenth of the epochs."""
    losses = case.column("loss")
    if len(losses) < 2:
        return 1.0
    before = losses[-1 - max(len(losses) // 10, 1)]
    return (before - losses[-1]) / before if before > 0 else 0.0


def _matrices(case: Case) -> list[np.ndarray]:
    return [leaf.numpy() for leaf in tree.leaves(case.now["parameters"]) if leaf.ndim > 1]
