"""What a check found, and all that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gradloom.drawing.chart import Chart, finite
from gradloom.records import dataclass

SERIOUS, WARNING, NOTE = SEVERITIES = ("serious", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        name: which, such as ``"dead_units"``; all are listed in docs/doctor.md.
        severity: "serious", "warning", or "note" for what does no harm as things stand.
        measured: what was measured, with figures.
        why: why it matters.
        what_to_do: the next action.
        picture: what was measured, as a chart.
        follows_from: names of other findings of the report that explain this one.
    """

    name: str
    severity: str
    measured: str
    why: str
    what_to_do: str
    picture: Chart | None = None
    follows_from: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    def to_svg(self) -> str:
        """The picture as an ``<svg>`` element; empty where there is none."""
        return "" if self.picture is None else self.picture.to_svg()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON."""
        return {
            "name": self.name,
            "severity": self.severity,
            "measured": self.measured,
            "why": self.why,
            "what_to_do": self.what_to_do,
            "follows_from": list(self.follows_from),
            "picture": None if self.picture is None else self.picture.to_dict(),
        }

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.title}"]
        lines += [f"  measured: {self.measured}", f"  why: {self.why}", f"  what to do: {self.what_to_do}"]
        if self.follows_from:
            lines.append(f"  probably follows from: {', '.join(n.replace('_', ' ') for n in self.follows_from)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a run, the root of the trouble first.

    Attributes:
        findings: root causes before what follows from them; notes last.
        verdict: of bias and variance, a sentence.
        errors: by part ("training", "validation", "test"): the share of wrong answers, or of variance not explained.
        left_out: what was not examined, or with fewer steps than usual, and why; a sentence each.
    """

    findings: tuple[Finding, ...]
    verdict: str
    errors: Mapping[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def first(self) -> Finding | None:
        """The finding to begin with; None where nothing needs to be done."""
        return self.findings[0] if not self.is_healthy else None

    @property
    def is_healthy(self) -> bool:
        """Whether there is nothing above a note."""
        return all(finding.severity == NOTE for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON."""
        return {
            "healthy": self.is_healthy,
            "verdict": self.verdict,
            "errors": finite(dict(self.errors)),
            "findings": [finding.to_dict() for finding in self.findings],
            "left_out": list(self.left_out),
        }

    def __str__(self) -> str:
        return "\n\n".join([self.verdict, *map(str, self.findings), *self.left_out])
