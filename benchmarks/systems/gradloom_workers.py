"""gradloom's trainer with worker processes, and what its cost model foresees."""

from __future__ import annotations

from typing import Any

from benchmarks.systems.base import Job, System, distance
from benchmarks.systems.gradloom import flat, trainer
from benchmarks.work import Images, Network
from gradloom import random, tree
from gradloom.train import MapReduce
from gradloom.train.examples import as_examples
from gradloom.train.source import Call, Resident, calls_of_epoch, portions_of


class GradloomWorkers(System):
    """The steps of an epoch as the trainer takes them, the start of the workers left out.

    Args:
        workers: how many; None for the plain trainer, whose program uses all threads.
    """

    def __init__(self, workers: int | None) -> None:
        self.workers = workers

    def train(self, network: Network) -> Job:
        """An epoch of steps in random order."""
        return self._train(network)

    def train_images(self, images: Images) -> Job:
        """Likewise."""
        return self._train(images)

    def foresee(self, work: Network | Images) -> Job:
        """No run at all: the cost model's estimate."""
        advice = MapReduce(self.workers or 1).advice(trainer(work), flat(work), work.batch)
        seconds = advice.computing + advice.exchanging if self.workers else advice.alone
        return Job(lambda: None, seconds=lambda: seconds)

    def _train(self, work: Network | Images) -> Job:
        run = trainer(work)
        run.first_steps(flat(work), work.batch)  # parameters are made, and data checked
        steps = run._steps()
        if self.workers is not None:
            steps = run._map_reduce(MapReduce(self.workers, advise=False)).__enter__()  # ends with this process
        carry, call = steps.flat(run.snapshot()), _epoch(work)

        def epoch() -> None:
            nonlocal carry
            carry, _ = steps(carry, call)

        def moved() -> float:
            weight: Any = tree.leaves(next(iter(steps.nested(carry)["parameters"].values())))[-1].numpy()
            return work.moved(weight) if isinstance(work, Images) else distance(work, weight)

        return Job(epoch, work.steps, moved)


def _epoch(work: Network | Images) -> Call:
    """All batches in one call."""
    source = Resident(as_examples(flat(work), "benchmark"))
    with portions_of(source, random.key(0), [0], work.batch, shuffle=True) as portions:
        return next(calls_of_epoch(portions, 0, work.steps))
