"""Looking inside training: the program of many steps as a graph, as the compiler sees it, and its profile.

``Trainer`` has these functions as methods.
"""

from __future__ import annotations

from typing import Any

from gradloom import inspecting, tree
from gradloom.ir.graph import Graph
from gradloom.transforms import trace


def graph(run: Any, train: Any, *, batch_size: int | str = "auto") -> Graph:
    """The graph of one training step: forward, backward and update, for reading and for pictures (``to_html``).

    Args:
        run: the trainer.
        train: the data, as ``fit`` takes them.
        batch_size: examples of the step, as ``fit`` takes it.
    """
    recipe, (carry, data, _, _, key, hyper) = run.first_steps(train, batch_size)
    batch = tree.map(lambda whole: whole[: run.batch_size], data)
    return trace(recipe.train, carry, batch, key, hyper)


def explain(run: Any, train: Any, *, batch_size: int | str = "auto") -> str:
    """What the native executor makes of the training program; see :func:`gradloom.explain`.

    Args:
        run: the trainer.
        train: the data, as ``fit`` takes them.
        batch_size: examples of a step, as ``fit`` takes it.
    """
    recipe, arguments = run.first_steps(train, batch_size)
    return inspecting.explain(recipe.train_call, *arguments)


def profile(run: Any, train: Any, *, batch_size: int | str = "auto", runs: int | None = None) -> Any:
    """Where the time of training goes, kernel by kernel; see :func:`gradloom.profile`.

    The first steps of an epoch are run again and again; the weights stay as they are.

    Args:
        run: the trainer.
        train: the data, as ``fit`` takes them.
        batch_size: examples of a step, as ``fit`` takes it.
        runs: how many calls are measured.
    """
    recipe, arguments = run.first_steps(train, batch_size)
    return inspecting.profile(recipe.train_call, *arguments, runs=runs)
