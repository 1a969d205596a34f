"""Which sections the page of a run has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from gradloom import saving
from gradloom.data.table import Table
from gradloom.errors import OptionError
from gradloom.records import dataclass
from gradloom.report import decisions
from gradloom.report.environment import environment as this_environment
from gradloom.report.html import inputs, quality
from gradloom.report.html.blocks import Section
from gradloom.report.html.diagnosis import diagnosis
from gradloom.report.html.learning import learning
from gradloom.report.html.network import network
from gradloom.report.html.origin import configuration, reproduction
from gradloom.report.html.overview import Figures, overview
from gradloom.report.html.render import render
from gradloom.report.importance import permutation_importance
from gradloom.report.rating import Rated, rated
from gradloom.report.scores import Score, scores
from gradloom.train import Diagnosis

_MOST_COLUMNS, _MOST_ROWS = 256, 2000
"""Of more columns the importance is not measured; of more rows, some are taken."""


@dataclass(frozen=True)
class Origin:
    """Where a run came from, as far as it is known.

    Attributes:
        settings: what was asked for, by name.
        environment: versions and machine; those of now if None.
        command: makes the run again.
        figures: what was measured at the end of training, by part and name.
        sizes: how many examples each part had.
        table: the whole data set, where it is a table.
        notes: sentences for the top of the page.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    command: str = ""
    figures: Figures = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    table: Table | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        html: the whole document, which needs nothing else.
        scores: the figures of the rated part.
    """

    html: str = field(repr=False)
    scores: tuple[Score, ...]

    def save(self, path: str | Path) -> None:
        """Write the document to a file."""
        saving.save(path, self.html, rule="the page cannot be written")


def page(
    run: Any,
    parts: Mapping[str, Any] | None = None,
    *,
    title: str = "A training run",
    findings: Diagnosis | None = None,
    origin: Origin | None = None,
    repeats: int = 5,
    seed: int = 0,
) -> Page:
    """Everything about a run on one HTML page: curves, metrics with intervals, mistakes, calibration, model, origin.

    The page is one file without scripts and without anything from elsewhere, in light and dark, for screens of any
    width and for print.

    Args:
        run: a trained trainer.
        parts: data sets (inputs, targets) by name, such as "test"; the model is rated on the last.  Without any
            the page tells of training alone.
        title: of the page.
        findings: what ``train.diagnose`` found.
        origin: what else is known of the run.
        repeats: how often each column is shuffled to measure its importance.
        seed: of the bootstrap and of that.

    Raises:
        OptionError: the model has no parameters yet.
        DataError: data that the model cannot be rated on.
        MissingPackageError: Jinja2 is not installed.
    """
    if run.input_type is None:
        raise OptionError("page", rule="the model must be trained", got="no parameters", fix="Call fit before.")
    known = origin or Origin()
    answers = {name: rated(run, "page", data) for name, data in (parts or {}).items()}
    last = list(answers)[-1] if answers else ""
    found = scores(answers[last], seed=seed) if answers else []
    called = last if " " in last else f"{last} part"
    sizes = known.sizes or {name: len(answer) for name, answer in answers.items()}
    rating = _rating(run, answers[last], (parts or {})[last], found, called, repeats, seed) if answers else []
    sections = [
        overview(run, found, called, known.figures, known.notes),
        diagnosis(findings),
        learning(run.history),
        *rating,
        inputs.contents(known.table, answers, sizes),
        network(run),
        configuration(run, known.settings),
        reproduction(known.environment or this_environment(), known.command),
    ]
    return Page(render(title, [section for section in sections if section is not None]), tuple(found))


def _rating(
    run: Any, answers: Rated, data: Any, found: Sequence[Score], part: str, repeats: int, seed: int
) -> list[Section | None]:
    """The sections about one part."""
    of = "images" if answers.kind == "pixels" else "examples"
    return [
        quality.metrics(found, part, len(answers), of),
        quality.mistakes(answers),
        None if answers.kind == "numbers" else quality.reliability(answers),
        inputs.plane(run, answers, part),
        inputs.images(run, answers, data[1] if isinstance(data, tuple) else data.targets),
        _importance(run, answers, repeats, seed),
    ]


def _importance(run: Any, answers: Rated, repeats: int, seed: int) -> Section | None:
    x = answers.inputs
    if len(answers.shape) != 1 or answers.kind == "pixels":
        return None
    groups = inputs.groups(run, *answers.shape)
    if not 1 < len(groups) <= _MOST_COLUMNS:
        return None
    some = np.arange(0, len(x), -(-len(x) // _MOST_ROWS))
    truth = answers.truth[some]

    if answers.kind == "numbers" and truth.min() == truth.max():
        return None  # there is no R² of a single value

    def accuracy(features: np.ndarray) -> float:
        return float((decisions.shares(run, run.predict(features)).argmax(1) == truth).mean())

    def minus_error(features: np.ndarray) -> float:
        outputs = run.predict(features).reshape(-1)
        target = getattr(run.preprocessing, "target", None)
        said = outputs if target is None else target.decode(outputs)
        return float(1 - ((said - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())

    score, name = (accuracy, "accuracy") if answers.kind == "classes" else (minus_error, "R²")
    return quality.importances(permutation_importance(score, x[some], groups, repeats=repeats, seed=seed), name)
