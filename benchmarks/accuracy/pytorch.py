"""A recipe in PyTorch: channels last, the fused optimiser, augmentation of whole batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as fn

from benchmarks.accuracy.recipes import Recipe, Row, rate_at
from benchmarks.accuracy.sets import Part
from benchmarks.systems import pytorch_images

Batch = tuple[torch.Tensor, torch.Tensor]
Predict = Callable[[np.ndarray], np.ndarray]


def run(recipe: Recipe, first: Part, seed: int) -> Iterator[tuple[Row, Predict]]:
    """Train; after each epoch the row without scores, and what predicts the scores of classes of images."""
    torch.manual_seed(seed)
    model = pytorch_images.model(recipe.work).to(memory_format=torch.channels_last)
    inputs = torch.from_numpy(first.inputs).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    targets = torch.from_numpy(first.targets)
    optimizer = _optimizer(recipe, model)
    steps, step, spent = recipe.epochs * -(-len(inputs) // recipe.batch), 0, 0.0
    for epoch in range(1, recipe.epochs + 1):
        start, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(inputs)).split(recipe.batch):
            x, y = AUGMENTATIONS[recipe.augment](inputs[rows], targets[rows])
            optimizer.param_groups[0]["lr"] = rate_at(recipe, step, steps)
            optimizer.zero_grad(set_to_none=True)
            loss = fn.cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)
            loss.backward()
            optimizer.step()
            total, step = total + loss.item() * len(rows), step + 1
        spent += time.perf_counter() - start
        yield Row(epoch, spent, total / len(inputs), 0.0, {}), _predicting(model)


def _optimizer(recipe: Recipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    if recipe.method == "adam":
        return torch.optim.Adam(model.parameters(), recipe.rate, weight_decay=recipe.decay, fused=True)
    options = {"momentum": 0.9, "nesterov": True, "weight_decay": recipe.decay, "fused": True}
    return torch.optim.SGD(model.parameters(), recipe.rate, **options)


def _predicting(model: torch.nn.Module) -> Predict:
    def predict(images: np.ndarray) -> np.ndarray:
        model.eval()
        with torch.inference_mode():
            parts = torch.from_numpy(images).permute(0, 3, 1, 2).split(256)
            scores = torch.cat([model(x.contiguous(memory_format=torch.channels_last)) for x in parts])
        model.train()
        return (scores.permute(0, 2, 3, 1) if scores.ndim == 4 else scores).numpy()

    return predict


# Augmentation ---------------------------------------------------------------------------------------------------


def _shift_and_mirror(x: torch.Tensor, y: torch.Tensor) -> Batch:
    """Each image flipped or not, and a part of it with 4 pixels of zeros around."""
    n, _, height, width = x.shape
    padded = fn.pad(x, (4, 4, 4, 4))
    rows = torch.randint(0, 9, (n, 1)) + torch.arange(height)
    columns = torch.randint(0, 9, (n, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    chosen = padded.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return chosen.permute(0, 3, 1, 2), y


def _digits(x: torch.Tensor, y: torch.Tensor) -> Batch:
    """Turned by up to 10 degrees, scaled by up to a tenth, moved by up to 8 % of the side."""
    n = len(x)
    angle = (torch.rand(n) * 2 - 1) * math.radians(10)
    factor = 1 / (1 + (torch.rand(n) * 2 - 1) * 0.1)
    moved = (torch.rand(n, 2, 1) * 2 - 1) * 2 * 0.08
    c, s = torch.cos(angle) * factor, torch.sin(angle) * factor
    turn = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    grid = fn.affine_grid(torch.cat([turn, moved], 2), list(x.shape), align_corners=False)
    return fn.grid_sample(x, grid, padding_mode="border", align_corners=False), y


def _tissue(x: torch.Tensor, y: torch.Tensor) -> Batch:
    """Mirrored, turned by quarters, distorted by normal displacements of 2 % at a grid of 3 by 3."""
    n, _, height, width = x.shape
    turn = torch.zeros(n, 2, 2)
    quarter = torch.randint(0, 4, (n,)).float() * (math.pi / 2)
    c, s = torch.cos(quarter).round(), torch.sin(quarter).round()
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = c, -s, s, c
    turn = turn * (torch.randint(0, 2, (n, 2, 1)) * 2 - 1)
    grid = fn.affine_grid(torch.cat([turn, torch.zeros(n, 2, 1)], 2), [n, 1, height, width], align_corners=False)
    pulls = fn.interpolate(torch.randn(n, 2, 3, 3) * 0.04, (height, width), mode="bicubic", align_corners=True)
    grid = grid + pulls.permute(0, 2, 3, 1)
    image = fn.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    mask = fn.grid_sample(y[:, None].float(), grid, "nearest", "reflection", align_corners=False)
    return image, mask[:, 0].long()


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], Batch]] = {
    "": lambda x, y: (x, y),
    "shift and mirror": _shift_and_mirror,
    "digits": _digits,
    "tissue": _tissue,
}
