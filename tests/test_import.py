"""``import gradloom`` stays light: what it loads is checked, not the clock."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *(
        "polars",
        "pandas",
        "pyarrow",
        "sklearn",
        "scipy",
        "typer",
        "rich",
        "click",
        "matplotlib",
        "jinja2",
        "PIL",
        "pooch",
    ),
    *("torch", "jax", "tensorflow", "llvmlite", "ml_dtypes", "onnx", "optuna", "ray", "safetensors"),
}


def loaded(statement: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return {name.split(".")[0] for name in json.loads(found.stdout)}


def test_importing_the_package_loads_nothing_heavy():
    found = loaded("import gradloom")
    assert "numpy" in found
    assert not found & HEAVY


def test_importing_the_package_leaves_the_upper_floors_alone():
    program = "import gradloom, json, sys; print(json.dumps([m for m in sys.modules if m.startswith('gradloom.')]))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = json.loads(found.stdout)
    assert not {"gradloom.executors.native.program", "gradloom.symbolic"} & set(loaded)
    rooms = {name.split(".")[1] for name in loaded}
    assert not rooms & {"nn", "optim", "data", "train", "tune", "cli", "report", "interop"}


@pytest.mark.parametrize("package", ["nn", "optim", "data", "masks", "train", "report"])
def test_the_upper_floors_load_nothing_heavy_either(package: str):
    assert not loaded(f"import gradloom.{package}") & HEAVY - {"safetensors"}


def test_a_computation_that_is_not_compiled_loads_nothing_heavy():
    work = "import gradloom as gl\ngl.grad(lambda x: gl.sum(gl.random.normal(gl.random.key(0), (3,)) * x))(2.0)"
    assert not loaded(work) & HEAVY
