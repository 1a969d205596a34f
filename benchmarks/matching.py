"""``python -m benchmarks.matching``: what other libraries compute in each row of docs/matching.md.

A row is a peer's expression and ours.  Here, in the peers' environment, theirs are evaluated, and what comes out is
written to tests/matching/vectors.json; tests/matching/test_matching.py evaluates ours and compares.  So a row cannot
say what is not so, and a new row needs no code.  How an expression becomes numbers depends on the table it stands in:

| table | the numbers |
|---|---|
| Optimisers | θ after each of 20 steps down a curved function; for scikit-learn, weights of a network after 10 steps |
| Schedules | the rates of the updates 0 to 19 |
| Activations | values and derivatives from -4 to 4 |
| Layers | the output of an image while training, then while predicting, with given weights |
| Dropout | the elements that are kept of ones while training, then all while predicting |
| Initialisers | deviation and kurtosis of many draws |
| Functions | the value of the expression, of given arrays |
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PAGE, VECTORS = ROOT / "docs" / "matching.md", ROOT / "tests" / "matching" / "vectors.json"

STEPS, NETWORK_STEPS = 20, 10
START, SCALES = np.array([1.0, -2.0, 0.7]), np.array([0.5, 1.0, 3.0])
POINTS = np.linspace(-4, 4, 17)
DRAWN = (512, 384)
ONES = 1000


def waves(shape: tuple[int, ...], phase: float) -> np.ndarray:
    """Numbers between -1 and 1 that do not repeat, the same on every machine."""
    return np.cos(np.arange(np.prod(shape, dtype=int)) * 0.7 + phase).reshape(shape)


IMAGE = waves((2, 6, 5, 4), 0.3)
WEIGHTS = {"weight": 1.1, "bias": 2.2, "scale": 3.3}
"""Phases of the waves that layers have as parameters; scales are raised by 1.5, so that none is near 0."""

ARRAYS: dict[str, np.ndarray] = {
    "x": IMAGE,
    "W": waves((3, 3, 4, 2), 1.1),
    "z": 2 * waves((6, 4), 0.1),
    "c": np.array([0, 3, 1, 1, 2, 3]),
    "w": np.array([0.5, 1.0, 2.0, 0.25]),
    "a": 2 * waves((6, 3), 0.5),
    "t": 2 * waves((6, 3), 1.9),
    "q": (waves((6, 3), 2.5) > 0).astype(float),
    "o": np.eye(4)[[0, 3, 1, 1, 2, 3]],
}
"""What expressions may name: an image and a kernel, logits and classes with a weight each, outputs and targets."""

ROWS_X, ROWS_Y = waves((8, 3), 0.9), waves((8,), 1.7)
"""What networks of scikit-learn learn."""


def filled(role: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter of a layer in our layout."""
    return waves(shape, WEIGHTS[role]) + (1.5 if role == "scale" else 0.0)


@dataclass(frozen=True)
class Row:
    """A line of a table: the library, the table, their expression, ours."""

    library: str
    table: str
    theirs: str
    ours: str

    @property
    def key(self) -> str:
        """Under which its numbers are kept."""
        return f"{self.library}: {self.theirs}"


def rows(page: str | None = None) -> list[Row]:
    """The rows of the page, in order."""
    return list(_rows(PAGE.read_text(encoding="utf-8") if page is None else page))


def _rows(page: str) -> Iterator[Row]:
    library = table = ""
    for line in page.splitlines():
        if line.startswith("## "):
            library = line[3:].strip()
        elif line.startswith("### "):
            table = line[4:].strip()
        elif match := re.match(r"\| `([^`]+)` \| `([^`]+)` \|", line):
            yield Row(library, table, match[1], match[2])


# Expressions to numbers ------------------------------------------------------------------------------------------


def main() -> None:
    """Evaluate every row's peer and write the file."""
    os.environ["KERAS_BACKEND"] = "jax"
    systems = {"PyTorch": PyTorch, "Keras": Keras, "JAX and Optax": Jax, "scikit-learn": ScikitLearn}
    ready = {name: system() for name, system in systems.items()}
    found, failed = {}, []
    for row in rows():
        try:
            found[row.key] = _numbers(ready[row.library], row)
        except Exception as error:
            failed.append(f"{row.key}: {error}")
    lines = [f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(values)}" for key, values in found.items()]
    VECTORS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(found)} rows")
    if failed:
        raise SystemExit("\n".join(["Without numbers:", *failed]))


def _numbers(system: Any, row: Row) -> list[float]:
    found = np.asarray(getattr(system, row.table.lower())(row.theirs), np.float64).reshape(-1)
    return [float(f"{value:.12g}") for value in found]


class _Peer:
    """What peers have in common."""

    names: dict[str, Any]

    def evaluate(self, text: str, **more: Any) -> Any:
        """The value of an expression."""
        return eval(text, {**self.names, **more})

    def _descent(self, gradient_step: Callable[[], Any]) -> np.ndarray:
        return np.array([np.array(gradient_step()) for _ in range(STEPS)])


def _moments(drawn: Any) -> list[float]:
    x = np.asarray(drawn, np.float64)
    return [float(x.std()), float(((x - x.mean()) ** 4).mean() / x.var() ** 2)]


class PyTorch(_Peer):
    """Images have their channels first; weights (out, in, *size)."""

    def __init__(self) -> None:
        import torch

        torch.set_default_dtype(torch.float64)
        torch.manual_seed(0)
        self.torch = torch
        arrays = {name: torch.tensor(array) for name, array in ARRAYS.items()}
        self.names = {"torch": torch, "F": torch.nn.functional, **arrays}

    def optimisers(self, text: str) -> np.ndarray:
        torch = self.torch
        w, scales = torch.tensor(START, requires_grad=True), torch.tensor(SCALES)
        optimizer = self.evaluate(text, p=[w])

        def step() -> Any:
            optimizer.zero_grad()
            (scales * w * w + torch.cos(w)).sum().backward()
            optimizer.step()
            return w.detach().numpy().copy()

        return self._descent(step)

    def schedules(self, text: str) -> list[float]:
        optimizer = self.torch.optim.SGD([self.torch.zeros(1, requires_grad=True)], lr=0.1)
        schedule, found = self.evaluate(text, o=optimizer), []
        for _ in range(STEPS):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    def activations(self, text: str) -> list[Any]:
        x = self.torch.tensor(POINTS, requires_grad=True)
        y = self.evaluate(text)(x)
        if y.requires_grad:
            y.sum().backward()
        return [y.detach().numpy(), x.grad.numpy() if y.requires_grad else np.zeros_like(POINTS)]

    def layers(self, text: str) -> list[np.ndarray]:
        layer = self.evaluate(text)
        first = type(layer).__name__ not in ("Linear", "LayerNorm")
        for name, parameter in layer.named_parameters():
            role = "bias" if name == "bias" else "weight" if parameter.ndim > 1 else "scale"
            n = parameter.ndim
            ours, theirs = (*range(2, n), *range(min(n, 2))[::-1]), (*range(max(n - 2, 0), n)[::-1], *range(n - 2))
            values = filled(role, tuple(parameter.permute(ours).shape))
            parameter.data = self.torch.tensor(values.transpose(theirs).copy())
        x = self.torch.tensor(IMAGE.transpose(0, 3, 1, 2) if first else IMAGE)
        found = [layer.train()(x).detach().numpy(), layer.eval()(x).detach().numpy()]
        return [y.transpose(0, 2, 3, 1) if first else y for y in found]

    def dropout(self, text: str) -> list[float]:
        layer, ones = self.evaluate(text), self.torch.ones(ONES)
        return [layer.train()(ones).max().item(), layer.eval()(ones).max().item()]

    def initialisers(self, text: str) -> list[float]:
        w = self.torch.empty(*DRAWN[::-1])
        return _moments(self.evaluate(text, w=w).detach().numpy())

    def functions(self, text: str) -> Any:
        y = self.evaluate(text).detach().numpy()
        return y.transpose(0, 2, 3, 1) if y.ndim == 4 else y


class Jax(_Peer):
    """JAX's functions and Optax's optimisers."""

    def __init__(self) -> None:
        import jax
        import optax

        jax.config.update("jax_enable_x64", True)
        self.jax = jax
        arrays = {name: jax.numpy.asarray(array) for name, array in ARRAYS.items()}
        self.names = {"jax": jax, "jnp": jax.numpy, "lax": jax.lax, "optax": optax, **arrays}
        self.apply_updates = optax.apply_updates

    def optimisers(self, text: str) -> np.ndarray:
        jnp, rule = self.jax.numpy, self.evaluate(text)
        gradient = self.jax.grad(lambda w: (SCALES * w * w + jnp.cos(w)).sum())
        w = jnp.asarray(START)
        state, found = rule.init(w), []
        for _ in range(STEPS):
            updates, state = rule.update(gradient(w), state, w)
            w = self.apply_updates(w, updates)
            found.append(np.array(w))
        return np.array(found)

    def schedules(self, text: str) -> list[float]:
        schedule = self.evaluate(text)
        return [float(schedule(k)) for k in range(STEPS)]

    def activations(self, text: str) -> list[np.ndarray]:
        function = self.evaluate(text)
        slopes = self.jax.vmap(self.jax.grad(lambda x: self.jax.numpy.asarray(function(x), float)))(POINTS)
        return [np.array(function(POINTS)), np.array(slopes)]

    def initialisers(self, text: str) -> list[float]:
        return _moments(self.evaluate(text)(self.jax.random.key(0), DRAWN))

    def functions(self, text: str) -> Any:
        return self.evaluate(text)


class Keras(_Peer):
    """On the backend of JAX, all in float64."""

    def __init__(self) -> None:
        import jax
        import keras

        jax.config.update("jax_enable_x64", True)
        keras.config.set_floatx("float64")
        keras.utils.set_random_seed(0)
        self.keras, self.jax = keras, jax
        self.names = {"keras": keras, **ARRAYS}

    def optimisers(self, text: str) -> np.ndarray:
        w, optimizer = self.keras.Variable(START), self.evaluate(text)
        optimizer.build([w])

        def step() -> Any:
            at = np.array(w)
            optimizer.apply([2 * SCALES * at - np.sin(at)], [w])
            return np.array(w)

        return self._descent(step)

    def schedules(self, text: str) -> list[float]:
        schedule = self.evaluate(text)
        return [float(schedule(k)) for k in range(STEPS)]

    def activations(self, text: str) -> list[np.ndarray]:
        function = self.evaluate(text)
        return [np.array(function(POINTS)), np.array(self.jax.vmap(self.jax.grad(function))(POINTS))]

    def layers(self, text: str) -> list[np.ndarray]:
        layer = self.evaluate(text)
        layer.build(IMAGE.shape)
        roles = {"kernel": "weight", "bias": "bias", "gamma": "scale", "beta": "bias"}
        for variable in layer.trainable_variables:
            variable.assign(filled(roles[variable.name], tuple(variable.shape)))
        return [np.array(layer(IMAGE, training=training)) for training in (True, False)]

    def dropout(self, text: str) -> list[float]:
        layer, ones = self.evaluate(text), np.ones((1, ONES))
        return [float(np.max(layer(ones, training=training))) for training in (True, False)]

    def initialisers(self, text: str) -> list[float]:
        return _moments(self.evaluate(text)(DRAWN))

    def functions(self, text: str) -> Any:
        return self.evaluate(text)


class ScikitLearn(_Peer):
    """Networks of its own kind, metrics, and scalings of columns."""

    def __init__(self) -> None:
        import scipy.special
        import sklearn.metrics
        import sklearn.neural_network
        import sklearn.preprocessing

        self.names = {
            **vars(sklearn.metrics),
            **vars(sklearn.neural_network),
            **vars(sklearn.preprocessing),
            "softmax": scipy.special.softmax,
            "expit": scipy.special.expit,
            **ARRAYS,
        }

    def optimisers(self, text: str) -> list[Any]:
        """The weights before, which a network of the same seed and a vanishing rate keeps, and after ten steps."""
        still, network = self._network(text), self._network(text)
        still.learning_rate_init = 1e-300
        still.partial_fit(ROWS_X, ROWS_Y)
        for _ in range(NETWORK_STEPS):
            network.partial_fit(ROWS_X, ROWS_Y)
        tensors = [t for made in (still, network) for t in (*made.coefs_, *made.intercepts_)]
        return np.concatenate([t.reshape(-1) for t in tensors])

    def _network(self, text: str) -> Any:
        network = self.evaluate(text)
        return network.set_params(
            hidden_layer_sizes=(4,), activation="tanh", batch_size=len(ROWS_X), shuffle=False, random_state=0
        )

    def functions(self, text: str) -> Any:
        return self.evaluate(text)


if __name__ == "__main__":
    main()
