"""Which regularisation reads digits best?  A network of two hidden layers on MNIST, over some seeds.

Published test errors in percent, for networks of this kind without augmentation: standard 1.60, dropout 1.25, dropout
with max-norm 1.06 (Srivastava et al., 2014, with three hidden layers of 1024 and about a million updates); DropConnect
is a little better than dropout on the same network (Wan et al., 2013: 0.21 and 0.27 with augmentation and votes).

The whole run is ``python examples/dropout_mnist.py``, some hours; a smaller one, whose figures stand in
docs/regularisation.md, adds ``--examples 10000 --epochs 80 --width 512``.  It needs MNIST in ``GRADLOOM_DATA``, or
downloads it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gradloom import data, nn, optim, train
from gradloom.nn.regularizers import MaxNorm, Regularizer

Layers = list[nn.Module]


@dataclass(frozen=True)
class Method:
    """A way to regularise: the network for a width, and what is done to its weights."""

    network: Callable[[int], Layers]
    regularizers: tuple[Regularizer, ...] = ()


def plain(width: int) -> Layers:
    """Two hidden layers."""
    hidden = [nn.Dense(width, activation="relu", init="he_normal") for _ in range(2)]
    return [*hidden, nn.Dense(10)]


def dropout(width: int, mode: str) -> Layers:
    """A fifth of the inputs and half of the hidden units dropped."""
    first, second, last = plain(width)
    return [
        nn.Dropout(0.2, mode=mode),
        *(first, nn.Dropout(0.5, mode=mode)),
        *(second, nn.Dropout(0.5, mode=mode)),
        last,
    ]


def drop_connect(width: int, predict: str) -> Layers:
    """Half of the connections into the hidden units dropped."""
    hidden = [nn.DropConnect(width, 0.5, activation="relu", init="he_normal", predict=predict) for _ in range(2)]
    return [*hidden, nn.Dense(10)]


METHODS = {
    "standard": Method(plain),
    "max-norm": Method(plain, (MaxNorm(2.0),)),
    "dropout, inverted": Method(partial(dropout, mode="inverted")),
    "dropout, weight-scaled": Method(partial(dropout, mode="weight_scaled")),
    "dropout + max-norm": Method(partial(dropout, mode="inverted"), (MaxNorm(2.0),)),
    "DropConnect, mean": Method(partial(drop_connect, predict="mean")),
    "DropConnect, moments": Method(partial(drop_connect, predict="moments")),
    "DropConnect + max-norm": Method(partial(drop_connect, predict="moments"), (MaxNorm(2.0),)),
}


def digits(split: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels from 0 to 1 as rows, and labels."""
    found = data.mnist(split)
    pixels = found.inputs[:count].reshape(-1, 784).astype(np.float32) / 255
    return pixels, np.asarray(found.targets[:count], np.int64)


def error_of(
    method: Method, options: argparse.Namespace, seed: int, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Train once; the share of test digits misread after the last epoch."""
    learn, test = parts
    steps = options.epochs * -(-len(learn[0]) // options.batch)
    run = train.Trainer(
        nn.Sequential(*method.network(options.width)),
        optimizer=optim.SGD(optim.schedules.Linear(options.rate, options.rate / 100, steps), options.momentum),
        metrics=["accuracy"],
        seed=seed,
        regularizers=method.regularizers,
    )
    run.fit(learn, epochs=options.epochs, batch_size=options.batch, progress="silent")
    return 1 - run.evaluate(test)["accuracy"]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, help="digits to train on, 60,000 by default")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--width", type=int, default=1024, help="units of each hidden layer")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.1, help="first learning rate; it falls to a hundredth")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Train each method with each seed, and print their errors from the worst to the best."""
    options = arguments(given)
    parts = digits("train", options.examples), digits("test")
    errors: dict[str, list[float]] = {}
    for name in options.methods:
        start = time.perf_counter()
        errors[name] = [100 * error_of(METHODS[name], options, seed, parts) for seed in range(options.seeds)]
        each = " ".join(f"{error:.2f}" for error in errors[name])
        print(f"{name:24} {each}   ({time.perf_counter() - start:.0f} s)", flush=True)
    print("\ntest error in %, mean over seeds, from the worst to the best:")
    for name in sorted(errors, key=lambda name: -np.mean(errors[name])):
        print(f"{name:24} {np.mean(errors[name]):.2f} ± {np.std(errors[name]):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
