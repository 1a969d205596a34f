"""Pieces by themselves, and how they chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradloom as gl
from gradloom import optim, tree
from gradloom.errors import DTypeError, GradloomError, OptionError, ShapeError
from gradloom.optim.adaptive import EpsMode
from gradloom.optim.piece import Hyper, State, Tensors

GRADIENTS = {"w": gl.tensor([[3.0, 0.0]], "float64"), "b": gl.tensor([-4.0], "float64")}


def updated(piece: optim.Piece, updates: Tensors, hyper: Hyper | None = None, at: Tensors = None) -> Tensors:
    parameters = tree.map(gl.ones_like, updates) if at is None else at
    return piece.update(updates, piece.init(parameters), parameters, hyper or {})[0]


def test_global_norm() -> None:
    assert optim.global_norm(GRADIENTS).item() == 5.0
    assert optim.global_norm({}).item() == 0.0
    assert optim.global_norm({"w": gl.zeros((2, 3))}).item() == 0.0
    np.testing.assert_allclose(gl.grad(optim.global_norm)(GRADIENTS)["b"].numpy(), [-0.8], rtol=1e-15)
    np.testing.assert_array_equal(gl.grad(optim.global_norm)(gl.zeros(3)).numpy(), np.zeros(3))
    assert np.isnan(optim.global_norm(gl.tensor([1.0, np.nan])).item())


@pytest.mark.parametrize(("limit", "factor"), [(10.0, 1.0), (5.0, 1.0), (2.5, 0.5)])
def test_clip_by_norm_keeps_the_direction(limit: float, factor: float) -> None:
    found = updated(optim.ClipByNorm(limit), GRADIENTS)
    np.testing.assert_allclose(found["w"].numpy(), [[3 * factor, 0]], rtol=1e-15)
    np.testing.assert_allclose(found["b"].numpy(), [-4 * factor], rtol=1e-15)


def test_clipping_of_zeros() -> None:
    zeros = tree.map(gl.zeros_like, GRADIENTS)
    for piece in (optim.ClipByNorm(1.0), optim.ClipByValue(1.0)):
        for leaf in tree.leaves(updated(piece, zeros)):
            np.testing.assert_array_equal(leaf.numpy(), np.zeros(leaf.shape))


def test_clip_by_value() -> None:
    found = updated(optim.ClipByValue(1.0), GRADIENTS, {"clip_value": 3.5})
    np.testing.assert_array_equal(found["w"].numpy(), [[3, 0]])
    np.testing.assert_array_equal(found["b"].numpy(), [-3.5])


def test_one_name_may_learn_faster() -> None:
    nested = {"layers.0": GRADIENTS, "layers.1": {"b": gl.tensor(2.0, "float64")}, "b.0": {"w": gl.tensor(1.0)}}
    found = updated(optim.ScaleByName("b", 64.0), nested, {"factor": 3.0})
    assert found["layers.0"]["b"].tolist() == [-12.0]
    assert found["layers.1"]["b"].item() == 6.0
    assert found["layers.0"]["w"].tolist() == [[3.0, 0.0]]
    assert found["b.0"]["w"].item() == 1.0
    with pytest.raises(OptionError, match="is the name of a parameter; got parameter=3"):
        optim.ScaleByName(3, 1.0)  # type: ignore[arg-type]


def test_decay_may_leave_vectors_out() -> None:
    both = updated(optim.AddDecayedWeights(0.5), GRADIENTS)
    np.testing.assert_array_equal(both["w"].numpy(), [[3.5, 0.5]])
    np.testing.assert_array_equal(both["b"].numpy(), [-3.5])
    matrices = updated(optim.AddDecayedWeights(0.5, decay_bias=False), GRADIENTS)
    np.testing.assert_array_equal(matrices["w"].numpy(), [[3.5, 0.5]])
    np.testing.assert_array_equal(matrices["b"].numpy(), [-4])


def test_order_in_a_chain_counts() -> None:
    clip, decay = optim.ClipByNorm(2.5), optim.AddDecayedWeights(1.0)
    np.testing.assert_allclose(updated(optim.chain(clip, decay), GRADIENTS)["b"].numpy(), [-1], rtol=1e-15)
    decayed = np.array([4.0, 1.0, -3.0])
    expected = decayed * 2.5 / np.linalg.norm(decayed)
    np.testing.assert_allclose(updated(optim.chain(decay, clip), GRADIENTS)["b"].numpy(), expected[2:], rtol=1e-15)


def test_named_optimizers_clip_elements_before_the_norm() -> None:
    optimizer = optim.SGD(1.0, clip_value=1.0, clip_norm=1.0)
    parameters = tree.map(gl.zeros_like, GRADIENTS)
    found, _ = optimizer.update(GRADIENTS, optimizer.init(parameters), parameters)
    np.testing.assert_allclose(found["w"].numpy(), [[-np.sqrt(0.5), 0]], rtol=1e-15)
    np.testing.assert_allclose(found["b"].numpy(), [np.sqrt(0.5)], rtol=1e-15)


@pytest.mark.parametrize(("mode", "factor"), [("outside", 1e3), ("inside", 1e3**0.5), ("none", 1.0)])
def test_gradients_whose_squares_are_lost_to_underflow(mode: EpsMode, factor: float) -> None:
    found = updated(optim.ScaleByRms(eps=1e-3, eps_mode=mode), gl.tensor([1e-25], "float32"))
    np.testing.assert_allclose(found.numpy(), [1e-25 * factor], rtol=1e-5)


def test_a_chain_of_nothing_changes_nothing() -> None:
    assert updated(optim.chain(), GRADIENTS) is GRADIENTS


def test_chains_in_chains_are_spread_out() -> None:
    a, b, c = optim.ClipByNorm(1.0), optim.ScaleByAdam(), optim.ScaleByLearningRate(0.1)
    assert optim.chain(optim.chain(a, b), c) == optim.chain(a, optim.chain(b, c)) == optim.chain(a, b, c)


def test_two_of_a_kind_need_names() -> None:
    first, second = optim.ClipByNorm(1.0), optim.ClipByNorm(0.5)
    with pytest.raises(OptionError, match="each piece needs a name of its own; got ClipByNorm more than once"):
        optim.chain(first, second)
    both = optim.chain(first, optim.Prefixed("late", second))
    assert both.hyperparameters() == {"clip_norm": 1.0, "late.clip_norm": 0.5}
    assert optim.global_norm(updated(both, GRADIENTS)).item() == pytest.approx(0.5)
    assert optim.global_norm(updated(both, GRADIENTS, {"late.clip_norm": 0.25})).item() == pytest.approx(0.25)
    with pytest.raises(OptionError, match="each hyperparameter needs a name of its own; got eps more than once"):
        optim.chain(optim.ScaleByRms(), optim.ScaleByAdam())


def test_composed_adam_is_adam() -> None:
    pieces = optim.chain(optim.ClipByNorm(1.0), optim.ScaleByAdam(), optim.ScaleByLearningRate(0.1))
    own, named = optim.Composed(pieces), optim.Adam(0.1, clip_norm=1.0)
    assert own.hyperparameters() == named.hyperparameters()
    parameters = tree.map(gl.ones_like, GRADIENTS)
    found, state = own.update(GRADIENTS, own.init(parameters), parameters)
    expected, expected_state = named.update(GRADIENTS, named.init(parameters), parameters)
    for a, b in zip(tree.leaves((found, state)), tree.leaves((expected, expected_state))):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@dataclass(frozen=True)
class SignOf(optim.Piece):
    """A piece as a user writes one."""

    size: float = 2.0

    def update(self, updates: Tensors, state: State, parameters: Tensors, hyper: Hyper) -> tuple[Tensors, State]:
        size = self.values(hyper)["size"]
        return tree.map(lambda u: gl.sign(u) * size, updates), state


def test_a_piece_of_ones_own() -> None:
    optimizer = optim.Composed(optim.chain(SignOf(), optim.ScaleByLearningRate(0.5)))
    assert optimizer.hyperparameters() == {"size": 2.0, "lr": 0.5}
    w = gl.tensor([1.0, 1.0])
    found, _ = optimizer.update(gl.tensor([-5.0, 7.0]), optimizer.init(w), w, {"size": 4.0})
    np.testing.assert_array_equal(found.numpy(), [3, -1])
    assert optim.build(optim.describe(optimizer), extra=[SignOf]) == optimizer


# The average ----------------------------------------------------------------------------------------------------


def test_exponential_average() -> None:
    values = [np.array([1.0, -2.0]), np.array([3.0, 5.0]), np.array([2.0, 2.0])]
    for average, total in ((optim.ExponentialAverage(0.8, False), 1.0), (optim.ExponentialAverage(0.8), 1 - 0.8**3)):
        state = average.init({"x": gl.tensor(values[0])})
        for value in values:
            state = average.update({"x": gl.tensor(value)}, state)
        expected = 0.2 * (0.64 * values[0] + 0.8 * values[1] + values[2]) / total
        np.testing.assert_allclose(average.value(state)["x"].numpy(), expected, rtol=1e-14)
    first = optim.ExponentialAverage(0.8)
    state = first.update(gl.tensor(values[0]), first.init(gl.tensor(values[0])))
    np.testing.assert_allclose(first.value(state).numpy(), values[0], rtol=1e-15)


# What is refused ------------------------------------------------------------------------------------------------


def stepped(optimizer: optim.FirstOrder, gradients: Any, parameters: Any, state: Any = None) -> Any:
    return optimizer.update(gradients, optimizer.init(parameters) if state is None else state, parameters)


W = gl.zeros((3,))


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: optim.Adam(-1.0), OptionError, "Adam: lr is a finite number not below 0; got lr=-1.0"),
        (lambda: optim.Adam("fast"), OptionError, "Adam: lr is a finite number not below 0; got lr='fast'"),  # type: ignore[arg-type]
        (lambda: optim.Adam(True), OptionError, "Adam: lr is a finite number"),
        (lambda: optim.SGD(0.1, 1.0), OptionError, r"SGD: momentum lies in \[0, 1\); got momentum=1.0"),
        (lambda: optim.Adam(0.1, beta2=1.0), OptionError, r"Adam: beta2 lies in \[0, 1\); got beta2=1.0"),
        (lambda: optim.Adam(0.1, eps=0.0), OptionError, "Adam: eps is a finite number above 0; got eps=0.0"),
        (lambda: optim.RMSProp(rho=-0.1), OptionError, "RMSProp: rho lies in"),
        (lambda: optim.AdaGrad(decay=0.0), OptionError, r"AdaGrad: decay lies in \(0, 1\]"),
        (lambda: optim.AdaDelta(rho_updates=1.5), OptionError, "AdaDelta: rho_updates lies in"),
        (lambda: optim.AdamW(weight_decay=-1.0), OptionError, "AdamW: weight_decay is a finite number not below 0"),
        (lambda: optim.SGD(clip_norm=0.0), OptionError, "SGD: clip_norm is a finite number above 0"),
        (lambda: optim.Adam(eps_mode="insid"), OptionError, "Did you mean 'inside'?"),  # type: ignore[arg-type]
        (lambda: optim.chain(optim.Adam()), OptionError, "chain: it consists of pieces"),  # type: ignore[arg-type]
        (lambda: optim.Composed(optim.Adam()), OptionError, "Composed: it takes one piece"),  # type: ignore[arg-type]
        (lambda: optim.Prefixed("", optim.ClipByNorm(1.0)), OptionError, "Prefixed: it takes a word and a piece"),
        (lambda: optim.Adam().init(gl.zeros(3, "int64")), DTypeError, r"Adam: parameters are floats; got int64\[3\]"),
        (lambda: stepped(optim.SGD(), gl.zeros((1,)), W), ShapeError, r"got float32\[1\] for float32\[3\]"),
        (lambda: stepped(optim.SGD(), {"w": W}, {"v": W}), ShapeError, "one structure; got {w} and {v}"),
        (
            lambda: stepped(optim.Adam(), W, W, optim.SGD().init(W)),
            ShapeError,
            r"ScaleByAdam: .* got nothing in place of mean float32\[3\], square float32\[3\], step int64\[\]",
        ),
        (lambda: stepped(optim.RMSProp(), W, W, 3), ShapeError, r"ScaleByRms: .* got nothing in place of square"),
        (
            lambda: stepped(optim.RMSProp(), W, W, optim.RMSProp().init(gl.zeros((1,)))),
            ShapeError,
            r"ScaleByRms: the state must be .* got square float32\[1\] in place of square float32\[3\]",
        ),
        (
            lambda: stepped(optim.RMSProp(), W, W, optim.RMSProp().init(gl.zeros((3,), "float64"))),
            ShapeError,
            r"got square float64\[3\] in place of square float32\[3\]",
        ),
        (
            lambda: optim.SGD().update(W, optim.SGD().init(W), W, {"lr": gl.ones((3,))}),
            ShapeError,
            r"ScaleByLearningRate: lr is a single number; got float32\[3\]. Use gl.vmap",
        ),
        (
            lambda: optim.SGD().update(W, optim.SGD().init(W), W, {"lr": "fast"}),
            DTypeError,
            "a tensor holds numbers or booleans",
        ),
    ],
)
def test_refusals(act: Callable[[], Any], kind: type[GradloomError], message: str) -> None:
    with pytest.raises(kind, match=message):
        act()


def test_noise_on_gradients_fades_and_is_determined_by_its_seed() -> None:
    """σ / (1 + k)^(γ/2) is 0.2 in step 0 and 0.2/√5 in step 4 with γ = 1."""
    parameters = {"a": gl.zeros((200, 200)), "b": gl.zeros((200, 200))}

    def drawn(seed: int, steps: int) -> list[np.ndarray]:
        piece = optim.AddNoise(0.2, 1.0, seed=seed)
        updates, state = parameters, piece.init(parameters)
        for _ in range(steps):
            updates, state = piece.update(parameters, state, parameters, {})
        return [leaf.numpy() for leaf in tree.leaves(updates)]

    first, second = drawn(1, 1)
    assert first.std() == pytest.approx(0.2, rel=0.02)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
    assert drawn(1, 5)[0].std() == pytest.approx(0.2 / np.sqrt(5), rel=0.02)
    np.testing.assert_array_equal(drawn(1, 5)[0], drawn(1, 5)[0])
    assert (drawn(2, 1)[0] != first).any()
