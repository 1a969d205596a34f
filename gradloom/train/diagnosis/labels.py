"""What is wrong with targets: nothing that the inputs tell, noise, classes of very different numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradloom.drawing.chart import Chart
from gradloom.train.diagnosis.case import Case
from gradloom.train.diagnosis.finding import NOTE, SERIOUS, WARNING, Finding

NOISE = 0.05
IMBALANCE = 5.0


def labels(case: Case) -> Iterator[Finding]:
    """``unrelated_targets``, ``label_noise``, ``label_imbalance``."""
    found = _unrelated(case)
    yield from found or _noise(case)
    if case.is_classes:
        yield from _imbalance(case)


def _unrelated(case: Case) -> list[Finding]:
    """Neither the neighbours nor the network, on data that are new to it, do better than chance."""
    asked = case.neighbours
    if asked is None or not case.is_ill or not asked.is_lost:
        return []
    name = "validation" if "validation" in case.parts else "training"
    error, best = case.errors[name], _always(case, name)
    spread = np.sqrt(max(best * (1 - min(best, 1)), 0.05) / len(case.parts[name]))
    if error < best - 3 * spread:
        return []
    return [
        Finding(
            "unrelated_targets",
            SERIOUS,
            f"The {name} error is {error:.3g}, and {best:.3g} for an answer that looks at no input. A vote of nearest "
            f"neighbours in the training data has {asked.error:.3g} against {asked.chance:.3g}.",
            "Nothing in the inputs tells the target: what is learned is learned by heart.",
            "See whether inputs and targets are in the same order (was only one of them shuffled or sorted?) and "
            "whether the target is the right column; then whether the inputs can know the answer at all.",
            Chart(
                "Errors",
                "",
                "error",
                bars={"network": error, "no input": best, "neighbours": asked.error},
            ),
        )
    ]


def _always(case: Case, name: str) -> float:
    """The error of the answer that is best where nothing is known."""
    found = case.labels(name)
    if not case.is_classes:
        return 1.0
    return 1 - float(np.unique(found, return_counts=True)[1].max()) / len(found)


def _noise(case: Case) -> Iterator[Finding]:
    asked = case.neighbours
    if asked is None or not case.is_classes or asked.contradicted <= max(NOISE, case.optimal_error):
        return
    if asked.is_lost:  # as among few images, where what neighbours agree on is chance
        return
    yield Finding(
        "label_noise",
        SERIOUS if case.is_ill else NOTE,
        f"At {asked.contradicted:.0%} of the training examples eight or more of ten nearest neighbours agree on "
        "another label.",
        "Wrong labels bound what any model can reach, and a network that is large enough learns them by heart.",
        "Look at some of these examples and correct labels, or drop the examples. If the classes really overlap there, "
        f"tell optimal_error={asked.contradicted:.2g} or more. Stop early, regularise, or smooth labels.",
        Chart(
            "What neighbours say",
            "",
            "share",
            bars={"contradicted": asked.contradicted, "vote is wrong": asked.error, "chance": asked.chance},
        ),
    )


def _imbalance(case: Case) -> Iterator[Finding]:
    truth, answers = case.labels("training"), case.answers("training")
    ignored = getattr(case.run.loss, "ignore", None)
    if ignored is not None:
        truth, answers = truth[truth != ignored], answers[truth != ignored]
    what = "examples" if len(case.labels("training")) == len(case.training) else "positions"
    names, index, counts = np.unique(truth, return_inverse=True, return_counts=True)
    if len(names) < 2 or counts.max() < IMBALANCE * counts.min():
        return
    recalls = np.array([float(np.mean(answers[index == i] == name)) for i, name in enumerate(names)])
    rare = int(np.argmin(counts))
    name = names[rare]
    is_missed = bool(recalls[rare] < 0.5 and recalls[int(np.argmax(counts))] > 0.8)
    yield Finding(
        "label_imbalance",
        SERIOUS if is_missed and case.run.class_weight is None else WARNING if is_missed else NOTE,
        f"Class {name} has {counts[rare]} of {len(truth)} training {what}, the largest {counts.max()}; of class "
        f"{name} {recalls[rare]:.0%} are recognised, of the largest {recalls[int(np.argmax(counts))]:.0%}.",
        "Where a class is rare, always saying another is nearly right, so accuracy hides that the rare one is missed.",
        'Weight the classes (class_weight="balanced"), collect more of the rare one, or move the threshold; look at '
        "recall, precision and F1 rather than accuracy.",
        Chart("Recognised, by class", "class", "recall", bars=dict(zip(map(str, names), map(float, recalls)))),
    )
