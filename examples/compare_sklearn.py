"""gradloom with no option beside scikit-learn's MLP with no option, on the same test rows.

    python examples/compare_sklearn.py FOLDER [SEEDS]

FOLDER holds titanic-train.csv, adult-train.csv and california-housing.csv; SEEDS is how many splits to compare on (1).
scikit-learn gets the usual pipeline (numbers: median and StandardScaler; categories: most frequent and OneHotEncoder)
and learns from the training and the validation rows together, as it has no use for the latter.  Its MLPRegressor does
not scale the target, which is hard on it, so a last column shows it with the target standardised.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gradloom.cli.prepare import Plan, Prepared, prepare
from gradloom.data.sources import load
from gradloom.data.table import Table
from gradloom.data.target import TargetPipeline

FILES = {
    "titanic-train.csv": "Survived",
    "adult-train.csv": "column_15",
    "california-housing.csv": "median_house_value",
}


def main(folder: Path, seeds: int) -> None:
    print(f"{'file':24}{'seed':>5}{'metric':>10}{'gradloom':>10}{'sklearn':>10}{'scaled y':>10}{'seconds':>14}")
    for name, target in FILES.items():
        for seed in range(seeds):
            started = time.perf_counter()
            ours = gradloom_score(folder / name, target, seed)
            between = time.perf_counter()
            metric = "r2" if "r2" in ours else "accuracy"
            theirs, scaled = sklearn_scores(folder / name, target, seed)
            took = f"{between - started:.0f} and {time.perf_counter() - between:.0f}"
            last = "" if scaled is None else f"{scaled:.4f}"
            print(f"{name:24}{seed:5}{metric:>10}{ours[metric]:10.4f}{theirs:10.4f}{last:>10}{took:>14}", flush=True)


def gradloom_score(path: Path, target: str, seed: int) -> dict[str, float]:
    """Figures of ``gradloom train`` on its test part."""
    with tempfile.TemporaryDirectory() as out:
        command = ["train", str(path), "--target", target, "--seed", str(seed), "--out", out, "--json", "--quiet"]
        done = subprocess.run([sys.executable, "-m", "gradloom", *command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["metrics"]["test"]


def sklearn_scores(path: Path, target: str, seed: int) -> tuple[float, float | None]:
    """The score of scikit-learn on the same test rows, and for regression that with a standardised target."""
    table = load(path)
    assert isinstance(table, Table)
    prepared = prepare(table, Plan(target, seed=seed))
    table = table.take(TargetPipeline.present(table[target]))
    frame = as_frame(table.drop([target]))
    truth = table[target].values
    regression = prepared.target.task == "regression"
    if not regression:
        truth = truth.astype(str)
    model = MLPRegressor(random_state=0) if regression else MLPClassifier(random_state=0)
    plain = score(frame, truth, prepared, model)
    if not regression:
        return plain, None
    return plain, score(frame, truth, prepared, TransformedTargetRegressor(model, transformer=StandardScaler()))


def score(frame: pd.DataFrame, truth: np.ndarray, prepared: Prepared, model: Any) -> float:
    """Accuracy or R² of a model behind the usual preprocessing."""
    numbers = frame.select_dtypes("number").columns
    others = frame.columns.difference(numbers)
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (
                "categories",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
                others,
            ),
        ]
    )
    learn = np.concatenate([prepared.rows.train, prepared.rows.validation])
    test = prepared.rows.test
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not converge within its 200 epochs
        fitted = make_pipeline(columns, model).fit(frame.iloc[learn], truth[learn])
    return float(fitted.score(frame.iloc[test], truth[test]))


def as_frame(table: Table) -> pd.DataFrame:
    """The columns as pandas would read them."""
    frame = pd.DataFrame({name: pd.Series(column.values) for name, column in table.columns.items()})
    for name, column in table.columns.items():
        if column.kind == "identifier":
            frame[name] = pd.to_numeric(frame[name])
    texts = frame.select_dtypes(exclude="number").columns
    return frame.assign(**{name: frame[name].astype(object).where(frame[name].notna(), np.nan) for name in texts})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
