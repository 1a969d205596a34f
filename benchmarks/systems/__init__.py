"""The systems that are compared, by name.  Each file is imported in the processes that need it alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.systems.base import System

NATIVE = "gradloom native"
TORCH_BEST = "PyTorch eager, fused Adam"
JAX_BEST = "JAX, steps in lax.scan"

SYSTEMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    NATIVE: ("gradloom", "Gradloom", {"executor": "native"}),
    "gradloom reference": ("gradloom", "Gradloom", {"executor": "reference"}),
    "PyTorch eager": ("pytorch", "PyTorch", {}),
    TORCH_BEST: ("pytorch", "PyTorch", {"best": True}),
    "torch.compile, fused Adam": ("pytorch", "PyTorch", {"best": True, "compiled": True}),
    "JAX, jitted step": ("jax", "Jax", {}),
    JAX_BEST: ("jax", "Jax", {"scan": True}),
    "Keras on JAX, fit": ("keras", "Keras", {}),
    "Keras on JAX, train_on_batch": ("keras", "Keras", {"by_batch": True}),
    "scikit-learn": ("scikit_learn", "ScikitLearn", {}),
    "HIPS autograd": ("autograd", "Autograd", {}),
    "NumPy by hand": ("by_hand", "ByHand", {}),
    "peak": ("peak", "Peak", {}),
}
"""Module, class and options of each."""

WORKERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "one process": ("gradloom_workers", "GradloomWorkers", {"workers": None}),
    "1 worker": ("gradloom_workers", "GradloomWorkers", {"workers": 1}),
    "2 workers": ("gradloom_workers", "GradloomWorkers", {"workers": 2}),
    "3 workers": ("gradloom_workers", "GradloomWorkers", {"workers": 3}),
}
"""gradloom's trainer and its worker processes, likewise."""

IMAGES = (NATIVE, "PyTorch eager", TORCH_BEST, "torch.compile, fused Adam", "JAX, jitted step")
"""Those that train networks for images."""


def load(name: str) -> System:
    """The system of this name, its library imported."""
    module, kind, options = {**SYSTEMS, **WORKERS}[name]
    return getattr(import_module(f"benchmarks.systems.{module}"), kind)(**options)
