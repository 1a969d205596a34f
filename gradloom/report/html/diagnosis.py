"""The section of the doctor's findings: what ails the run, and what to do."""

from __future__ import annotations

from gradloom.report.html.blocks import Advice, Block, Paragraph, Section
from gradloom.train import Diagnosis


def diagnosis(found: Diagnosis | None) -> Section | None:
    """The verdict and the findings in their order; no section where nobody looked.

    Args:
        found: what ``train.diagnose`` gave.
    """
    if found is None:
        return None
    blocks: list[Block] = [Paragraph(found.verdict)]
    blocks += [Paragraph("The doctor has found nothing else.")] if not found.findings else []
    blocks += [Advice(f.severity, f.title, f.measured, f.why, f.what_to_do, f.to_svg()) for f in found.findings]
    blocks += [Paragraph(sentence) for sentence in found.left_out]
    return Section("findings", "What the doctor says", blocks)
