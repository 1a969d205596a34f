"""Section A1 of the catalogue: layouts, broadcasting, vectorisation, shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import gradloom as gl
from gradloom import nn, optim, train

RNG = np.random.default_rng(1)


def test_1_examples_as_columns_are_a_transposed_view() -> None:
    columns, labels = RNG.standard_normal((3, 20)).astype(np.float32), RNG.integers(0, 2, (1, 20))

    def trained(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        run = train.Trainer(nn.Dense(1), "binary_cross_entropy", optim.SGD(0.1), executor="reference")
        run.fit((x, y), epochs=3, batch_size=5, progress="silent")
        return run.predict(x)

    assert columns.T.base is columns  # nothing is copied
    np.testing.assert_array_equal(trained(columns.T, labels.T), trained(columns.T.copy(), labels.T.copy()))


def test_1_a_layer_of_columns_is_the_transposed_layer_of_rows() -> None:
    x = RNG.standard_normal((4, 7))
    layer = nn.Dense(3)
    rows = layer(x.T).numpy()
    weight, bias = (layer.parameters()[name].numpy() for name in ("weight", "bias"))
    np.testing.assert_allclose((gl.tensor(weight.T) @ x + bias[:, None]).numpy(), rows.T, rtol=1e-6, atol=1e-7)


def test_2_images_of_64_by_64_in_colour_have_12288_features() -> None:
    images = RNG.standard_normal((5, 64, 64, 3)).astype(np.float32)
    flat = nn.Flatten()(images).numpy()
    assert flat.shape == (5, 12288)
    np.testing.assert_array_equal(flat.T, images.reshape(images.shape[0], -1).T)


def test_3_a_pixel_of_a_colour_has_one_place_in_the_vector() -> None:
    image = RNG.standard_normal((1, 4, 5, 3))
    flat = nn.Flatten()(image).numpy()[0]
    for row, column, colour in np.ndindex(4, 5, 3):
        assert flat[(row * 5 + column) * 3 + colour] == image[0, row, column, colour]


@pytest.mark.parametrize("b", [np.float64(0.5), RNG.standard_normal((1, 1)), RNG.standard_normal((3, 1))])
def test_4_the_bias_broadcasts(b: np.ndarray) -> None:
    w, x = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 6))
    found = (gl.transpose(gl.tensor(w)) @ x + b).numpy()
    wanted = [
        [sum(w[i, u] * x[i, m] for i in range(4)) + np.ravel(b)[min(u, b.size - 1)] for m in range(6)] for u in range(3)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_5_the_loop_over_features_and_examples_is_one_product() -> None:
    w, x = RNG.standard_normal(6), RNG.standard_normal((6, 4))

    def looped(w: gl.Tensor, x: gl.Tensor) -> gl.Tensor:
        sums = []
        for m in range(4):
            z = gl.tensor(0.0, "float64")
            for i in range(6):
                z = z + w[i] * x[i, m]
            sums.append(z)
        return gl.stack(sums)

    def vectorised(w: gl.Tensor, x: gl.Tensor) -> gl.Tensor:
        return w @ x

    np.testing.assert_allclose(looped(*map(gl.tensor, (w, x))).numpy(), vectorised(gl.tensor(w), gl.tensor(x)).numpy())
    slow, fast = (len(gl.trace(f, w, x).nodes) for f in (looped, vectorised))
    assert slow > 6 * 4 * 2 > fast


def test_6_parameters_and_their_gradients_have_the_shapes_of_the_rule() -> None:
    """Here rows are examples, so W[l] is (n[l-1], n[l]): the notes' W[l] transposed."""
    widths = (5, 4, 3, 1)
    model = nn.Sequential(*[nn.Dense(n, activation="tanh") for n in widths[1:]])
    x = RNG.standard_normal((8, widths[0]))
    model.initialize(x)
    slopes = gl.grad(lambda p: gl.sum(nn.apply(model, p, {}, x)[0]))(model.parameters())
    for layer, (before, now) in enumerate(itertools.pairwise(widths)):
        for tensors in (model.parameters(), slopes):
            assert tensors[f"layers.{layer}"]["weight"].shape == (before, now)
            assert tensors[f"layers.{layer}"]["bias"].shape == (now,)
        assert nn.Sequential(*model.layers[: layer + 1])(x).shape == (8, now)


def test_8_the_backward_pass_takes_what_the_forward_pass_left() -> None:
    """Of ten layers with tanh, value and gradient together compute ten tanh: none a second time."""

    def deep(x: gl.Tensor) -> gl.Tensor:
        for _ in range(10):
            x = gl.tanh(x)
        return gl.sum(x)

    graph = gl.trace(gl.value_and_grad(deep), np.ones(3))
    assert sum(node.op.name == "tanh" for node in graph.nodes) == 10


def test_9_the_input_is_not_counted_as_a_layer() -> None:
    """L layers are numbered from 0 to L - 1; the input stands before them, in brackets."""
    model = nn.Sequential(nn.Dense(4), nn.Dense(3), nn.Dense(2))
    table = nn.summary(model, np.zeros((1, 5), np.float32)).splitlines()
    named = [line.split()[0] for line in table[1:-1]]
    assert named == ["(input)", "layers.0", "layers.1", "layers.2", "(whole)"]
    assert len(model) == 3


def test_10_a_bias_and_a_weight_of_an_input_of_minus_one_are_one() -> None:
    """Both forms take the same steps and draw the same boundary; the weight of x₀ = -1 is -b."""
    x, y = RNG.standard_normal((30, 2)), RNG.integers(0, 2, 30)
    wide = np.hstack([np.full((30, 1), -1.0), x])
    apart = {"w": gl.zeros(2, "float64"), "b": gl.zeros((), "float64")}
    joined = {"w": gl.zeros(3, "float64")}
    loss, descent = nn.losses.BinaryCrossEntropy(), optim.SGD(0.5)
    for _ in range(20):
        one = gl.grad(lambda p: loss(x @ p["w"] + p["b"], y))(apart)
        other = gl.grad(lambda p: loss(wide @ p["w"], y))(joined)
        apart, _ = descent.update(one, descent.init(apart), apart)
        joined, _ = descent.update(other, descent.init(joined), joined)
    np.testing.assert_allclose(joined["w"].numpy(), [-apart["b"].item(), *apart["w"].numpy()], rtol=1e-12)
