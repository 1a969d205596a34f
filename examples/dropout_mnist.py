"""Which regularisation reads digits best?  A network of two hidden layers on MNIST, over some seeds.

Published test errors in percent, for networks of this kind without augmentation, all 60,000 digits and some hundreds
of epochs: standard 1.62, half of the hidden units dropped 1.28, half of the connections into them dropped 1.20 (Wan et
al., 2013, two layers of 800, means of five); dropout 1.25, with max-norm 1.06 (Srivastava et al., 2014, three layers of
1024, a fifth of the inputs dropped too).

The whole run is ``python examples/dropout_mnist.py``, some hours; a smaller one, whose figures stand in
docs/regularisation.md, adds ``--examples 10000 --epochs 80 --width 512``.  It needs MNIST in ``GRADLOOM_DATA``, or
downloads it.  ``--dev`` judges by the last 10,000 digits of the training set, to choose settings by.
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


def dropout(width: int, mode: str = "inverted", inputs: float = 0.0) -> Layers:
    """Half of the hidden units dropped, and perhaps some of the inputs."""
    first, second, last = plain(width)
    return [
        nn.Dropout(inputs, mode=mode),
        *(first, nn.Dropout(0.5, mode=mode)),
        *(second, nn.Dropout(0.5, mode=mode)),
        last,
    ]


def drop_connect(width: int, mask: str = "normal") -> Layers:
    """Half of the connections into the hidden units dropped."""
    layer = partial(nn.DropConnect, width, 0.5, activation="relu", init="he_normal", mask=mask, predict="moments")
    return [layer(), layer(), nn.Dense(10)]


METHODS = {
    "standard": Method(plain),
    "max-norm": Method(plain, (MaxNorm(2.0),)),
    "dropout, inverted": Method(dropout),
    "dropout, weight-scaled": Method(partial(dropout, mode="weight_scaled")),
    "dropout + max-norm": Method(dropout, (MaxNorm(1.4),)),
    "dropout of inputs too": Method(partial(dropout, inputs=0.2)),
    "dropout of inputs too + max-norm": Method(partial(dropout, inputs=0.2), (MaxNorm(2.0),)),
    "DropConnect": Method(drop_connect),
    "DropConnect + max-norm": Method(drop_connect, (MaxNorm(2.0),)),
    "DropConnect, a mask a batch": Method(partial(drop_connect, mask="batch")),
    "DropConnect, a mask an example": Method(partial(drop_connect, mask="example")),
}


def digits(split: str, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Pixels from 0 to 1 as rows, and labels."""
    found = data.mnist(split)
    pixels = found.inputs[rows].reshape(-1, 784).astype(np.float32) / 255
    return pixels, np.asarray(found.targets, np.int64)[rows]


def error_of(
    method: Method, options: argparse.Namespace, seed: int, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Train once; the share of the other digits misread after the last epoch."""
    learn, unseen = parts
    steps = options.epochs * -(-len(learn[0]) // options.batch)
    run = train.Trainer(
        nn.Sequential(*method.network(options.width)),
        optimizer=optim.SGD(optim.schedules.Linear(options.rate, options.rate / 100, steps), options.momentum),
        metrics=["accuracy"],
        seed=seed,
        regularizers=method.regularizers,
    )
    run.fit(learn, epochs=options.epochs, batch_size=options.batch, progress="silent")
    return 1 - run.evaluate(unseen)["accuracy"]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=60_000, help="digits to train on")
    parser.add_argument("--dev", action="store_true", help="test on the last 10,000 digits of the training set")
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
    held_out = 50_000 if options.dev else 60_000
    unseen = digits("train", slice(held_out, None)) if options.dev else digits("test")
    parts = digits("train", slice(min(options.examples, held_out))), unseen
    errors: dict[str, list[float]] = {}
    for name in options.methods:
        start = time.perf_counter()
        errors[name] = [100 * error_of(METHODS[name], options, seed, parts) for seed in range(options.seeds)]
        each = " ".join(f"{error:.2f}" for error in errors[name])
        print(f"{name:32} {each}   ({time.perf_counter() - start:.0f} s)", flush=True)
    print("\nerror in %, mean over seeds and its standard error, from the worst to the best:")
    for name in sorted(errors, key=lambda name: -np.mean(errors[name])):
        error = np.std(errors[name], ddof=1) / options.seeds**0.5 if options.seeds > 1 else np.nan
        print(f"{name:32} {np.mean(errors[name]):.2f} ± {error:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
