"""``python -m benchmarks.accuracy [RECIPE...]``: train by both libraries in turn, and write ACCURACY.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import sets
from benchmarks.accuracy.page import Rows, keep
from benchmarks.accuracy.recipes import RECIPES, Recipe, Row
from benchmarks.rounds import say

FOLDER = Path(__file__).parents[1]
SYSTEMS = ("gradloom", "PyTorch")


def main() -> None:
    """The command line; ``--child`` is how it calls itself."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="RECIPE", help=f"of: {', '.join(RECIPES)}; all if none is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--rows", type=int, help="so many of the images to train on, in place of the recipe's")
    parser.add_argument("--system", choices=SYSTEMS, help="train by this one alone; what the other reached is kept")
    parser.add_argument("--into", type=Path, default=FOLDER, help="the folder of ACCURACY.md and accuracy.json")
    parser.add_argument("--check", action="store_true", help="compare one update by both instead")
    parser.add_argument("--picture", type=Path, help="draw a held-out image and what gradloom's model makes of it")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(RECIPES):
        parser.error(f"no recipe is called {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    for name in asked.names or RECIPES:
        recipe = _recipe(name, asked)
        if asked.check:
            from benchmarks.accuracy import check

            check.compare(name, recipe)
        elif asked.child:
            _train(asked.system, recipe, asked)
        else:
            for system in [asked.system] if asked.system else SYSTEMS:
                keep(asked.into, name, recipe, asked.seed, system, _rows(system, name))


def _recipe(name: str, asked: argparse.Namespace) -> Recipe:
    """As it is written, but for what the command line changes."""
    changes = {what: value for what in ("epochs", "rows") if (value := getattr(asked, what))}
    return replace(RECIPES[name], **changes)


def _rows(system: str, name: str) -> Rows:
    """A training in a process of its own, whose lines are shown as they come."""
    given = [word for word in sys.argv[1:] if word not in RECIPES]
    call = [sys.executable, "-m", __spec__.parent, name, *given, "--system", system, "--child"]
    rows: Rows = []
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            rows.append(json.loads(line))
            say(f"{name} {system}: {line.strip()}")
    if process.returncode:
        raise SystemExit(f"{name} by {system} failed")
    return rows


def _train(system: str, recipe: Recipe, asked: argparse.Namespace) -> None:
    """Train and print a line an epoch."""
    first, second, source = sets.load(recipe)
    if system == "gradloom":
        from benchmarks.accuracy.gradloom import Run
    else:
        from benchmarks.accuracy.pytorch import Run
    print(json.dumps({"source": source, "count": len(second.inputs)}), flush=True)
    run, spent = Run(recipe, first, asked.seed), 0.0
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        loss = run.epoch()
        spent += time.perf_counter() - start
        outputs = run.predict(second.inputs)
        right = float((outputs.argmax(-1) == second.targets).mean())
        row = Row(epoch, spent, loss, right, sets.scores(recipe, outputs, second.targets))
        print(json.dumps(asdict(row)), flush=True)
    if asked.picture and system == "gradloom":
        from benchmarks.accuracy import picture

        assert isinstance(run, picture.Run)
        picture.draw(run, second, asked.picture)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
