"""The compiled steps of a fit: called with the arrays that they work on, nothing is nested or wrapped between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from gradloom import tree
from gradloom.compiling import Compiled
from gradloom.executors.base import Program
from gradloom.ir.graph import constant
from gradloom.tensor import Tensor
from gradloom.train.source import Call
from gradloom.train.step import Tensors

Arrays = Sequence[np.ndarray]


class Steps:
    """Many updates as one call, for as long as the types of all that is carried stay the same.

    Args:
        compiled: ``Recipe.train_call``.
        carry: what goes from step to step, nested; see :meth:`gradloom.train.step.Recipe.train`.
        key: random key of the run.
        hyper: the numbers of the recipe.

    Attributes:
        numbers: key and hyperparameters as arrays.
        ahead: where the last epoch ended, as long as only the next one has asked for it: nesting the arrays and
            putting them into the model takes longer than some hundred small steps.
    """

    def __init__(self, compiled: Compiled, carry: Tensors, key: Tensor, hyper: Mapping[str, Tensor]) -> None:
        self.key = key
        self.ahead: Arrays | None = None
        self._ready: dict[Any, Program] = {}
        self._compiled = compiled
        self.renew(compiled, carry, hyper)

    def renew(self, compiled: Compiled, carry: Tensors, hyper: Mapping[str, Tensor]) -> None:
        """Go on with what a callback may have changed between epochs; other numbers compile nothing."""
        if compiled is not self._compiled:
            self._compiled, self._ready = compiled, {}
        self.hyper = hyper
        self._definition = tree.flatten(carry)[1]
        paths = tree.paths(self._definition)
        self._parts = {name: [path[0] == name for path in paths] for name in carry}
        self.numbers = [self.key.numpy(), *(leaf.numpy() for leaf in tree.leaves(hyper))]

    def flat(self, carry: Tensors) -> Arrays:
        """The carry as arrays."""
        return [leaf.numpy() for leaf in tree.leaves(carry)]

    def nested(self, carry: Arrays) -> Tensors:
        """The arrays as the carry."""
        return tree.unflatten(self._definition, [Tensor(constant(a)) for a in carry])

    def weights(self, carry: Arrays) -> Arrays:
        """Those arrays of a carry that are trained."""
        return list(compress(carry, self._parts["parameters"]))

    def arguments(self, carry: Tensors, call: Call) -> tuple[Any, ...]:
        """What ``Recipe.train_call`` is called with."""
        whole = tree.map(lambda a: Tensor(constant(a)), call.portion.examples.arrays)  # copies nothing, unlike arrays
        return carry, whole, call.cut, call.given, self.key, self.hyper

    def __call__(self, carry: Arrays, call: Call) -> tuple[Arrays, Arrays]:
        """Take the steps of a call; gives the new carry, and the sums of each step."""
        data, cut, given = call.portion.examples.leaves, call.cut, call.given
        kind = cut, *((a.shape, a.dtype) for a in (*data, *given))
        if kind not in self._ready:
            self._ready[kind] = self._compiled.prepare(*self.arguments(self.nested(carry), call)).program
        found = self._ready[kind]([*carry, *data, *given, *self.numbers])
        return found[: len(carry)], [sums[: call.turns] for sums in found[len(carry) :]]
