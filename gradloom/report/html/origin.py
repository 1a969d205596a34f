"""The last sections: how the run was set up, on what it was made, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradloom.report.html.blocks import Block, Code, Paragraph, Section, Table


def configuration(run: Any, asked: Mapping[str, str]) -> Section:
    """Settings of the trainer, then what was asked for.

    Args:
        run: the trainer.
        asked: by name.
    """
    settings = {
        "loss": repr(run.loss),
        "optimizer": repr(run.optimizer),
        "metrics": ", ".join(m.name for m in run.metrics) or "none",
        "batch size": str(run.batch_size),
        "seed": str(run.seed),
        "L1, L2 penalties": f"{run.l1:g}, {run.l2:g}",
        "class weights": "none" if run.class_weight is None else str(run.class_weight),
        "augmentation": "none" if run.augment is None else repr(run.augment),
        "data type": run.dtype,
    }
    rows = [[name, text] for name, text in {**settings, **asked}.items()]
    return Section("configuration", "Configuration", [Table(["setting", "value"], rows, texts=2)])


def reproduction(environment: Mapping[str, str], command: str) -> Section:
    """Versions and machine, and the command.

    Args:
        environment: by name.
        command: that makes the run again; empty if none is known.
    """
    blocks: list[Block] = []
    if command:
        text = "This command makes the run again. The same versions on the same kind of machine give the same bits."
        blocks += [Paragraph(text), Code(command)]
    blocks.append(Table(["", "version"], [[name, text] for name, text in environment.items()], texts=2))
    return Section("environment", "Environment" + (" and command" if command else ""), blocks)
