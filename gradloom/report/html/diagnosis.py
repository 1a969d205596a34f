"""The section of findings: what ails the run, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gradloom.report.html.blocks import Advice, Section


class Finding(Protocol):
    """What the page shows of a finding."""

    @property
    def severity(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def measured(self) -> str: ...  # noqa: D102
    @property
    def why(self) -> str: ...  # noqa: D102
    @property
    def what_to_do(self) -> str: ...  # noqa: D102
    def to_svg(self) -> str:
        """A picture; empty if there is none."""
        ...


def diagnosis(findings: Sequence[Finding]) -> Section | None:
    """The findings in their order; no section without any."""
    if not findings:
        return None
    advice = [Advice(f.severity, f.title, f.measured, f.why, f.what_to_do, f.to_svg()) for f in findings]
    return Section("findings", "Findings", advice)
