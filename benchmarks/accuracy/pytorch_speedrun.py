"""``models.Speedrun`` and its optimiser in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.accuracy.gradloom import in_order
from benchmarks.accuracy.recipes import Recipe
from gradloom.nn import Sequential

SMOOTHING = 0.2
"""Of labels."""
_MOMENTUM = 0.85
_SHIFTS = 64.0
"""How much faster the shifts of batch normalisation learn."""

Given = Iterator[np.ndarray]


class _Scaled(nn.Module):
    """Logits divided by 9."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 9


def twin(model: Sequential) -> nn.Sequential:
    """The network with the parameters and the whitening of gradloom's."""
    given = in_order(model.parameters())
    whitening = _conv(next(in_order(model.state())), next(given))
    whitening.weight.requires_grad_(False)
    blocks = [layer for _ in range(3) for layer in _block(given)]
    return nn.Sequential(whitening, nn.GELU(), *blocks, nn.MaxPool2d(3), nn.Flatten(), _dense(next(given)), _Scaled())


def _block(given: Given) -> list[nn.Module]:
    first, first_shift, second, second_shift = (next(given) for _ in range(4))
    normed = [[_norm(shift), nn.GELU()] for shift in (first_shift, second_shift)]
    return [_conv(first), nn.MaxPool2d(2), *normed[0], _conv(second), *normed[1]]


def _conv(kernel: np.ndarray, bias: np.ndarray | None = None) -> nn.Conv2d:
    size, _, inputs, outputs = kernel.shape
    made = nn.Conv2d(inputs, outputs, size, padding=size // 2 if bias is None else 0, bias=bias is not None)
    return _filled(made, weight=kernel.transpose(3, 2, 0, 1), **({} if bias is None else {"bias": bias}))


def _dense(weight: np.ndarray) -> nn.Linear:
    return _filled(nn.Linear(*weight.shape, bias=False), weight=weight.T)


def _norm(shift: np.ndarray) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(len(shift), eps=1e-12, momentum=0.4)
    made.weight.requires_grad_(False)
    return _filled(made, bias=shift)


def _filled(module: Any, **arrays: np.ndarray) -> Any:
    module.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()}, strict=False)
    return module


def optimizer(recipe: Recipe, model: nn.Sequential) -> torch.optim.SGD:
    """Nesterov's momentum, with shifts in a group of their own; its "factor" multiplies the learning rate."""
    norms = [layer for layer in model if isinstance(layer, nn.BatchNorm2d)]
    shifts = [norm.bias for norm in norms]
    others = [p for p in model.parameters() if p.requires_grad and all(p is not shift for shift in shifts)]
    groups = [
        {"params": others, "weight_decay": recipe.decay, "factor": 1.0},
        {"params": shifts, "weight_decay": recipe.decay / _SHIFTS, "factor": _SHIFTS},
    ]
    return torch.optim.SGD(groups, recipe.rate, momentum=_MOMENTUM, nesterov=True, fused=True)
