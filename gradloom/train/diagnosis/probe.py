"""What goes on in each layer for one batch: activations, gradients, updates, measured in one compiled program.

The program runs a training call without dropout, differentiates it, takes one step of the optimiser, and gives back
nothing but a few numbers a layer.  Every call of a module inside the network is watched (``nn.apply(watch=)``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradloom import functional as gl
from gradloom import nn, random, tree
from gradloom.nn.activations import ReLU, Sigmoid, Tanh
from gradloom.optim.base import FirstOrder
from gradloom.records import dataclass
from gradloom.tensor import Tensor
from gradloom.train.step import Recipe, Tensors
from gradloom.transforms import jit, value_and_grad

SATURATED = 0.97
"""A unit whose output lies beyond this share of its range has a derivative below 6% of the greatest."""

Batch = Sequence[np.ndarray]


@dataclass(frozen=True)
class Layer:
    """One call of one module, or its activation.

    Attributes:
        path: attribute names from the network to the module.
        kind: its class.
        mean: of the elements of its output.
        std: likewise.
        alive: by unit, for a ReLU: the share of examples (and positions) at which it is above 0; else None.
        saturated: by unit, for a sigmoid or tanh: the share at the ends of its range; else None.
    """

    path: str
    kind: str
    mean: float
    std: float
    alive: np.ndarray | None = None
    saturated: np.ndarray | None = None


@dataclass(frozen=True)
class Weights:
    """One parameter of two axes or more.

    Attributes:
        path: names from the network to it.
        size: root mean square of its elements.
        gradient: likewise of the gradient of the objective.
        update: likewise of the optimiser's next step; NaN for optimisers of second order.
    """

    path: str
    size: float
    gradient: float
    update: float


@dataclass(frozen=True)
class Measured:
    """What the program found.

    Attributes:
        loss: of the batch, without penalties.
        layers: calls of modules in the order in which they ended.
        weights: those of the parameters that are matrices or kernels, in the order of the calls.
    """

    loss: float
    layers: tuple[Layer, ...]
    weights: tuple[Weights, ...]

    @property
    def weighted(self) -> list[Layer]:
        """The layers that have weights of their own."""
        owners = {w.path.rpartition("/")[0] for w in self.weights}
        return [layer for layer in self.layers if layer.path in owners]


def paths(model: nn.Module) -> dict[nn.Module, str]:
    """Every module of a network with the names on the way to it, joined by ``/``."""
    found: dict[nn.Module, str] = {}

    def visit(module: nn.Module, path: str) -> None:
        if module not in found:
            found[module] = path
            for name, child in module.children():
                visit(child, f"{path}/{name}" if path else name)

    visit(model, "")
    return found


class Probe:
    """The program, compiled at the first call.

    Args:
        recipe: model, loss and optimiser.
        executor: what runs it.
    """

    def __init__(self, recipe: Recipe, executor: str) -> None:
        self._recipe = recipe
        self._labels: list[tuple[str, str, str]] = []
        self._names: list[str] = []
        self._program: Callable[..., Any] = jit(self._measure, executor)

    def __call__(self, carry: Tensors, batch: Batch, hyper: Mapping[str, Any]) -> Measured:
        """Measure at some weights.

        Args:
            carry: dict with ``parameters``, ``state`` and ``optimizer``.
            batch: inputs, targets and weights.
            hyper: the recipe's numbers.
        """
        given = [carry[name] for name in ("parameters", "state", "optimizer")]
        loss, moments, units, sizes = self._program(*given, tuple(batch), hyper)
        shares = {place: share.numpy() for place, share in zip(self._watched, units)}
        layers = tuple(
            Layer(
                path,
                kind,
                float(moment[0].numpy()),
                float(moment[1].numpy()),
                shares[i] if sort == "alive" else None,
                shares[i] if sort == "saturated" else None,
            )
            for i, ((path, kind, sort), moment) in enumerate(zip(self._labels, moments))
        )
        weights = [Weights(name, *map(float, row)) for name, row in zip(self._names, np.asarray(sizes))]
        order = {layer.path: i for i, layer in reversed(list(enumerate(layers)))}
        weights.sort(key=lambda w: order.get(w.path.rpartition("/")[0], len(order)))
        return Measured(float(loss.numpy()), layers, tuple(weights))

    @property
    def _watched(self) -> list[int]:
        return [i for i, (_, _, sort) in enumerate(self._labels) if sort]

    def _measure(
        self, parameters: Tensors, state: Tensors, memory: Any, batch: Any, hyper: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        names = paths(self._recipe.model)
        self._labels = []

        def objective(parameters: Tensors) -> tuple[Tensor, Any]:
            seen: list[tuple[str, str, str, Tensor]] = []

            def watch(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
                if isinstance(output, Tensor) and output.type.is_float and output.ndim > 1:
                    seen.append((names[module], type(module).__name__, _sort(module), output))

            total, (outputs, _, loss) = self._recipe.objective(parameters, state, batch, hyper, None, watch=watch)
            # An answer at the end of its range is a sure one; that is no fault of a unit.
            told = [(path, kind, sort if output is not outputs else "") for path, kind, sort, output in seen]
            self._labels = told
            moments = [_moments(output) for *_, output in seen]
            units = [_share(output, sort, kind) for (_, kind, sort), (*_, output) in zip(told, seen) if sort]
            return total, (loss, moments, units)

        (_, aux), gradients = value_and_grad(objective, has_aux=True)(parameters)
        optimizer = self._recipe.optimizer
        if isinstance(optimizer, FirstOrder):
            moved, _ = optimizer.update(gradients, memory, parameters, hyper)
            updates = tree.map(lambda new, old: new - old, moved, parameters)
        else:
            updates = tree.map(lambda old: old * np.nan, parameters)
        definition = tree.flatten(parameters)[1]
        rows = list(zip(tree.paths(definition), *map(tree.leaves, (parameters, gradients, updates))))
        matrices = [row for row in rows if row[1].ndim > 1]
        self._names = ["/".join(map(str, path)) for path, *_ in matrices]
        sizes = gl.stack([gl.stack([_size(x) for x in row[1:]]) for row in matrices]) if matrices else gl.zeros((0, 3))
        return (*aux, sizes)


def _sort(module: nn.Module) -> str:
    if isinstance(module, ReLU):
        return "alive"
    return "saturated" if isinstance(module, (Sigmoid, Tanh)) else ""


def _moments(x: Tensor) -> Tensor:
    return gl.stack([gl.mean(x), gl.std(x)])


def _share(x: Tensor, sort: str, kind: str) -> Tensor:
    """By unit, the last axis: how often it is above 0, or near the ends of its range."""
    centred = 2 * x - 1 if kind == "Sigmoid" else x
    hit = x > 0 if sort == "alive" else gl.abs(centred) > SATURATED
    return gl.mean(gl.cast(hit, x.dtype), tuple(range(x.ndim - 1)))


def _size(x: Tensor) -> Tensor:
    return gl.sqrt(gl.mean(gl.square(x)))


def entering(model: nn.Module, executor: str) -> Callable[..., Any]:
    """A compiled function of parameters, state and inputs: what the first layer with weights is given.

    What it gives is empty where no layer with weights takes floats.
    """

    def first(parameters: Tensors, state: Tensors, inputs: Tensor) -> Tensor:
        found: list[Tensor] = []

        def watch(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            weight = getattr(module, "weight", None)
            is_weighted = isinstance(weight, Tensor) and weight.ndim > 1
            if is_weighted and isinstance(given[0], Tensor) and given[0].type.is_float:
                found.append(given[0])

        nn.apply(model, parameters, state, inputs, training=True, key=random.key(0), drop=False, watch=watch)
        return found[0].reshape(-1, found[0].shape[-1]) if found else gl.zeros((0, 0))

    return jit(first, executor)
