"""How long until the first step is done, from nothing?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.fresh import first_run, run_python
from benchmarks.measured import Found, Goal, Measured, at_most, median
from benchmarks.parts import vision
from benchmarks.parts.steps import MEDIUM, NETWORKS
from benchmarks.rounds import say
from benchmarks.systems import IMAGES, NATIVE
from benchmarks.tables import by_system, number
from benchmarks.work import Images, Network
from benchmarks.worker import Failed

TITLE = "Start"
NOTE = """Import: the statement alone, in a process that has imported nothing. First step: from the start of the process
to the end of the first step of the MLP 784-256-128-10, batch 128, the interpreter's start included; gradloom through
`Trainer.fit`. With an empty cache everything is compiled; with a full one a process before has done the same work.
The UNet's is that of base 16 with 4 images of 128x128. All packages have their bytecode on disk, as they have once
installed."""

COLD, WARM = "gradloom native, empty cache", "gradloom native, full cache"
IMPORTS = {
    NATIVE: "import gradloom",
    "PyTorch": "import torch",
    "JAX": "import jax",
    "Keras on JAX": "import keras",
    "scikit-learn": "from sklearn.neural_network import MLPClassifier",
    "NumPy": "import numpy",
}
IMPORT, FIRST = "Import", "Process start to first step"


@dataclass(frozen=True)
class Start:
    """A way to start.

    Attributes:
        system: by name.
        cache: the environment variable of the folder of compiled programs.
        warm: whether the folder is full already.
        settings: further environment variables.
    """

    system: str
    cache: str = "GRADLOOM_CACHE"
    warm: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


_JAX_CACHE = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
STARTS = {
    COLD: Start(NATIVE),
    WARM: Start(NATIVE, warm=True),
    "PyTorch eager": Start("PyTorch eager"),
    "torch.compile, empty cache": Start("torch.compile, fused Adam", "TORCHINDUCTOR_CACHE_DIR"),
    "torch.compile, full cache": Start("torch.compile, fused Adam", "TORCHINDUCTOR_CACHE_DIR", warm=True),
    "JAX, jitted step": Start("JAX, jitted step"),
    "JAX, jitted step, full cache": Start("JAX, jitted step", "JAX_COMPILATION_CACHE_DIR", True, _JAX_CACHE),
    "Keras on JAX, fit": Start("Keras on JAX, fit"),
    "scikit-learn": Start("scikit-learn"),
}
FIRST_UNET = "Process start to first step of a UNet"
_ONE_STEP: dict[str, Network | Images] = {
    FIRST: replace(NETWORKS[MEDIUM], steps=1),
    FIRST_UNET: replace(vision.NETWORKS[vision.UNET], steps=1),
}


def measure(
    rounds: int,
    imports: Mapping[str, str] = IMPORTS,
    starts: Mapping[str, Start] = STARTS,
    networks: Mapping[str, Network | Images] = _ONE_STEP,
) -> Found:
    """Processes in turn; the first import of each, which does not find its files in memory, does not count."""
    count = min(rounds, 3)
    imported = _in_turn({name: _import(statement) for name, statement in imports.items()}, count, discard=1)
    found = {IMPORT: imported}
    for title, network in networks.items():
        able = {name: start for name, start in starts.items() if title != FIRST_UNET or start.system in IMAGES}
        with tempfile.TemporaryDirectory() as folder:
            # Numbers for names: compilers are called with these paths, and not all can take a space.
            folders = (Path(folder, str(i)) for i in range(len(able)))
            attempts = {name: _start(start, network, f) for f, (name, start) in zip(folders, able.items())}
            found[title] = _in_turn(attempts, count, discard=0)
    return found


def _in_turn(attempts: Mapping[str, Callable[[], float]], rounds: int, discard: int) -> dict[str, Measured]:
    seconds: dict[str, list[float]] = {name: [] for name in attempts}
    problems: dict[str, str] = {}
    for turn in range(rounds + discard):
        for name, attempt in attempts.items():
            try:
                seconds[name].append(attempt())
                say(f"  {turn + 1}/{rounds + discard}  {name}: {seconds[name][-1]:.3f} s")
            except Failed as problem:
                problems[name] = str(problem)
                say(f"  {name}: {problem}")
    return {name: Measured(tuple(seconds[name][discard:]), problems.get(name, "")) for name in attempts}


def _import(statement: str) -> Callable[[], float]:
    timed = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return lambda: float(run_python(["-c", timed], {"KERAS_BACKEND": "jax"}))


def _start(start: Start, network: Network | Images, folder: Path) -> Callable[[], float]:
    """A first step with a folder of compiled programs that is empty, or that a process before has filled."""
    calls = 0

    def attempt() -> float:
        nonlocal calls
        calls += 1
        environment = {**start.settings, start.cache: str(folder if start.warm else folder / str(calls))}
        if start.warm and calls == 1:
            first_run(start.system, network, environment)
        return first_run(start.system, network, environment).seconds

    return attempt


def show(found: Found) -> str:
    """A table of imports, and one for each network."""
    steps = {title: row for title, row in found.items() if title != IMPORT}
    return by_system({IMPORT: found[IMPORT]}, "s", 1.0) + "\n\n" + by_system(steps, "s", 1.0, COLD)


def goals(found: Found) -> list[Goal]:
    """From an empty cache, and from a full one."""
    result = []
    for goal, title, network, bounds in ((5, FIRST, MEDIUM, (1.0, 0.4)), (7, FIRST_UNET, vision.UNET, (3.0, 0.8))):
        for name, bound in zip((COLD, WARM), bounds):
            seconds = median(found, title, name)
            text = f"{network}: first step under {bound} s, {name}"
            result.append(at_most(goal, text, seconds, bound, f"{number(seconds)} s"))
    return result
