"""``make bench``: every system on every network, interleaved over several rounds, as a table in RESULTS.md."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.steps import NETWORKS, SYSTEMS

ROUNDS = 3
PACKAGES = ("gradloom", "numpy", "llvmlite", "torch", "jax", "scikit-learn")


def measured() -> dict[str, dict[str, list[float]]]:
    """Seconds a step of every round, by network and system; a system that fails has none, and says why."""
    found: dict[str, dict[str, list[float]]] = {n: {s: [] for s in SYSTEMS} for n in NETWORKS}
    for turn in range(ROUNDS):
        for network, systems in found.items():
            for system, times in systems.items():
                command = [sys.executable, "-m", "benchmarks.steps", system, network]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{system}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                    continue
                times.append(float(done.stdout))
                print(f"round {turn + 1}  {network}  {system}: {times[-1] * 1e6:.1f} µs", flush=True)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """Medians, spread, and how many times gradloom's native time each system takes."""
    lines = []
    for network, systems in found.items():
        ours = statistics.median(systems["gradloom native"])
        lines += [
            f"## {network}",
            "",
            "| system | µs a step (median) | least - most | against native |",
            "|---|---|---|---|",
        ]
        for system, times in systems.items():
            if times:
                middle, low, high = (1e6 * f(times) for f in (statistics.median, min, max))
                lines.append(f"| {system} | {middle:.1f} | {low:.1f} - {high:.1f} | {middle / ours / 1e6:.2f} |")
            else:
                lines.append(f"| {system} | not measured | | |")
        lines.append("")
    return "\n".join(lines)


def machine() -> str:
    """The processor, and the versions that were measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in PACKAGES if _installed(p))
    return f"{name}, {os.cpu_count()} processors; Python {platform.python_version()}, {versions}"


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def main() -> None:
    """Measure and write RESULTS.md."""
    text = (
        "# Results\n\n"
        "One training step (forward, backward, Adam; float32), each system in a process of its own, "
        f"{ROUNDS} interleaved rounds. Made by `make bench`.\n\n{machine()}\n\n{table(measured())}"
    )
    path = Path(__file__).with_name("RESULTS.md")
    path.write_text(text, encoding="utf-8")
    print(f"\n{text}\nWritten: {path}")


if __name__ == "__main__":
    main()
