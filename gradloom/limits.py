"""What the system lets this process have: processors and memory.

A container's share is written in the files of control groups, version 2 (``cpu.max``, ``memory.max``) or version 1
(``cpu.cfs_quota_us``, ``memory.limit_in_bytes``); a group is bound by every group that it lies in.  Where these files
do not exist (macOS, Windows) there is no limit but the machine's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
_GROUPS = Path("sys/fs/cgroup")


def processors(root: Path = _ROOT) -> int:
    """How many threads can run at once: the processors that the scheduler may use, or the container's share of them.

    Args:
        root: the folder in which ``sys`` and ``proc`` lie.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    present = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    return max(1, math.ceil(min(present, _quota(root))))


def memory(root: Path = _ROOT) -> float:
    """How many bytes this process may still take: what is free with swapping, or what is left of the container's limit.

    Args:
        root: the folder in which ``sys`` and ``proc`` lie.

    Returns:
        Infinity where nothing is known.
    """
    sizes = dict(line.split(":", 1) for line in _lines(root / "proc/meminfo") if ":" in line)
    free = [int(sizes[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree") if name in sizes]
    limits = [float(sum(free))] if "MemAvailable" in sizes else []
    for folder in _groups(root, "memory"):
        for most, taken in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            limits += [max(0.0, n - _in_use(folder, taken)) for n in _numbers(folder / most)]
    return min(limits, default=math.inf)


def _in_use(folder: Path, name: str) -> float:
    """Bytes that a control group holds, without copies of files that it would give back."""
    pairs = [line.split() for line in _lines(folder / "memory.stat")]
    spare = [float(n) for key, n in pairs if key in ("inactive_file", "total_inactive_file")]
    return max(0.0, sum(_numbers(folder / name)) - max(spare, default=0.0))


def _numbers(path: Path) -> list[float]:
    """The numbers in a file, one a line; ``max`` is none."""
    return [float(line) for line in _lines(path) if line.isdigit()]


def _quota(root: Path) -> float:
    """Processors' worth of time that the control groups grant."""
    shares = [math.inf]
    for folder in _groups(root, "cpu"):
        both = " ".join(_lines(folder / "cpu.max")).split()
        if not both:
            both = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
        if len(both) == 2 and both[0].isdigit() and int(both[1]) > 0:  # "max" and -1 are no limit
            shares.append(int(both[0]) / int(both[1]))
    return min(shares)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control groups that may limit ``controller``, from the innermost to the root."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            top = root / _GROUPS / controller
        elif not controllers:  # version 2: one hierarchy for all controllers
            top = root / _GROUPS
        else:
            continue
        inner = top / path.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder == top or top in folder.parents)


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where it cannot be read."""
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
