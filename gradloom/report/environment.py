"""On what a run was made: versions and the kind of machine, nothing that tells whose it is."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import gradloom
from gradloom import limits

_PACKAGES = ("numpy", "llvmlite", "safetensors", "polars", "scikit-learn", "pillow")


def environment() -> dict[str, str]:
    """Versions of what computes, the system, the kind of processor and how many of them this process may use."""
    found = {"gradloom": gradloom.__version__, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    machine = f"{platform.system()} on {platform.machine()}"
    return {**found, "machine": f"{machine}, {limits.processors()} processors"}
