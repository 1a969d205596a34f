"""``gradloom train`` with no option beside scikit-learn's MLP with no option, on real tables and the same test rows.

Only the two small tables; ``examples/compare_sklearn.py`` has all three, and several seeds.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "../shared/data/tabular"


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("compare_sklearn", ROOT / "examples" / "compare_sklearn.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "metric", "margin"), [("titanic-train.csv", "accuracy", 0.005), ("california-housing.csv", "r2", 0.02)]
)
def test_at_least_as_good_as_scikit_learn(compare: ModuleType, name: str, metric: str, margin: float):
    path = TABLES / name
    if not path.is_file():
        pytest.skip(f"{name} is not among the shared data")
    ours = compare.gradloom_score(path, compare.FILES[name], 0)[metric]
    theirs = max(score for score in compare.sklearn_scores(path, compare.FILES[name], 0) if score is not None)
    assert ours >= theirs - margin
