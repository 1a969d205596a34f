"""Sections A7 to A9 of the catalogue: what penalties, dropout, normalisation and first weights do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import gradloom as gl
from gradloom import models, nn, optim, train
from gradloom.nn import init

RNG = np.random.default_rng(7)


def test_134_the_penalty_of_the_notes_is_a_decay_of_the_weights() -> None:
    """J + (λ/2m) ‖w‖² moves w to (1 - αλ/m) w - α ∇J; with α = 0.1, λ = 0.7, m = 100 the factor is 0.9993."""
    alpha, lam, m = 0.1, 0.7, 100
    w, slope = gl.tensor([2.0, -3.0], "float64"), gl.tensor([0.5, 0.25], "float64")
    decayed, _ = _step(alpha, lam / m, w, slope)
    np.testing.assert_allclose(decayed.numpy(), 0.9993 * w.numpy() - alpha * slope.numpy(), rtol=1e-14)
    penalised = gl.grad(lambda w: lam / (2 * m) * gl.sum(gl.square(w)) + gl.sum(slope * w))(w)
    plain, _ = _step(alpha, 0.0, w, penalised)
    np.testing.assert_allclose(plain.numpy(), decayed.numpy(), rtol=1e-14)


def _step(alpha: float, decay: float, w: gl.Tensor, slope: gl.Tensor) -> tuple[gl.Tensor, object]:
    descent = optim.SGD(alpha, weight_decay=decay)
    return descent.update(slope, descent.init(w), w)


def test_141_a_larger_penalty_gives_smaller_weights_and_a_tanh_net_that_is_nearly_linear() -> None:
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    y = np.sin(4 * x)

    def trained(l2: float) -> tuple[float, float]:
        """The size of the weights, and how far the network is from the line nearest to it."""
        model = nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dense(1))
        run = train.Trainer(model, "mse", optim.Adam(0.03), l2=l2, seed=1, executor="reference")
        run.fit((x, y), epochs=150, batch_size=40, progress="silent")
        size = sum(float(np.sum(p["weight"].numpy() ** 2)) for p in model.parameters().values())
        found = run.predict(x)[:, 0]
        bent = found - np.polyval(np.polyfit(x[:, 0], found, 1), x[:, 0])
        return size, float(np.abs(bent).max())

    (wide, bent), (narrow, straight) = trained(0.0), trained(0.03)
    assert narrow < 0.5 * wide
    assert straight < 0.2 * bent


def test_148_layers_may_drop_different_shares() -> None:
    first, second = nn.Dropout(0.2), nn.Dropout(0.5)
    ones, key = np.ones((200, 100)), gl.random.key(1)
    for layer, rate in ((first, 0.2), (second, 0.5)):
        dropped = nn.apply(layer, {}, {}, ones, training=True, key=key)[0].numpy() == 0
        assert dropped.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / ones.size))
    both = nn.apply(nn.Sequential(first, second), {}, {}, ones, training=True, key=key)[0].numpy() != 0
    assert both.mean() == pytest.approx(0.8 * 0.5, abs=5 * np.sqrt(0.24 / ones.size))


def test_149_dropout_of_inputs_is_an_l2_penalty_that_adapts_to_their_size() -> None:
    """Over all masks the mean of (y - xᵀw)² is the error without dropout plus (1 - p)/p Σ xᵢ²wᵢ²."""
    x, w, y, p = RNG.standard_normal(4), RNG.standard_normal(4), 0.7, 0.8
    mean = 0.0
    for kept in itertools.product((0, 1), repeat=4):
        chance = np.prod(np.where(kept, p, 1 - p))
        mean += chance * (y - (x * kept / p) @ w) ** 2
    wanted = (y - x @ w) ** 2 + (1 - p) / p * np.sum(x**2 * w**2)
    assert mean == pytest.approx(wanted, rel=1e-12)
    keys = gl.random.split(gl.random.key(3), 20_000)
    layer, weights = nn.Dropout(1 - p), gl.tensor(w)

    def drawn(key: gl.Tensor) -> gl.Tensor:
        dropped = nn.apply(layer, {}, {}, gl.tensor(x), training=True, key=key)[0]
        return gl.square(y - gl.sum(dropped * weights))

    seen = gl.vmap(drawn)(keys).numpy()
    assert seen.mean() == pytest.approx(wanted, abs=5 * seen.std() / np.sqrt(len(seen)))


def test_153_early_stopping_is_a_bound_of_the_weights() -> None:
    """It ends descent from 0 while the weights are still small, which couples fitting with restraint."""
    x = RNG.standard_normal((30, 5))
    y = (x @ RNG.standard_normal((5, 1))) + RNG.standard_normal((30, 1))
    model = nn.Dense(1, bias=False, init="zeros")
    run = train.Trainer(model, "mse", optim.SGD(0.05), dtype="float64", executor="reference")
    sizes = []
    for _ in range(15):
        run.fit((x, y), epochs=1, batch_size=30, progress="silent")
        sizes.append(float(np.linalg.norm(model.parameters()["weight"].numpy())))
    assert (np.diff(sizes) > 0).all()


@pytest.mark.parametrize("make", [lambda: models.ResNet(20), lambda: models.WideResNet(10, 1)])
def test_163_normalisation_stands_right_before_the_activation(make: Callable[[], nn.Module]) -> None:
    """A BatchNorm is followed by a ReLU, or ends the body of a residual block, whose activation follows the sum."""
    network = make()
    found = 0
    for sequence in _sequences(network):
        for layer, following in itertools.pairwise([*sequence, None]):
            if isinstance(layer, nn.BatchNorm):
                found += 1
                assert following is None or isinstance(following, nn.ReLU)
            if isinstance(layer, nn.Conv):
                assert layer.activation is None
    assert found >= 7


def _sequences(module: nn.Module) -> Iterator[nn.Sequential]:
    if isinstance(module, nn.Sequential):
        yield module
    for _, child in module.children():
        yield from _sequences(child)


def test_167_response_normalisation_stands_beside_pooling_or_before_the_activation() -> None:
    alexnet = models.AlexNetSmall()
    for layer, following in itertools.pairwise(alexnet):
        assert not isinstance(layer, nn.LocalResponseNorm) or isinstance(following, nn.MaxPool)
    before = nn.Sequential(nn.Conv(4, 3), nn.LocalResponseNorm(3), nn.ReLU(), nn.MaxPool(2))
    assert before(np.ones((1, 8, 8, 3), np.float32)).shape == (1, 4, 4, 4)


def test_164_scale_and_shift_give_any_range() -> None:
    """Ratings from -1 to 1 become ratings from 0 to 5 with γ = β = 2.5."""
    ratings = np.array([[-1.0], [1.0], [-1.0], [1.0]])  # mean 0, variance 1
    layer = nn.BatchNorm(eps=1e-12)
    layer.initialize(ratings)
    given = {"scale": gl.full(1, 2.5, "float64"), "shift": gl.full(1, 2.5, "float64")}
    found, _ = nn.apply(layer, given, layer.state(), ratings, training=True)
    np.testing.assert_allclose(found.numpy(), [[0.0], [5.0], [0.0], [5.0]], atol=1e-6)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_164_behind_batch_norm_the_size_of_weights_does_not_matter(factor: float) -> None:
    """BN(aWx) = BN(Wx), and the gradient by aW is 1/a of that by W: large weights take small steps by themselves."""
    x, w, d = RNG.standard_normal((30, 4)), RNG.standard_normal((4, 3)), RNG.standard_normal((30, 3))
    layer = nn.BatchNorm(eps=1e-12, affine=False)
    layer.initialize(d)

    def f(w: gl.Tensor) -> gl.Tensor:
        return gl.sum(d * nn.apply(layer, {}, layer.state(), gl.tensor(x) @ w, training=True)[0])

    (plain, slope), (scaled, slope_of_scaled) = (gl.value_and_grad(f)(gl.tensor(a * w)) for a in (1.0, factor))
    assert scaled.item() == pytest.approx(plain.item(), rel=1e-6)
    np.testing.assert_allclose(slope_of_scaled.numpy() * factor, slope.numpy(), rtol=1e-5, atol=1e-7)


def test_169_a_loud_neighbour_makes_a_channel_quieter() -> None:
    """Lateral inhibition: the response to one signal falls as that of neighbouring channels rises."""
    layer = nn.LocalResponseNorm(3, alpha=1.0)
    quiet, loud, far = np.zeros((3, 1, 1, 1, 5))
    quiet[..., 2] = loud[..., 2] = far[..., 2] = 1.0
    loud[..., 3], far[..., 0] = 10.0, 10.0
    found = [layer(x).numpy()[0, 0, 0, 2] for x in (quiet, loud, far)]
    assert found[1] < 0.2 * found[0]
    assert found[2] == found[0]  # channel 0 is no neighbour of channel 2


def test_171_small_weights_give_even_answers_and_large_ones_sure_answers() -> None:
    """The entropy of the softmax falls from log 10 towards 0 as σ of the first weights grows."""
    x = RNG.standard_normal((200, 30)).astype(np.float32)

    def entropy(sigma: float) -> float:
        layer = nn.Dense(10, init=init.normal(sigma))
        log_p = gl.log_softmax(layer(x))
        return gl.mean(-gl.sum(gl.exp(log_p) * log_p, -1)).item()

    found = [entropy(sigma) for sigma in (0.001, 0.01, 0.1, 0.3, 1.0, 10.0)]
    assert found[0] == pytest.approx(np.log(10), rel=1e-4)
    assert (np.diff(found) < 0).all()
    assert found[-1] < 0.1


def test_179_matrices_larger_than_one_explode_and_smaller_ones_vanish() -> None:
    """ŷ = Wᴸx: with W = 1.5·I and 0.5·I the answer goes as 1.5ᴸ and 0.5ᴸ."""
    x = np.ones((1, 3))
    for factor, size in ((1.5, 1.5**100), (0.5, 0.5**100), (1.0, 1.0)):
        y = gl.tensor(x)
        for _ in range(100):
            y = y @ gl.tensor(factor * np.eye(3))
        np.testing.assert_allclose(y.numpy(), size, rtol=1e-10)
