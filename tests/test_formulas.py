"""``describe()``: every class has a formula, and the formula, evaluated by NumPy, gives what the class computes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import gradloom as gl
from gradloom import nn, optim
from gradloom.equations import Described, Equations, sides
from gradloom.errors import UnsupportedError
from gradloom.nn import init, losses, metrics
from gradloom.nn import regularizers as reg
from gradloom.optim import schedules

# Evaluating ---------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    **{name: getattr(np, name) for name in ("sqrt", "exp", "log", "abs", "floor", "tanh", "cos")},
    "pi": np.pi,
    "Phi": special.ndtr,
    "norm": np.linalg.norm,
    "softmax": special.softmax,
    "sum": lambda body, index: np.sum(body),
    "min": lambda *x: np.minimum(*x),
    "max": lambda *x: np.maximum(*x) if len(x) == 2 else np.max(*x),
}


def run(said: Equations, **known: Any) -> dict[str, Any]:
    """All names after the lines, one after the other; "x[i]" on the left names x."""
    found = {**FUNCTIONS, **dict.fromkeys("ijkp", ...), **said.values, **known}
    for line in said.lines:
        left, _, right = sides(line)
        function = re.fullmatch(r"(\w+)\(k\)", left)
        code = f"lambda k: {right}" if function else right
        found[function[1] if function else left.split("[")[0]] = eval(code, found)
    return found


POINTS = np.array([-2.5, -0.5, 0.0, 0.5, 3.0])


# Contract -----------------------------------------------------------------------------------------------------------

DENSE = nn.Dense(2)
EXAMPLES: list[Described] = [
    *optim.NAMES.values(),
    optim.Composed(optim.ScaleByLearningRate(0.1)),
    *(optim.Chain((optim.ScaleByAdam(),)), optim.Prefixed("a", optim.ScaleByRms()), optim.ScaleByAdaDelta()),
    *(optim.ScaleByAdam(), optim.ScaleByRms()),
    *(optim.ClipByNorm(1.0), optim.ClipByValue(1.0), optim.AddDecayedWeights(0.1, False), optim.ScaleByAdaGrad()),
    *(
        optim.ScaleByMomentum(),
        optim.ScaleByName("bias", 2.0),
        optim.ScaleByLearningRate(0.1),
    ),
    *(schedules.Constant(0.1), schedules.StepDecay(0.1), schedules.Exponential(0.1), schedules.InverseTime(0.1)),
    *(schedules.Linear(0.1, 0.01, 5), schedules.Cosine(0.1, 5), schedules.WarmUp(0.1, 3)),
    schedules.Piecewise((2, 4), (0.3, 0.2, 0.1)),
    *(schedules.Polynomial(0.1, 5), schedules.InverseSquareRoot(0.1), schedules.Cyclical(0.1, 0.2)),
    *(schedules.OneCycle(0.1, 9), optim.AddNoise(), nn.GaussianNoise(), nn.NoisyDense(2), nn.DropConnect(2)),
    *(nn.SpatialDropout(), losses.Custom(gl.subtract), losses.CrossEntropy(groups=(2, 3))),
    *(reg.L1(), reg.L1(proximal=True), reg.L2(scale="half"), reg.Elastic(), reg.Elastic(proximal=True)),
    *(reg.MaxNorm(), reg.UnitNorm(), reg.L1Ball(), reg.Box(-1.0, 1.0), reg.NonNegative()),
    *losses.NAMES.values(),
    *metrics.NAMES.values(),
    *(rule for rule in init.NAMES.values() if isinstance(rule, Described)),
    *(nn.Sequential(DENSE, nn.ReLU()), nn.Residual(DENSE, activation="relu"), nn.Join(DENSE), nn.PadChannels(4), DENSE),
    nn.Branches(DENSE, nn.Flatten(), shapes=[(3,), (2, 2)]),
    *(nn.Flatten(), nn.Dropout(), nn.Embedding(3, 2), nn.Activation("tanh"), nn.Conv(3, 3), nn.ConvTranspose(3, 3)),
    *(nn.MaxPool(), nn.AvgPool(), nn.MedianPool(), nn.LpPool(), nn.GlobalAvgPool(), nn.GlobalMaxPool()),
    *(nn.AdaptiveAvgPool(), nn.AdaptiveMaxPool(), nn.Upsample(), nn.BatchNorm(), nn.LayerNorm(), nn.GroupNorm()),
    *(nn.LocalResponseNorm(), nn.Normalize([0.0], [1.0]), nn.Whitening(), nn.Rescale(2.0)),
    *(nn.Identity(), nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh()),
    *(nn.Softplus(), nn.Softmax(), nn.Step(), nn.Sign()),
]


def test_every_class_of_the_registries_is_among_the_examples() -> None:
    registered = {
        *(*nn.registry.LAYERS, *nn.registry.INITIALIZERS, *losses._TABLE.values(), *metrics.CLASSES),
        *reg.REGULARIZERS,
        *(*optim.registry.OPTIMIZERS, *optim.registry.PIECES, *optim.registry.SCHEDULES),
    }
    assert registered <= {type(example) for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_text_and_latex(example: Described) -> None:
    said = example.describe()
    assert said.text == str(said) == repr(said)
    assert "\n" not in said.latex
    assert said.latex.count("{") == said.latex.count("}")
    assert len(re.findall(r"\\left(?!arrow)", said.latex)) == said.latex.count(r"\right")
    assert said._repr_latex_() == f"$${said.latex}$$"
    for name, value in said.values.items():
        assert (f"{value:g}" if isinstance(value, float) else str(value)) in said.text
        assert any(re.search(rf"(?<!\w){name}(?!\w)", line) for line in said.lines) or name == "eta", name


def test_a_class_of_ones_own_without_a_formula_says_so() -> None:
    class Own(nn.Module):
        pass

    with pytest.raises(UnsupportedError, match="the class has a formula; got Own"):
        Own().describe()


def test_how_it_reads() -> None:
    assert optim.Adam(1e-3).describe().text.splitlines() == [
        "g = ∇L(θ)",
        "m ← β₁·m + (1 - β₁)·g",
        "v ← β₂·v + (1 - β₂)·g²",
        "m̂ = m / (1 - β₁ᵗ)",
        "v̂ = v / (1 - β₂ᵗ)",
        "θ ← θ - η·m̂ / (√v̂ + ε)",
        "with β₁ = 0.9, β₂ = 0.999, ε = 1e-08, η = 0.001",
    ]
    last = r"\theta &\leftarrow \theta - \frac{\eta \, \hat{m}}{\sqrt{\hat{v}} + \epsilon}"
    assert last in optim.Adam().describe().latex
    assert nn.Dense(3, activation="relu").describe().text.splitlines()[:2] == ["s = x W + b", "y = max(s, 0)"]


# Formulas against what they describe ----------------------------------------------------------------------------------

OPTIMIZERS = [
    optim.SGD(0.1),
    optim.SGD(0.1, 0.9),
    optim.SGD(0.1, 0.9, momentum_form="inside", weight_decay=0.2),
    optim.SGD(0.1, 0.9, momentum_form="ewma"),
    *(optim.SGD(0.1, 0.9, True, momentum_form=form) for form in ("inside", "outside")),
    *(optim.SGD(0.1, 0.9, "reparametrised", momentum_form=form) for form in ("inside", "outside", "ewma")),
    optim.SGD(schedules.Linear(0.1, 0.01, 3), 0.5, clip_norm=0.7),
    optim.SGD(schedules.WarmUp(schedules.Cosine(0.1, 4), 2), clip_value=0.7),
    *(optim.AdaGrad(0.1, eps_mode=mode, eps=0.01) for mode in ("inside", "outside", "none")),
    optim.AdaGrad(0.1, 0.9, initial=0.3),
    optim.AdaDelta(),
    optim.AdaDelta(rho_updates=0.5),
    *(optim.RMSProp(0.1, momentum=m, eps=0.01, eps_mode="outside") for m in (0.0, 0.5)),
    *(optim.Adam(0.1, eps=0.01, eps_mode=mode) for mode in ("inside", "outside", "none", "uncorrected")),
    *(optim.Adam(0.1, bias_correction=mode, squares="smoothed") for mode in (False, True, "recursive")),
    optim.Adam(0.1, weight_decay=0.2, clip_norm=0.5),
    optim.AdamW(0.1, weight_decay=0.2),
    optim.Composed(optim.chain(optim.ScaleByName("w", 2.0), optim.ScaleByLearningRate(0.1))),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimisers(optimizer: optim.FirstOrder) -> None:
    w = {"w": gl.tensor(np.array([1.0, -0.4, 2.0]))}
    state, said = optimizer.init(w), optimizer.describe()
    loss = lambda p: gl.sum(p["w"] * p["w"] + gl.cos(p["w"]))  # noqa: E731
    begin = getattr(optimizer, "initial", 0.0)
    known = {"theta": w["w"].numpy(), **dict.fromkeys(("m", "v", "s", "d"), 0.0), "G": begin}
    known["gradient"] = lambda x: 2 * x - np.sin(x)
    for k in range(4):
        w, state, _ = optimizer.step(lambda p: (loss(p), None), w, state)
        known["eta_k"] = known.get("eta_k", 0.0)
        found = run(said, **known, k=k, t=k + 1)
        np.testing.assert_allclose(w["w"].numpy(), found["theta"], rtol=1e-12, atol=1e-14)
        known.update({name: found[name] for name in known})


SCHEDULES = [
    *(schedules.Constant(0.1), schedules.StepDecay(0.1, 0.5, 3), schedules.Exponential(0.1, 0.5, 3)),
    *(schedules.InverseTime(0.1, 0.2), schedules.Linear(0.1, 0.01, 5), schedules.Cosine(0.1, 5, 0.02)),
    *(schedules.Cosine(0.1, 5, restarts=True), schedules.WarmUp(schedules.StepDecay(0.1, 0.5, 2), 3, 0.01)),
    *(schedules.WarmUp(0.1, 3), schedules.Piecewise((2, 4), (0.3, 0.2, 0.1))),
    *(schedules.Polynomial(0.1, 5, 1.5, 0.01), schedules.InverseSquareRoot(0.1, 4)),
    *(schedules.Cyclical(0.1, 0.2, 2, 0.5), schedules.OneCycle(0.1, 7, 0.02, 0.01, 0.4)),
    schedules.OneCycle(0.1, 7, 0.02, rise=1.0),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules(schedule: optim.Schedule) -> None:
    found = [run(schedule.describe(), k=k)["eta_k"] for k in range(9)]
    np.testing.assert_allclose(found, schedule(np.arange(9)).numpy(), rtol=1e-12, atol=1e-15)


ELEMENTWISE = [
    *(nn.Identity(), nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(0.5), nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.Softplus()),
    *(nn.GELU(form=form) for form in ("exact", "tanh", "sigmoid")),
    *(nn.Step(), nn.Step(at_zero=0.5), nn.Sign(), nn.Sign(at_zero=0), nn.Activation("elu"), nn.Rescale(2.5)),
]


@pytest.mark.parametrize("layer", ELEMENTWISE, ids=repr)
def test_elementwise_layers(layer: nn.Module) -> None:
    found = [run(layer.describe(), x=float(x))["y"] for x in POINTS]
    np.testing.assert_allclose(found, layer(gl.tensor(POINTS)).numpy(), rtol=1e-12, atol=1e-14)


RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 3))
CLASSES = np.array([2, 0, 1, 1, 0, 2])
YES = np.array([1.0, 0, 1, 1, 0, 0])
WEIGHTS = np.array([1.0, 2, 0.5, 1, 3, 1])

CLASS_LOSSES = [
    *(losses.CrossEntropy(), losses.CrossEntropy(label_smoothing=0.1), losses.Focal(), losses.Focal(0.0, None)),
    *(losses.Focal(1.5, (0.2, 0.3, 0.5)), losses.CrossEntropy(reduction="sum")),
]
BINARY_LOSSES = [losses.BinaryCrossEntropy(), losses.Focal(binary=True), losses.Focal(alpha=None, binary=True)]
NUMBER_LOSSES = [
    *(losses.SquaredError(), losses.SquaredError("half"), losses.SquaredError("sum"), losses.AbsoluteError()),
    *(losses.Huber(0.5), losses.SquaredError(reduction="sum")),
]


def reduced(said: Equations, examples: list[Mapping[str, Any]]) -> float:
    """The last line, of the losses of single examples."""
    each = [run(Equations(said.lines[:-1], said.values), **example)["l"] for example in examples]
    return run(Equations(said.lines[-1:]), l=np.array(each), w=WEIGHTS)["L"]


@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=repr)
def test_losses_of_classes(loss: losses.Loss) -> None:
    examples = [{"z": z, "y": np.eye(3)[c], "K": 3} for z, c in zip(X, CLASSES)]
    said = loss.describe()
    if "alpha" in said.values and isinstance(said.values["alpha"], tuple):
        said = Equations(said.lines, {**said.values, "alpha": np.array(said.values["alpha"])})
    assert loss(X, CLASSES, WEIGHTS).item() == pytest.approx(reduced(said, examples), rel=1e-12)


@pytest.mark.parametrize("loss", BINARY_LOSSES, ids=repr)
def test_losses_of_yes_and_no(loss: losses.Loss) -> None:
    examples = [{"z": z, "y": y} for z, y in zip(X[:, 0], YES)]
    assert loss(X[:, 0], YES, WEIGHTS).item() == pytest.approx(reduced(loss.describe(), examples), rel=1e-12)


@pytest.mark.parametrize("loss", NUMBER_LOSSES, ids=repr)
def test_losses_of_numbers(loss: losses.Loss) -> None:
    examples = [{"y_hat": a, "y": t} for a, t in zip(X[:, 0], X[:, 1])]
    if loss.describe().lines[0].startswith("l = sum"):
        examples = [{key: np.array([value]) for key, value in example.items()} for example in examples]
    assert loss(X[:, 0], X[:, 1], WEIGHTS).item() == pytest.approx(reduced(loss.describe(), examples), rel=1e-12)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("kind", [losses.Dice, losses.IoU, losses.Tversky])
def test_losses_of_regions(kind: type[losses.OverlapLoss], squared: bool) -> None:
    loss = kind(0.5, binary=True, squared=squared)
    masks = (RNG.random((6, 3)) > 0.5).astype(float)
    examples = [{"z": z, "g": g} for z, g in zip(X, masks)]
    assert loss(X, masks, WEIGHTS).item() == pytest.approx(reduced(loss.describe(), examples), rel=1e-12)


@pytest.mark.parametrize("metric", [metrics.MSE(), metrics.RMSE(), metrics.MAE(), metrics.R2()], ids=repr)
def test_metrics_of_numbers(metric: metrics.StreamingMetric[float]) -> None:
    said = metric.describe()
    name = sides(said.lines[-1])[0]
    found = run(said, y=X[:, 1], y_hat=X[:, 0], w=WEIGHTS)[name]
    assert metric.compute(X[:, 0], X[:, 1], WEIGHTS) == pytest.approx(found, rel=1e-12)


AVERAGES = [metrics.Precision(), metrics.Recall(), metrics.F1(), metrics.IoU(), metrics.MeanIoU(), metrics.Dice()]


@pytest.mark.parametrize("metric", AVERAGES, ids=repr)
def test_metrics_of_classes(metric: metrics.StreamingMetric[float]) -> None:
    scores = []
    for k in range(3):
        said = metric.describe()
        indexed = Equations(tuple(re.sub(r"\b([TPA])\[k\]", r"\1", line) for line in said.lines))
        scores.append(run(indexed, c=CLASSES, c_hat=X.argmax(1), w=WEIGHTS, k=k)["s"])
    assert metric.compute(X, CLASSES, WEIGHTS) == pytest.approx(np.mean(scores), rel=1e-12)


@pytest.mark.parametrize("metric", [metrics.Accuracy(), metrics.ErrorRate(), metrics.TopK(2)], ids=repr)
def test_metrics_that_count(metric: metrics.StreamingMetric[float]) -> None:
    said = metric.describe()
    places = (X[np.arange(6), CLASSES][:, None] < X).sum(1) + 1
    found = run(said, c=CLASSES, c_hat=X.argmax(1), r=places, w=WEIGHTS)[sides(said.lines[-1])[0]]
    assert metric.compute(X, CLASSES, WEIGHTS) == pytest.approx(found, rel=1e-12)


def test_confusion_and_area() -> None:
    counted = metrics.ConfusionMatrix().compute(X, CLASSES, WEIGHTS)
    said = metrics.ConfusionMatrix().describe()
    for a, b in np.ndindex(3, 3):
        found = run(said, c=CLASSES, c_hat=X.argmax(1), w=WEIGHTS, a=a, b=b)["C"]
        assert counted[a, b] == pytest.approx(found, abs=1e-12)
    p, n = X[YES == 1, 0], X[YES == 0, 0]
    area = run(metrics.RocAuc().describe(), p=p[:, None], n=n[None], N_p=len(p), N_n=len(n))["A"]
    assert metrics.RocAuc().compute(X[:, 0], YES) == pytest.approx(area, rel=1e-12)


# Layers -------------------------------------------------------------------------------------------------------------


def weights_of(layer: nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """The layer's parameters, random and in float64."""
    layer.initialize(x)
    made = {name: gl.tensor(RNG.normal(size=p.shape)) for name, p in layer.parameters().items()}
    layer.load(made, {name: s.astype("float64") for name, s in layer.state().items()})
    return {name: p.numpy() for name, p in made.items()}


@pytest.mark.parametrize("layer", [nn.Dense(2), nn.Dense(2, bias=False, activation="tanh")], ids=repr)
def test_dense(layer: nn.Module) -> None:
    p = weights_of(layer, X)
    found = run(layer.describe(), x=X, W=p["weight"], b=p.get("bias"))["y"]
    np.testing.assert_allclose(layer(X).numpy(), found, rtol=1e-12)


LINE = RNG.normal(size=(9, 4))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation": 2}, {"activation": "silu", "bias": False}])
def test_convolution(flip: bool, options: dict[str, Any]) -> None:
    layer = nn.Conv(3, 3, padding="valid", flip=flip, **options)
    weights = weights_of(layer, LINE[None])
    y = layer(LINE[None]).numpy()[0]
    said = layer.describe()
    sizes = {name: int(value) for name, value in said.values.items()}
    p, i = np.arange(3)[:, None], np.arange(4)[None]
    for q, o in np.ndindex(y.shape):
        known = {"x": LINE, "W": weights["weight"], "b": weights.get("bias"), "P": 0, "p": p, "i": i, "q": q, "o": o}
        assert y[q, o] == pytest.approx(run(Equations(said.lines), **known, **sizes)["y"], rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
def test_transposed_convolution(flip: bool, padding: int) -> None:
    layer = nn.ConvTranspose(3, 3, strides=2, padding=padding, flip=flip)
    weights = weights_of(layer, LINE[None])
    y = layer(LINE[None]).numpy()[0]
    said = layer.describe()
    sizes = {name: int(value) for name, value in said.values.items()}
    r, p, i = np.ix_(np.arange(9), np.arange(3), np.arange(4))
    for q, o in np.ndindex(y.shape):
        known = {"x": LINE, "W": weights["weight"], "b": weights["bias"], "P": padding, "r": r, "p": p, "i": i}
        assert y[q, o] == pytest.approx(run(Equations(said.lines), **known, **sizes, q=q, o=o)["y"], abs=1e-12)


NORMS = [
    nn.BatchNorm(),
    nn.BatchNorm(affine=False, eps=0.1, eps_mode="outside", momentum=0.7, momentum_of="old"),
    nn.BatchNorm(affine="shift", eps=0.1, eps_mode="variance", running_variance="unbiased"),
]


@pytest.mark.parametrize("layer", NORMS, ids=repr)
def test_batch_normalisation(layer: nn.BatchNorm) -> None:
    p = weights_of(layer, X)
    old = {name: s.numpy() for name, s in layer.state().items()}
    y, new = nn.apply(layer, layer.parameters(), layer.state(), gl.tensor(X), training=True)
    for c in range(3):
        known = {"gamma": p.get("scale", X[0])[c], "beta": p.get("shift", X[0])[c]}
        known |= {"x": X[:, c], "m": len(X), "mu_bar": old["running_mean"][c], "v_bar": old["running_var"][c]}
        found = run(layer.describe(), **known)
        np.testing.assert_allclose(y.numpy()[:, c], found["y"], rtol=1e-11)
        assert new["running_mean"].numpy()[c] == pytest.approx(found["mu_bar"], rel=1e-12)
        assert new["running_var"].numpy()[c] == pytest.approx(found["v_bar"], rel=1e-12)


def test_normalisation_of_one_example() -> None:
    layer = nn.LayerNorm()
    p = weights_of(layer, X)
    found = run(layer.describe(), x=X[0], m=3, gamma=p["scale"], beta=p["shift"])["y"]
    np.testing.assert_allclose(layer(X).numpy()[0], found, rtol=1e-12)
    group = nn.GroupNorm(2, affine=False)
    x = LINE[None]
    np.testing.assert_allclose(group(x).numpy()[0, :, :2], run(group.describe(), x=LINE[:, :2], m=18)["y"], rtol=1e-12)
    response = nn.LocalResponseNorm(9, alpha=2.0, k=2.0)
    y = x * 0 + response(x).numpy()
    padded = np.concatenate([LINE[0], np.zeros(5)])
    np.testing.assert_allclose(y[0, 0], run(response.describe(), x=padded, m=9)["y"][:4], rtol=1e-12)
    scaled = nn.Normalize([1.0, 2.0, 3.0], [0.5, 1.0, 2.0])
    found = run(scaled.describe(), x=X, mu=np.array(scaled.mean), sigma=np.array(scaled.deviation))["y"]
    np.testing.assert_allclose(scaled(X).numpy(), found, rtol=1e-12)


POOLS = [nn.MaxPool(3), nn.MedianPool(3), nn.LpPool(3, 3.0), nn.AvgPool(3), nn.AvgPool(3, weights=[1.0, 2.0, 4.0])]
POOLS += [nn.MaxPool(3, strides=2, dilation=2)]


@pytest.mark.parametrize("layer", POOLS, ids=repr)
def test_pools(layer: nn.Module) -> None:
    y = layer(LINE[None]).numpy()[0, :, 0]
    t, d = layer.config()["strides"] or 3, layer.config()["dilation"]
    w = np.array(getattr(layer, "weights", None) or 0.0)
    for q in range(3):
        known = {"x": LINE[:, 0], "P": 0, "p": np.arange(3), "m": 3, "w": w, "median": np.median}
        found = run(Equations(layer.describe().lines), **known, t=t, d=d, q=q)["y"]
        assert y[q] == pytest.approx(found, rel=1e-12)


def test_layers_that_move_elements() -> None:
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    (line,) = nn.Flatten().describe().lines
    left = sides(line)[0]
    for a, b, c in np.ndindex(2, 3, 4):
        place = eval(left[2:-1], {"i": 0, "a": a, "b": b, "c": c, "B": 3, "C": 4})
        assert nn.Flatten()(x).numpy()[place] == x[0, a, b, c]
    up = nn.Upsample(3, mode="linear")
    whole = np.concatenate([LINE, LINE[-1:]], 0)
    larger = up(LINE[None]).numpy()[0]
    for q in range(2, 25):
        known = {"x": whole, "q": q, "f": 3, "floor": math.floor}
        np.testing.assert_allclose(larger[q], run(Equations(up.describe().lines), **known)["y"], rtol=1e-12)
    assert run(nn.Embedding(3, 2).describe(), E=X, x=1, j=2)["y"] == X[1, 2]


def test_softmax() -> None:
    found = run(nn.Softmax().describe(), x=X[0])["y"]
    np.testing.assert_allclose(nn.Softmax()(X[0]).numpy(), found, rtol=1e-12)


@pytest.mark.parametrize("mode", ["inverted", "weight_scaled"])
def test_dropout(mode: str) -> None:
    layer = nn.Dropout(0.25, mode=mode)
    y = nn.apply(layer, {}, {}, gl.tensor(X), training=True, key=gl.random.key(1))[0].numpy()
    np.testing.assert_allclose(y, run(layer.describe(), x=X, m=(y != 0).astype(float))["y"], rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in init.NAMES if "_" in n])
def test_initialisers(name: str) -> None:
    rule = init.get(name)
    said = rule.describe()  # type: ignore[attr-defined]
    drawn = rule(gl.random.key(3), (200, 300)).numpy()
    z, u = stats.norm.ppf((np.arange(10000) + 0.5) / 10000), np.linspace(-1, 1, 10001)
    found = run(said, n_in=200, n_out=300, z=z, u=u)["w"]
    assert drawn.std() == pytest.approx(found.std(), rel=0.015)


def test_descriptions_are_no_options() -> None:
    assert "describe" not in json.dumps(optim.describe(optim.Adam()))


PENALTIES = [reg.L1(0.3), reg.L2(0.3, scale="half"), reg.L1(0.2, scale="per_example"), reg.Elastic(0.3, 0.2)]


@pytest.mark.parametrize("rule", PENALTIES, ids=repr)
def test_penalties(rule: reg.Regularizer) -> None:
    found = run(rule.describe(), w=X, m=5)["R"]
    assert rule.penalty({"w": gl.tensor(X)}, 5).item() == pytest.approx(found, rel=1e-6)


MOVES = [
    *(reg.L1(0.3, proximal=True), reg.L1(0.3, proximal=True, scale="half"), reg.Elastic(0.3, 0.2, proximal=True)),
    *(reg.MaxNorm(1.0, over="parameter"), reg.UnitNorm(2.0, over="parameter"), reg.Box(-0.5, 0.25), reg.Box(high=0.1)),
    reg.NonNegative(),
]


@pytest.mark.parametrize("rule", MOVES, ids=repr)
def test_moves(rule: reg.Regularizer) -> None:
    found = run(rule.describe(), w=X, s=0.5, sign=np.sign)["w"]
    np.testing.assert_allclose(rule.moved({"w": gl.tensor(X)}, 0.5)["w"].numpy(), found, rtol=1e-12, atol=1e-15)


def test_the_threshold_of_a_ball() -> None:
    inside = reg.L1Ball(2.0, over="parameter").moved({"w": gl.tensor(X)})["w"].numpy()
    t = (np.abs(X) - np.abs(inside))[inside != 0].mean()
    np.testing.assert_allclose(inside, run(reg.L1Ball().describe(), w=X, t=t, sign=np.sign)["w"], atol=1e-14)
