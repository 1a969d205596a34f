"""The networks that ``train`` offers, and the defaults that win on tables."""

from __future__ import annotations

from gradloom import nn
from gradloom.cli.prepare import Prepared
from gradloom.errors import OptionError, unknown_name

MODELS = ("auto", "linear", "mlp")

# Chosen by validation loss over several splits of three tables of 900 to 33,000 rows: wide enough that dropout and
# early stopping, not the size, keep the network from learning rows by heart.
HIDDEN = (128, 64)
DROPOUT = 0.2

LOSS_OF_TASK = {"regression": "squared_error", "binary": "binary_cross_entropy", "multiclass": "cross_entropy"}
TASKS_OF_LOSS = {
    "cross_entropy": ("multiclass",),
    "binary_cross_entropy": ("binary",),
    "squared_error": ("regression",),
    "absolute_error": ("regression",),
    "huber": ("regression",),
}


def wants_softmax(loss: str | None) -> bool:
    """Whether two classes need an output each: the loss over several classes was asked for."""
    return loss == "cross_entropy"


def choose_loss(asked: str | None, task: str) -> str:
    """The loss: the one asked for, if it fits the task, else the task's own.

    Raises:
        UnknownNameError: there is no loss of this name.
        OptionError: it is for another task.
    """
    if asked is None:
        return LOSS_OF_TASK[task]
    if asked not in TASKS_OF_LOSS:
        raise unknown_name("--loss", "loss", asked, TASKS_OF_LOSS)
    if task not in TASKS_OF_LOSS[asked]:
        raise OptionError(
            "--loss",
            rule=f"{asked} is for {' and '.join(TASKS_OF_LOSS[asked])} tasks",
            got=f"a {task} task",
            fix=f"Use {' or '.join(loss for loss, tasks in TASKS_OF_LOSS.items() if task in tasks)}.",
        )
    return asked


def build_network(
    model: str, hidden: tuple[int, ...] | None, prepared: Prepared, dropout: float | None = None
) -> nn.Sequential:
    """A network for a data set.

    Args:
        model: ``linear``, ``mlp``, or ``auto``, which is ``mlp``.
        hidden: units of the hidden layers; :data:`HIDDEN` if None.
        prepared: the data set.
        dropout: the rate after each hidden layer; :data:`DROPOUT` if None.

    Raises:
        UnknownNameError: there is no such model.
        OptionError: a linear model with hidden layers or dropout, or a rate that is none.
    """
    if model not in MODELS:
        raise unknown_name("--model", "model", model, MODELS)
    if model == "linear" and hidden:
        raise OptionError(
            "--hidden",
            rule="a linear model has no hidden layers",
            got=",".join(map(str, hidden)),
            fix="Leave --hidden out, or use --model mlp.",
        )
    rate = DROPOUT if dropout is None else dropout_rate(dropout)
    if model == "linear" and dropout is not None:
        fix = "Leave --dropout out, or use --model mlp."
        raise OptionError("--dropout", rule="a linear model has no units to drop", got=str(dropout), fix=fix)
    layers: list[nn.Module] = []
    for units in () if model == "linear" else hidden or HIDDEN:
        layers += [nn.Dense(units, activation="relu", init="he_normal"), nn.Dropout(rate)]
    outputs = len(prepared.target.classes) if prepared.target.task == "multiclass" else 1
    return nn.Sequential(*layers, nn.Dense(outputs))


def dropout_rate(asked: float) -> float:
    """What ``--dropout`` says.

    Raises:
        OptionError: it is no share below 1.
    """
    if not 0 <= asked < 1:
        fix = "Use 0 for none, or a share such as 0.2."
        raise OptionError("--dropout", rule="a rate of dropout lies in [0, 1)", got=str(asked), fix=fix)
    return asked
