"""Sections A10 and A15 of the catalogue: what scaling gains, how data are kept apart, kernels made by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

import gradloom as gl
from gradloom import data, models, nn, optim, train
from gradloom.nn.summary import layers

RNG = np.random.default_rng(8)


@pytest.mark.parametrize(
    ("make", "size"),
    [(models.LeNet5, (1, 28, 28, 1)), (models.SmallCNN, (1, 28, 28, 1)), (lambda: models.ResNet(20), (1, 32, 32, 3))],
)
def test_42_convolutions_have_most_of_the_work(make: Callable[[], nn.Module], size: tuple[int, ...]) -> None:
    rows, _, _ = layers(make(), np.zeros(size, np.float32))
    work = {kind: sum(row.multiply_adds for row in rows if row.kind == kind) for kind in ("Conv", "Dense")}
    assert work["Conv"] > 2 * work["Dense"] > 0


def descent(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """The condition number of the cost of linear regression, and the steps that descent at 1/λ_max needs."""
    curvature = gl.hessian(lambda w: nn.losses.SquaredError("half")(gl.tensor(x) @ w, y))(
        gl.zeros(x.shape[1], "float64")
    )
    sizes = np.linalg.eigvalsh(curvature.numpy())
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    w, steps = np.zeros(x.shape[1]), 0
    while np.linalg.norm(w - best) > 1e-3 * np.linalg.norm(best) and steps < 5000:
        w, steps = w - x.T @ (x @ w - y) / len(x) / sizes[-1], steps + 1
    return float(sizes[-1] / sizes[0]), steps


def test_185_unscaled_features_make_the_cost_an_elongated_bowl() -> None:
    x = RNG.standard_normal((200, 3)) * [1.0, 10.0, 100.0] + [0.0, 5.0, 300.0]
    y = x @ [3.0, 0.2, -0.01]
    (elongated, slow), (round_, fast) = descent(x, y), descent(data.Standardize().fit(x).transform(x), y - y.mean())
    assert elongated > 1e4
    assert round_ < 2
    assert fast < 30 < 100 * fast < slow


def test_187_data_on_disk_are_read_slice_by_slice(tmp_path) -> None:
    np.save(tmp_path / "x.npy", x := RNG.standard_normal((64, 3)).astype(np.float32))
    np.save(tmp_path / "y.npy", y := x.sum(1, keepdims=True))

    def trained(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        run = train.Trainer(nn.Dense(1), "mse", optim.SGD(0.1), executor="reference")
        run.fit((inputs, targets), epochs=2, batch_size=16, progress="silent")
        return run.predict(x)

    on_disk = [np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "y.npy")]
    np.testing.assert_array_equal(trained(*on_disk), trained(x, y))


def test_188_189_the_shares_of_the_notes() -> None:
    assert data.default_fractions(5000) == (0.6, 0.2, 0.2)
    parts = data.split(1_000_000)
    assert [len(rows) for rows in (parts.train, parts.validation, parts.test)] == [980_000, 10_000, 10_000]


def test_190_validation_and_test_follow_one_distribution() -> None:
    """Both are drawn at random from the same rows: their means differ by chance alone."""
    x = RNG.standard_normal(10_000)
    parts = data.split(len(x), seed=1)
    gap = x[parts.validation].mean() - x[parts.test].mean()
    assert abs(gap) < 4 * np.sqrt(1 / len(parts.validation) + 1 / len(parts.test))


@pytest.mark.parametrize("axis", [0, 1])
def test_242_a_kernel_made_by_hand_finds_edges(axis: int) -> None:
    image = np.zeros((12, 12))
    image[3:9, 4:8] = 1.0
    kernel = np.array([[1.0, 2.0, 1.0]]).T @ np.array([[-1.0, 0.0, 1.0]])
    kernel = kernel if axis == 1 else kernel.T
    layer = nn.Conv(1, 3, bias=False, padding="valid")
    layer.initialize(image[None, :, :, None])
    layer.load({"weight": gl.tensor(kernel[:, :, None, None])}, {})
    found = layer(image[None, :, :, None]).numpy()[0, :, :, 0]
    np.testing.assert_allclose(found, ndimage.sobel(image, axis)[1:-1, 1:-1], atol=1e-12)


def test_242_a_kernel_that_is_learnt_comes_to_the_same() -> None:
    """Shown images and their edges, a convolution finds the kernel by itself."""
    images = RNG.standard_normal((20, 8, 8, 1))
    edges = np.stack([ndimage.sobel(image[:, :, 0], 1)[1:-1, 1:-1, None] for image in images])
    layer = nn.Conv(1, 3, bias=False, padding="valid")
    run = train.Trainer(layer, "mse", optim.Adam(0.1), dtype="float64", executor="reference")
    run.fit((images, edges), epochs=150, batch_size=20, progress="silent")
    wanted = np.array([[1.0, 2.0, 1.0]]).T @ np.array([[-1.0, 0.0, 1.0]])
    np.testing.assert_allclose(layer.parameters()["weight"].numpy()[:, :, 0, 0], wanted, atol=0.01)
