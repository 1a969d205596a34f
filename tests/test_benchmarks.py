"""The benchmarks without peers: small parts of gradloom alone, and the tables and goals made from figures."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from benchmarks import networks, report
from benchmarks.measured import Found, Measured, against, ahead, best, from_json, middle, to_json
from benchmarks.parts import (
    PARTS,
    compiling,
    convolutions,
    derivatives,
    disk,
    fit,
    matmul,
    memory,
    predict,
    startup,
    steps,
    sweep,
    vision,
    workers,
)
from benchmarks.rounds import _disagreements, interleaved
from benchmarks.systems import JAX_BEST, NATIVE, TORCH_BEST
from benchmarks.tables import by_system
from benchmarks.work import Convolution, Derivative, Images, Network, Product
from benchmarks.worker import _runs

TINY = Network((5, 8, 3), 4, 3)
HAND = "NumPy by hand"


def found(**rows: dict[str, float]) -> Found:
    """Measurements as if every round had been alike."""
    return {work: {system: Measured((value,) * 3) for system, value in row.items()} for work, row in rows.items()}


def test_systems_take_turns_and_agree_on_the_work():
    trained = steps.measure(2, {"net": TINY}, (NATIVE, HAND))["net"]
    multiplied = matmul.measure(1, {"product": Product(3, 4, 5, 2, "left")}, (NATIVE, HAND))["product"]
    for measured in (*trained.values(), *multiplied.values()):
        assert not measured.problem
        assert measured.median > 0
    assert len(trained[NATIVE].values) == 2


@pytest.mark.parametrize(
    "asked",
    [
        Derivative("gradient", (3, 4, 2), 5),
        Derivative("per example", (3, 4, 2), 5),
        Derivative("hessian", (3, 1), 5),
        Derivative("hessian vector", (3, 4, 2), 5),
        Derivative("recurrent", (3, 4), 5, 6),
    ],
    ids=lambda asked: asked.name,
)
def test_derivatives_are_measured(asked: Derivative):
    for measured in derivatives.measure(1, {"it": asked}, (NATIVE, "gradloom reference"))["it"].values():
        assert not measured.problem
        assert measured.median > 0


BOTH = (NATIVE, "gradloom reference")


def test_networks_for_images_are_trained_alike():
    for measured in vision.measure(1, {"net": Images("LeNet-5", (28, 28, 1), 3, 2, 2)}, BOTH)["net"].values():
        assert not measured.problem
        assert measured.median > 0


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_are_measured_in_all_directions(transposed: bool):
    works = {way: Convolution(2, (5, 5, 3), (4, 3, 2, 1, 1), way, 2, transposed) for way in convolutions.DIRECTIONS}
    for row in convolutions.measure(1, works, BOTH).values():
        assert all(m.median > 0 and not m.problem for m in row.values())


@pytest.mark.parametrize(
    ("title", "count"),
    [(vision.LENET, 61_706), (vision.RESNET, 269_722), (vision.WIDE, 2_748_890), (vision.UNET, 481_762)],
)
def test_networks_have_as_many_parameters_as_their_papers_say(title: str, count: int):
    assert sum(a.size for layer in vision.NETWORKS[title].parameters() for a in layer) == count


def test_every_convolution_of_the_networks_is_measured():
    shapes = {title.rpartition("; ")[0] for title in convolutions.CONVOLUTIONS}
    assert len(convolutions.CONVOLUTIONS) == len(shapes) * len(convolutions.DIRECTIONS)
    assert "128 x 32x32x16 to 32, 3x3 / 2" in shapes
    assert "4 x 16x16x128 to 64, 2x2 / 2 transposed" in shapes
    wide = convolutions.CONVOLUTIONS["64 x 32x32x16 to 64, 1x1; forward"]
    assert wide.flops == 2 * 64 * 32 * 32 * 16 * 64
    up = convolutions.CONVOLUTIONS["16 x 16x16x64 to 32, 4x4 / 2 transposed; forward"]
    assert (up.small, up.large, up.kernel) == ((16, 16, 16, 64), (16, 32, 32, 32), (4, 4, 32, 64))


def test_a_layers_shape_follows_from_its_inputs():
    joined = networks.Join((networks.Pool(), networks.Up(5)))
    assert networks.result(joined, (8, 8, 3)) == (8, 8, 8)
    assert networks.result(networks.Conv(4, 5, stride=2, padding=0), (11, 11, 3)) == (4, 4, 4)


def test_what_cannot_be_measured_is_named():
    row = interleaved({"net": TINY}, {HAND: (HAND, "fit"), "nobody": ("peak", "train")}, rounds=1)["net"]
    assert all(math.isnan(m.median) and "NotImplementedError" in m.problem for m in row.values())
    assert "not measured: NotImplementedError" in steps.show({"net": row})


class Sleeper:
    """A job of which every run takes some time."""

    units, seconds = 1, None

    def __init__(self, seconds: float) -> None:
        self.length = seconds

    def run(self) -> None:
        time.sleep(self.length)


def test_long_runs_are_not_repeated():
    assert len(_runs(Sleeper(0.0), 3, 60.0)) == 3
    assert len(_runs(Sleeper(0.01), 3, 0.005)) == 1


def test_ways_side_by_side_are_compared_turn_by_turn():
    measured = fit.measure(1, {"net": TINY}, turns=2)
    assert [len(m.values) for m in measured["net"].values()] == [2, 2]
    assert "%" in fit.show(measured)
    broken = fit.measure(1, {"net": Network((5,), 4, 3)}, turns=1)
    assert all("Error" in m.problem for m in broken["net"].values())
    assert "not measured" in fit.show(broken)


def test_a_ratio_is_that_of_neighbours():
    slower = Measured((2.0, 4.0, 6.0, 9.0, 5.0)), Measured((1.0, 2.0, 3.0, 3.0, 5.0))  # medians say 5 / 3
    assert middle(against(*slower)) == (2.0, 2.0, 2.0)
    assert middle([1.0, 2.0, 3.0, 4.0, 9.0]) == (3.0, 2.0, 4.0)
    assert middle([1.5]) == (1.5, 1.5, 1.5)
    row = {"work": {"peer": slower[0], NATIVE: slower[1], "other": Measured((9.0,) * 5), "broken": Measured()}}
    assert ahead(row, "work", NATIVE, "peer") == 2.0
    assert best(row, "work", NATIVE, ("broken", "other", "peer")) == ("peer", 2.0)
    assert best(row, "work", NATIVE, ("broken",))[0] == ""
    assert "| peer | 5 | 2 - 9 | 2.00 |" in by_system(row, "s", 1.0)


def test_worker_processes_are_measured_beside_what_is_foreseen():
    measured = workers.measure(1, {"net": TINY})
    assert len(measured["net"]) == 8
    assert all(m.median > 0 and not m.problem for m in measured["net"].values())
    assert workers.show(measured).count("\n| ") == 6
    times = {"one process": 2.0, "1 worker": 3.0, "2 workers": 1.0, "3 workers": 4.0}
    wrong = {**times, **{f"{name}, foreseen": time for name, time in zip(times, (1.0, 2.0, 3.0, 4.0))}}
    right = {**times, **{f"{name}, foreseen": time for name, time in times.items()}}
    lines = workers.show(found(**{steps.MEDIUM: wrong})).splitlines()
    assert lines[-4] == "| one process | 2000 (2000 - 2000) | 64 | 1.00 | 1000 | 1.00 |  |"
    assert lines[-2] == "| 2 workers | 1000 (1000 - 1000) | 128 | 2.00 | 3000 | 0.33 | will not help |"
    assert "| 2 workers | 1000 (1000 - 1000) |  | 2.00 | 1000 | 2.00 | faster |" in workers.show(found(net=right))
    assert [goal.met for goal in workers.goals(found(net=wrong, other=right))] == [False, True]


def test_who_does_other_work_is_named():
    assert _disagreements({"a": 1.0, "b": 1.0001, "c": 1.2}) == {"c": "did other work than the rest: 1.2, not 1.0001"}
    assert _disagreements({}) == {}


def test_a_first_run_is_measured_from_nothing(tmp_path: Path):
    grown = compiling.measure(1, layers=(2,), systems=(HAND,))
    held = memory.measure(1, {"net": TINY}, (HAND,))
    started = startup.measure(1, {"NumPy": "import numpy"}, {startup.COLD: startup.Start(HAND)}, {startup.FIRST: TINY})
    assert 0 < grown["2 layers"][HAND].median < started[startup.FIRST][startup.COLD].median
    assert held["net"][HAND].median > 10e6
    assert "### Import" in startup.show(started)
    assert "2 layers" in compiling.show(grown)


def test_installed_packages_are_counted():
    sizes = disk.measure(1, {"NumPy": "numpy", "nothing": "no-such-package"})[disk.INSTALLED]
    assert sizes["NumPy"].median > 1e6
    assert "not installed" in sizes["nothing"].problem


def test_goals_follow_from_the_figures():
    fast = {NATIVE: 1.0, TORCH_BEST: 20.0, "PyTorch eager": 30.0, JAX_BEST: 1.5}
    networks = found(**{steps.TINY: fast, steps.MEDIUM: {**fast, JAX_BEST: 0.9}})
    assert [g.met for g in steps.goals(networks)] == [True, True, True, False]
    points = found(a={NATIVE: 1.0, JAX_BEST: 0.95}, b={NATIVE: 1.0, JAX_BEST: 2.0})
    assert sweep.goals(points)[0].met
    assert "- a: JAX, steps in lax.scan takes 0.95" in sweep.show(points)
    assert not sweep.goals(found(a={NATIVE: 1.0, JAX_BEST: 0.8}))[0].met
    assert [g.met for g in fit.goals(found(n={fit.BARE: 1.0, fit.FIT: 1.04}))] == [True]
    assert [g.met for g in fit.goals({"n": dict.fromkeys(fit.METHODS, Measured(problem="it broke"))})] == [None]
    assert [g.met for g in predict.goals(found(**{steps.MEDIUM: {NATIVE: 60e-6}}))] == [False]
    starts = found(**{startup.FIRST: {startup.COLD: 0.9, startup.WARM: 0.5}})
    assert [g.met for g in startup.goals(starts)] == [True, False, None, None]
    products = found(**{title: {NATIVE: 1.0, HAND: 0.9, matmul.PEAK: 0.8} for title in matmul.PRODUCTS})
    assert all(g.met for g in matmul.goals(products))
    shapes = found(**{title: {NATIVE: 1.0, convolutions.ONEDNN: 0.95} for title in convolutions.CONVOLUTIONS})
    assert [g.met for g in convolutions.goals(shapes)] == [True, False]
    assert "0 of" in convolutions.show(shapes)
    images = found(**{title: {NATIVE: 1.0, TORCH_BEST: 2.6, "JAX, jitted step": 9.0} for title in vision.NETWORKS})
    assert [g.met for g in vision.goals(images)] == [False, True, True, True, True, True]
    assert [g.met for g in memory.goals(found(**{memory.RESNET: {NATIVE: 1.0, TORCH_BEST: 0.9}}))] == [False]
    beside = found(**{title: {NATIVE: 1.0, "JAX, jitted step": 1.1, HAND: 0.5} for title in derivatives.WORKS})
    assert all(g.met for g in derivatives.goals(beside))


@pytest.mark.parametrize(("power", "met"), [(1.0, True), (1.5, False)])
def test_growth_is_the_exponent_of_compile_time(power: float, met: bool):
    grown = found(**{f"{n} layers": {NATIVE: 0.01 * n**power} for n in compiling.LAYERS})
    (goal,) = compiling.goals(grown)
    assert goal.met is met
    assert f"power {power:.2f}" in goal.got


def test_goals_that_were_not_measured_say_so():
    for name, part in PARTS.items():
        assert all(goal.met is None for goal in part.goals({})), name


def test_results_are_kept_part_by_part(tmp_path: Path):
    predicted = {steps.MEDIUM: {NATIVE: Measured((1e-5, 2e-5, 3e-5)), "JAX, jitted step": Measured(problem="broke")}}
    assert from_json(json.loads(json.dumps(to_json(predicted)))) == predicted
    report.keep("predict", predicted, 3, 60.0, tmp_path)
    report.keep("fit", found(net={fit.BARE: 1.0, fit.FIT: 1.2}), 3, 60.0, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| gradloom native | 20 | 10 - 30 | 1.00 |" in text
    assert "| JAX, jitted step | not measured: broke |  |  |" in text
    assert "| 6 | net: `fit` costs at most 5% over the bare program | 20% (20% - 20%) | **no** |" in text
    assert report.machine() in text
