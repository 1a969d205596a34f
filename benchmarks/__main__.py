"""``python -m benchmarks [NAME...]``: measure all parts, or some, and write RESULTS.md."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.parts import PARTS
from benchmarks.report import FOLDER, keep
from benchmarks.rounds import say


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(PARTS)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each system (default: 5)")
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder for RESULTS.md (default: %(default)s)")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in asked.names or PARTS:
        say(f"{name}: {PARTS[name].TITLE}")
        start = time.perf_counter()
        found = PARTS[name].measure(asked.rounds)
        keep(name, found, asked.rounds, time.perf_counter() - start, asked.into)
        say(f"{name}: {time.perf_counter() - start:.0f} s; written: {asked.into / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
