"""The section of findings: what ails the run, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gradloom.report.html.blocks import Advice, Section


class Finding(Protocol):
    """What the page shows of a finding."""

    @property
    def severity(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def measured(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def what_to_do(self) -> str: ...
    def to_svg(self) -> str:
        """A picture; empty if there is none."""
        ...


def diagnosis(findings: Sequence[Finding]) -> Section | None:
    """The findings in their order; no section without any."""
    if not findings:
        return None
    advice = [Advice(f.severity, f.title, f.measured, f.why, f.what_to_do, f.to_svg()) for f in findings]
    return Section("findings", "Findings", advice)
