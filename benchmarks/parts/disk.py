"""How much room does an installation take?"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import gradloom
from benchmarks.measured import Found, Goal, Measured
from benchmarks.tables import by_system

TITLE = "Size on disk"
NOTE = """The files of a package and of all packages that it requires here, NumPy included; PyTorch's build for
processors alone."""

PACKAGES = {
    "gradloom native": "gradloom",
    "PyTorch": "torch",
    "JAX": "jax",
    "Keras on JAX": "keras jax",
    "scikit-learn": "scikit-learn",
}
INSTALLED = "Installed"


def measure(rounds: int, packages: dict[str, str] = PACKAGES) -> Found:
    """Counted once: files do not vary."""
    return {INSTALLED: {system: _size(names.split()) for system, names in packages.items()}}


def _size(names: list[str]) -> Measured:
    """Bytes of some packages with NumPy and all that they require."""
    try:
        return Measured((float(sum(map(_own_size, _with_required({*names, "numpy"})))),))
    except metadata.PackageNotFoundError as problem:
        return Measured(problem=f"{problem.name} is not installed")


def _with_required(names: set[str]) -> set[str]:
    """The names, and those of required packages that are installed; what only an extra needs is left out."""
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement, _, condition = line.partition(";")
            required = re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
            if "extra" not in condition and required not in found and _is_installed(required):
                names.add(required)
    return found


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _own_size(name: str) -> int:
    """Bytes of a package's files; gradloom's own, which may be installed in place, lie where it is imported from."""
    if name == "gradloom":
        return sum(path.stat().st_size for path in Path(gradloom.__file__).parent.rglob("*.py"))
    paths = (Path(str(file.locate())) for file in metadata.files(name) or [])
    return sum(path.stat().st_size for path in paths if path.is_file())


def show(found: Found) -> str:
    """One table."""
    return by_system(found, "MB", 1e-6)


def goals(found: Found) -> list[Goal]:
    """None was set."""
    return []
