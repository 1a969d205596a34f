"""The tour: train a network on handwritten digits with the command line, load it again, and let it read some.

Run it with ``make demo``.  It ends with exit code 1 if fewer than 97% of the test digits are read rightly.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from gradloom import train
from gradloom.cli.prepare import Plan, prepare
from gradloom.data.sources import load
from gradloom.data.table import Table

RUN = Path("runs/demo")
GOAL = 0.97
SHOWN = 8
SHADES = " ░▒▓█"


def main() -> int:
    command = ["train", "digits", "--seed", "0", "--out", str(RUN)]
    print(f"$ gradloom {' '.join(command)}\n", flush=True)
    if subprocess.run([sys.executable, "-m", "gradloom", *command], check=False).returncode:
        return 1
    accuracy = json.loads((RUN / "metrics.json").read_text())["metrics"]["test"]["accuracy"]

    run = train.load(RUN / "model.safetensors")
    digits = load("digits")
    assert isinstance(digits, Table)
    # The same seed makes the same split, so these are digits that the network has not seen.
    split = prepare(digits, Plan(seed=0)).rows
    some = digits.take(split.test[:SHOWN])
    predictions = run.predict_table(some.drop(["target"]))
    print(f"\nThe model, loaded from {RUN / 'model.safetensors'}, reads digits of the test part:\n")
    print_digits(some, predictions.values)

    print(f"\nTest accuracy {accuracy:.4f}; the goal is {GOAL} or more.")
    return 0 if accuracy >= GOAL else 1


def print_digits(table: Table, read: np.ndarray) -> None:
    """The images side by side, and under each what was read and what is true."""
    pixels = np.stack([column.values for column in table.drop(["target"]).columns.values()], axis=1)
    shades = np.minimum(pixels / 16 * len(SHADES), len(SHADES) - 1).astype(int).reshape(-1, 8, 8)
    for line in range(8):
        print("  ".join("".join(SHADES[shade] for shade in image[line]) for image in shades))
    for name, values in (("read", read), ("true", table["target"].values)):
        print("  ".join(f"{name} {value}".ljust(8) for value in values))


if __name__ == "__main__":
    sys.exit(main())
