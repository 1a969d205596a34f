"""A recipe in PyTorch: channels last, the fused optimiser, augmentation of whole batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as fn

from benchmarks.accuracy import pytorch_speedrun as speedrun
from benchmarks.accuracy.gradloom import first_model
from benchmarks.accuracy.recipes import Recipe, rate_at
from benchmarks.accuracy.sets import Part
from benchmarks.systems import pytorch_images

Batch = tuple[torch.Tensor, torch.Tensor]


class Run:
    """A model in training."""

    def __init__(self, recipe: Recipe, first: Part, seed: int) -> None:
        torch.manual_seed(seed)
        if recipe.method == "speedrun":
            model = speedrun.twin(first_model(recipe, first, seed))
            self.optimizer, self.smoothing = speedrun.optimizer(recipe, model), speedrun.SMOOTHING
        else:
            model = pytorch_images.model(recipe.work)
            self.optimizer, self.smoothing = _optimizer(recipe, model), 0.0
        self.recipe, self.model = recipe, model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs = torch.from_numpy(first.inputs).permute(0, 3, 1, 2)
        self.inputs = inputs.contiguous(memory_format=torch.channels_last)
        self.targets = torch.from_numpy(first.targets)
        self.steps, self.step = recipe.epochs * -(-len(inputs) // recipe.batch), 0

    def epoch(self, *, shuffle: bool = True) -> float:
        """Go through the images once; the mean loss."""
        count, total = len(self.inputs), 0.0
        order = torch.randperm(count) if shuffle else torch.arange(count)
        for rows in order.split(self.recipe.batch):
            x, y = AUGMENTATIONS[self.recipe.augment](self.inputs[rows], self.targets[rows])
            total += self._update(x.contiguous(memory_format=torch.channels_last), y) * len(rows)
        return total / count

    def _update(self, x: torch.Tensor, y: torch.Tensor) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.recipe, self.step, self.steps) * group.get("factor", 1)
        self.optimizer.zero_grad(set_to_none=True)
        loss = fn.cross_entropy(
            self.model(x), y, label_smoothing=speedrun.SMOOTHING * (self.recipe.method == "speedrun")
        )
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The scores of classes."""
        self.model.eval()
        with torch.inference_mode():
            parts = torch.from_numpy(images).permute(0, 3, 1, 2).split(256)
            scores = torch.cat([self._scores(x.contiguous(memory_format=torch.channels_last)) for x in parts])
        self.model.train()
        return (scores.permute(0, 2, 3, 1) if scores.ndim == 4 else scores).numpy()

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        return (self.model(x) + self.model(x.flip(3))) / 2 if self.recipe.mirrors else self.model(x)

    def parameters(self) -> list[np.ndarray]:
        """All that is trained, in the order of the layers, with gradloom's axes."""
        found = (p.detach() for p in self.model.parameters() if p.requires_grad)
        return [(p.permute(2, 3, 1, 0) if p.ndim == 4 else p.T if p.ndim == 2 else p).numpy().copy() for p in found]


def _optimizer(recipe: Recipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    if recipe.method == "adam":
        return torch.optim.Adam(model.parameters(), recipe.rate, weight_decay=recipe.decay, fused=True)
    options = {"momentum": 0.9, "nesterov": True, "weight_decay": recipe.decay, "fused": True}
    return torch.optim.SGD(model.parameters(), recipe.rate, **options)


# Augmentation ---------------------------------------------------------------------------------------------------


def _shift_and_mirror(x: torch.Tensor, y: torch.Tensor, by: int = 4, mode: str = "constant") -> Batch:
    """Each image flipped or not, and a part of it with pixels put around, 4 of zeros."""
    n, _, height, width = x.shape
    padded = fn.pad(x, (by,) * 4, mode)
    rows = torch.randint(0, 2 * by + 1, (n, 1)) + torch.arange(height)
    columns = torch.randint(0, 2 * by + 1, (n, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    chosen = padded.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return chosen.permute(0, 3, 1, 2), y


def _digits(x: torch.Tensor, y: torch.Tensor) -> Batch:
    """Turned and slanted by up to 10 degrees, scaled by up to a tenth, moved by up to 8 % of the side, distorted."""
    n, _, height, width = x.shape
    angle, slant = ((torch.rand(2, n) * 2 - 1) * math.radians(10)).unbind()
    factor = 1 / (1 + (torch.rand(n) * 2 - 1) * 0.1)
    moved = (torch.rand(n, 2, 1) * 2 - 1) * 2 * 0.08
    c, s = torch.cos(angle) * factor, torch.sin(angle) * factor
    turn = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    shear = torch.eye(2).repeat(n, 1, 1)
    shear[:, 0, 1] = torch.tan(slant)
    grid = fn.affine_grid(torch.cat([turn @ shear, moved], 2), list(x.shape), align_corners=False)
    grid = grid + _pulls(n, 5, height, width)
    return fn.grid_sample(x, grid, padding_mode="border", align_corners=False), y


def _pulls(n: int, points: int, height: int, width: int) -> torch.Tensor:
    """Normal displacements, 2 % of the sides, at a grid of points, and smooth ones between them."""
    drawn = torch.randn(n, 2, points, points) * 0.04
    return fn.interpolate(drawn, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _tissue(x: torch.Tensor, y: torch.Tensor) -> Batch:
    """Mirrored, turned by quarters, distorted by normal displacements of 2 % at a grid of 3 by 3."""
    n, _, height, width = x.shape
    turn = torch.zeros(n, 2, 2)
    quarter = torch.randint(0, 4, (n,)).float() * (math.pi / 2)
    c, s = torch.cos(quarter).round(), torch.sin(quarter).round()
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = c, -s, s, c
    turn = turn * (torch.randint(0, 2, (n, 2, 1)) * 2 - 1)
    grid = fn.affine_grid(torch.cat([turn, torch.zeros(n, 2, 1)], 2), [n, 1, height, width], align_corners=True)
    grid = grid + _pulls(n, 3, height, width)
    image = fn.grid_sample(x, grid, padding_mode="reflection", align_corners=True)
    mask = fn.grid_sample(y[:, None].float(), grid, "nearest", "reflection", align_corners=True)
    return image, mask[:, 0].long()


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], Batch]] = {
    "": lambda x, y: (x, y),
    "shift and mirror": _shift_and_mirror,
    "small shift and mirror": partial(_shift_and_mirror, by=2, mode="reflect"),
    "digits": _digits,
    "tissue": _tissue,
}
