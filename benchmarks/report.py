"""RESULTS.md, from the file in which measurements are kept: parts can be measured one by one."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.measured import Found, Goal, from_json, to_json
from benchmarks.parts import PARTS
from benchmarks.tables import table
from gradloom import config, saving

FOLDER = Path(__file__).parent
PACKAGES = ("gradloom", "numpy", "llvmlite", "torch", "jax", "keras", "scikit-learn", "autograd")


def machine() -> str:
    """The processor and the versions that are measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    installed = {d.name.lower(): d.version for d in metadata.distributions()}
    versions = ", ".join(f"{p} {installed[p]}" for p in PACKAGES if p in installed)
    return (
        f"{name}, {os.cpu_count()} processors, {config.threads()} threads; {platform.system()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def keep(name: str, found: Found, rounds: int, took: float, folder: Path = FOLDER) -> None:
    """Put a part's measurements in place of older ones, and write RESULTS.md anew."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = _kept(folder)
    kept[name] = {"machine": machine(), "rounds": rounds, "took": round(took), "found": to_json(found)}
    saving.save(folder / "results.json", json.dumps(kept, indent=1) + "\n")
    saving.save(folder / "RESULTS.md", _text(kept))


def _kept(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _text(kept: dict[str, Any]) -> str:
    parts = {name: from_json(kept[name]["found"]) for name in PARTS if name in kept}
    machines = list(dict.fromkeys(kept[name]["machine"] for name in parts))
    sections = [_section(name, found, kept[name], machines) for name, found in parts.items()]
    minutes = sum(kept[name]["took"] for name in parts) / 60
    opening = (
        "# Results\n\nMade by `make bench`; [how it measures](../docs/benchmarks.md). Every system runs in a process "
        f"of its own, and they take turns; figures are medians of rounds, ratios medians of the ratios within rounds. "
        f"All of it took {minutes:.0f} minutes.\n\n"
    )
    goals = [goal for name, found in parts.items() for goal in PARTS[name].goals(found)]
    return opening + "\n\n".join([*machines, _goals(goals), *sections]) + "\n"


def _section(name: str, found: Found, kept: dict[str, Any], machines: list[str]) -> str:
    where = f" Measured on: {kept['machine']}." if len(machines) > 1 else ""
    note = " ".join(PARTS[name].NOTE.split())
    return f"## {PARTS[name].TITLE}\n\n{note} {kept['rounds']} rounds.{where}\n\n{PARTS[name].show(found)}"


def _goals(goals: list[Goal]) -> str:
    """The goals in order, and whether they are met."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    rows = [(str(g.number), g.wanted, g.got, words[g.met]) for g in sorted(goals, key=lambda g: g.number)]
    return f"## Goals\n\n{table(('', 'wanted', 'measured', 'met'), rows)}"
