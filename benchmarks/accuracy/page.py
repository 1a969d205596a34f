"""ACCURACY.md, made from what accuracy.json keeps."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.accuracy.recipes import RECIPES, Recipe
from benchmarks.report import machine
from benchmarks.tables import number, table

Rows = list[dict[str, Any]]


def keep(folder: Path, name: str, recipe: Recipe, seed: int, system: str, rows: Rows) -> None:
    """Keep what a system reached, beside the other's if that had the same recipe and seed, and write the page."""
    path = folder / "accuracy.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    entry = {"seed": seed, "machine": machine(), "recipe": json.loads(json.dumps(asdict(recipe)))}
    old = kept.get(name, {})
    is_same = old.get("seed") == seed and old.get("recipe") == entry["recipe"]
    found = {**(old["found"] if is_same else {}), system: rows}
    kept[name] = {**entry, "found": dict(sorted(found.items(), key=lambda item: item[0].lower()))}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    (folder / "ACCURACY.md").write_text(page(kept))


def page(kept: dict[str, Any]) -> str:
    """The whole page."""
    sections = [_section(name, kept[name]) for name in RECIPES if name in kept]
    machines = ". ".join(dict.fromkeys(entry["machine"] for entry in kept.values()))
    opening = "# Accuracy\n\nMade by `make accuracy`: the same recipes by gradloom and PyTorch, one after the other."
    return "\n\n".join([opening, machines, *sections]) + "\n"


def _section(name: str, kept: dict[str, Any]) -> str:
    recipe = Recipe(**kept["recipe"]) if "recipe" in kept else RECIPES[name]
    columns = {system: rows[1:] for system, rows in kept["found"].items()}
    figures = ["accuracy"] if not recipe.is_segmentation else list(next(iter(columns.values()))[0]["scores"])
    head = ["epoch", *(f"{system}: {what}" for system in columns for what in ("seconds", "loss", *figures))]
    body = [
        [str(i + 1), *(cell for rows in columns.values() for cell in _cells(rows, i, figures))]
        for i in range(max(map(len, columns.values())))
    ]
    source = next(iter(kept["found"].values()))[0]
    said = [
        _settings(recipe, kept["seed"], source["source"]),
        _times(recipe, columns) if recipe.wanted else "",
        _noise(columns, source["count"]) if "count" in source and not recipe.is_segmentation else "",
    ]
    return "\n\n".join([f"## {name}", *filter(None, said), table(head, body)])


def _settings(recipe: Recipe, seed: int, source: str) -> str:
    return (
        f"{recipe.network}, {recipe.epochs} epochs of batches of {recipe.batch}, {recipe.method} at {recipe.rate:g}"
        f"{f', L2 {recipe.decay:.3g}' if recipe.decay else ''}{f', {recipe.augment}' if recipe.augment else ''}; "
        f"seed {seed}. {source}."
    )


def _cells(rows: Rows, i: int, figures: list[str]) -> list[str]:
    if i >= len(rows):
        return [""] * (2 + len(figures))
    row = rows[i]
    found = ({"accuracy": row["score"], **row["scores"]}[what] for what in figures)
    return [number(row["seconds"]), f"{row['loss']:.4f}", *(f"{f:.4f}" for f in found)]


def _times(recipe: Recipe, columns: dict[str, Rows]) -> str:
    """When each reached the accuracy that is wanted."""
    times = []
    for system, rows in columns.items():
        reached = next((row["seconds"] for row in rows if row["score"] >= recipe.wanted), None)
        times.append(f"{system} {'never' if reached is None else f'after {number(reached)} s'}")
    return f"Accuracy {recipe.wanted:g} was reached: {', '.join(times)}."


def _noise(columns: dict[str, Rows], count: int) -> str:
    """What of the last accuracies is chance: √(p (1 - p)/n) of each, and of their difference the root of the sum."""
    ends = {system: rows[-1]["score"] for system, rows in columns.items()}
    errors = {system: math.sqrt(p * (1 - p) / count) for system, p in ends.items()}
    said = ", ".join(f"{system} {p:.4f} ± {errors[system]:.4f}" for system, p in ends.items())
    if len(ends) == 2:
        apart = abs(float.__sub__(*ends.values()))
        said += f"; they differ by {apart:.4f}, where chance makes ± {math.hypot(*errors.values()):.4f}"
    return f"At the end, with the standard errors that {count} test images give: {said}."
