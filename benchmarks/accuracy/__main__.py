"""``python -m benchmarks.accuracy [RECIPE...]``: train by both libraries in turn, and write ACCURACY.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import sets
from benchmarks.accuracy.recipes import RECIPES, Recipe, Row
from benchmarks.report import machine
from benchmarks.rounds import say
from benchmarks.tables import number, table

FOLDER = Path(__file__).parents[1]
SYSTEMS = ("gradloom", "PyTorch")

Rows = list[dict[str, Any]]


def main() -> None:
    """The command line; ``--system`` is how it calls itself."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="RECIPE", help=f"of: {', '.join(RECIPES)}; all if none is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(RECIPES):
        parser.error(f"no recipe is called {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    for name in asked.names or RECIPES:
        if asked.system:
            _train(asked.system, name, asked)
        else:
            _keep(name, asked.seed, {system: _rows(system, name, asked) for system in SYSTEMS})


def _rows(system: str, name: str, asked: argparse.Namespace) -> Rows:
    """A training in a process of its own, whose lines are shown as they come."""
    more = ["--epochs", str(asked.epochs)] if asked.epochs else []
    call = [sys.executable, "-m", __spec__.parent, name, "--system", system, "--seed", str(asked.seed), *more]
    rows: Rows = []
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            rows.append(json.loads(line))
            say(f"{name} {system}: {line.strip()}")
    if process.returncode:
        raise SystemExit(f"{name} by {system} failed")
    return rows


def _train(system: str, name: str, asked: argparse.Namespace) -> None:
    """Train and print a line an epoch."""
    recipe = RECIPES[name]
    if asked.epochs:
        recipe = Recipe(**{**asdict(recipe), "epochs": asked.epochs})
    first, second, source = sets.load(recipe)
    if system == "gradloom":
        from benchmarks.accuracy.gradloom import run
    else:
        from benchmarks.accuracy.pytorch import run
    print(json.dumps({"source": source}), flush=True)
    for row, predict in run(recipe, first, asked.seed):
        outputs = predict(second.inputs)
        right = float((outputs.argmax(-1) == second.targets).mean())
        done = Row(row.epoch, row.seconds, row.loss, right, sets.scores(recipe, outputs, second.targets))
        print(json.dumps(asdict(done)), flush=True)


# ACCURACY.md ----------------------------------------------------------------------------------------------------


def _keep(name: str, seed: int, found: dict[str, Rows]) -> None:
    path = FOLDER / "accuracy.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[name] = {"seed": seed, "machine": machine(), "found": found}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    sections = [_section(RECIPES[n], n, kept[n]) for n in RECIPES if n in kept]
    machines = ". ".join(dict.fromkeys(entry["machine"] for entry in kept.values()))
    opening = "# Accuracy\n\nMade by `make accuracy`: the same recipes by gradloom and PyTorch, one after the other."
    (FOLDER / "ACCURACY.md").write_text("\n\n".join([opening, machines, *sections]) + "\n")


def _section(recipe: Recipe, name: str, kept: dict[str, Any]) -> str:
    columns = {system: rows[1:] for system, rows in kept["found"].items()}
    extra = list(next(iter(columns.values()))[0]["scores"])
    head = ["epoch", *(f"{system}: {what}" for system in columns for what in ("seconds", "loss", "accuracy", *extra))]
    body = [
        [str(i + 1), *(cell for rows in columns.values() for cell in _cells(rows, i, extra))]
        for i in range(max(map(len, columns.values())))
    ]
    settings = (
        f"{recipe.network}, {recipe.epochs} epochs of batches of {recipe.batch}, {recipe.method} at {recipe.rate:g}"
        f"{f', L2 {recipe.decay:g}' if recipe.decay else ''}{f', {recipe.augment}' if recipe.augment else ''}; "
        f"seed {kept['seed']}. {next(iter(kept['found'].values()))[0]['source']}."
    )
    return f"## {name}\n\n{settings}\n{_times(recipe, columns)}\n{table(head, body)}"


def _cells(rows: Rows, i: int, extra: list[str]) -> list[str]:
    if i >= len(rows):
        return [""] * (3 + len(extra))
    row = rows[i]
    figures = (row["scores"][what] for what in extra)
    return [number(row["seconds"]), f"{row['loss']:.4f}", f"{row['score']:.4f}", *(f"{f:.4f}" for f in figures)]


def _times(recipe: Recipe, columns: dict[str, Rows]) -> str:
    """When each reached the accuracy that is wanted."""
    if not recipe.wanted:
        return ""
    times = []
    for system, rows in columns.items():
        reached = next((row["seconds"] for row in rows if row["score"] >= recipe.wanted), None)
        times.append(f"{system} {'never' if reached is None else f'after {number(reached)} s'}")
    return f"\nAccuracy {recipe.wanted:g} was reached: {', '.join(times)}.\n"


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
