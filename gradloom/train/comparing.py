"""Which optimiser suits a problem: the same networks, data and seeds with each (catalogue 130)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradloom import nn, optim, options
from gradloom.errors import NonFiniteError, OptionError
from gradloom.optim import Optimizer
from gradloom.records import dataclass
from gradloom.train.trainer import Trainer


@dataclass(frozen=True)
class Comparison:
    """How far each optimiser brought each network.

    Attributes:
        monitor: the column of the history that is compared.
        falls: whether less of it is better.
        networks: names of the networks.
        optimizers: names of the optimisers.
        values: the best epoch's value, shape (networks, optimizers, seeds); NaN where a run diverged.
    """

    monitor: str
    falls: bool
    networks: tuple[str, ...]
    optimizers: tuple[str, ...]
    values: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean over the seeds, shape (networks, optimizers)."""
        return self.values.mean(-1)

    @property
    def ranks(self) -> np.ndarray:
        """1 for the best optimiser of each network, shape (networks, optimizers); who diverged comes last."""
        goodness = np.where(np.isnan(self.means), np.inf, self.means if self.falls else -self.means)
        return goodness.argsort(1, kind="stable").argsort(1, kind="stable") + 1

    def best(self, network: str) -> str:
        """The name of the optimiser that is first on a network."""
        row = self.networks.index(options.choice("best", "network", network, self.networks))
        return self.optimizers[int(self.ranks[row].argmin())]

    def __str__(self) -> str:
        """A table: a line for each network, with the rank behind each mean."""
        lines = [[f"{self.monitor} (rank)", *self.optimizers]]
        for name, means, ranks in zip(self.networks, self.means, self.ranks):
            cells = ("diverged" if np.isnan(mean) else f"{mean:.4g} ({rank})" for mean, rank in zip(means, ranks))
            lines.append([name, *cells])
        widths = [max(map(len, column)) for column in zip(*lines)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def compare_optimizers(
    networks: Mapping[str, Callable[[], nn.Module]],
    data: Any,
    optimizers: Mapping[str, Optimizer] | Sequence[str] = ("sgd", "momentum", "adagrad", "adadelta", "rmsprop", "adam"),
    *,
    seeds: Sequence[int] = (0,),
    monitor: str = "loss",
    validation: Any = None,
    epochs: int = 10,
    batch_size: int | str = "auto",
    **trainer: Any,
) -> Comparison:
    """Train each network with each optimiser from the same first weights, in the same order of examples.

    Args:
        networks: functions that make a network, by name; conclusions from fewer than three seldom carry over.
        data: as :meth:`Trainer.fit` takes it.
        optimizers: optimisers by name, or names of those with their defaults.
        seeds: a run for each.
        monitor: the column of the history whose best epoch counts.
        validation: as for ``fit``; needed for columns that begin with ``val_``.
        epochs: of each run.
        batch_size: of each run.
        trainer: what else the trainer takes: ``loss``, ``metrics``, ``l2``, ...

    Raises:
        OptionError: no networks, optimisers or seeds.
    """
    chosen = optimizers if isinstance(optimizers, Mapping) else {name: optim.get(name) for name in optimizers}
    for name, given in (("networks", networks), ("optimizers", chosen), ("seeds", seeds)):
        if not given:
            raise OptionError("compare_optimizers", rule=f"there is at least one of the {name}", got="none")
    values = np.full((len(networks), len(chosen), len(seeds)), np.nan)
    falls = True
    for place in np.ndindex(values.shape):
        make, optimizer = list(networks.values())[place[0]], list(chosen.values())[place[1]]
        run = Trainer(make(), optimizer=optimizer, seed=seeds[place[2]], **trainer)
        falls = run.falls(monitor)
        try:
            history = run.fit(data, validation=validation, epochs=epochs, batch_size=batch_size, progress="silent")
        except NonFiniteError:
            continue
        column = history.column(monitor)
        values[place] = min(column) if falls else max(column)
    return Comparison(monitor, falls, tuple(networks), tuple(chosen), values)
