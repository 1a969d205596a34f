"""What a layer and a network are: objects whose attributes are parameters, state and other modules.

A module reads like ordinary Python: ``forward`` computes with ``self.weight``.  Inside a transformation it is a
tree of tensors: :func:`apply` runs a copy whose parameters and state are replaced, collects the state that the
call assigned, and leaves the module itself untouched.  So the graph stays pure while user code need not know.

Input sizes are worked out at the first call, when :meth:`Module.build` makes the parameters.  Whether a call trains
and which random key it has belongs to the call (:class:`Call`), not to a flag on the module.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from gradloom import random, tree
from gradloom.equations import Described
from gradloom.errors import GradloomError, OptionError
from gradloom.ir.graph import placeholder, scope
from gradloom.ir.tensortype import TensorType, as_dtype
from gradloom.records import dataclass
from gradloom.tensor import Tensor, tensor
from gradloom.transforms import trace

Initializer = Callable[[Tensor, tuple[int, ...]], Tensor]
Tensors = dict[str, Any]  # nested dicts of tensors
Watch = Callable[["Module", tuple[Any, ...], Any], None]


@dataclass
class Call:
    """One run through a network.

    Attributes:
        training: whether layers such as dropout and batch normalisation behave as in training.
        key: random key of the call, or None where no layer may draw.
        init_key: random key of the parameters that are made during this call.
        drop: whether dropout drops while training; without, the call is a function of parameters and inputs alone.
        blank: make tensors without values, which take no memory, for a model whose tensors are read from a file.
        floats: the type in which the call computes, for layers that make floats of whole numbers.
        watch: is told of every call of a module that ended: the module, its inputs, what it gave.
        stack: the modules that are running, each called by the one before it.
        names: of the children of modules met so far.
        draws: how many random layers have drawn.
        inits: how many parameters have been made.
    """

    training: bool = False
    key: Tensor | None = None
    init_key: Tensor | None = None
    drop: bool = True
    blank: bool = False
    floats: str = "float32"
    watch: Watch | None = None
    stack: list[Module] = field(default_factory=list)
    names: dict[Module, dict[Module, str]] = field(default_factory=dict)
    draws: int = 0
    inits: int = 0

    def name_of(self, module: Module) -> str:
        """The attribute name of a module in the one that calls it; the class's name at the top."""
        if self.stack:
            parent = self.stack[-1]
            if module not in self.names.get(parent, ()):  # the first child, or one that was made since
                self.names[parent] = {child: name for name, child in reversed(parent.children())}
            if module in self.names[parent]:
                return self.names[parent][module]
        return type(module).__name__

    def next_key(self, who: str) -> Tensor:
        """A fresh key for one random layer; the same for the same layer in every call with the same key.

        Raises:
            OptionError: the call has no key.
        """
        if self.key is None:
            raise OptionError(
                who, rule="a random layer needs a key while training", got="none", fix="Pass key=gl.random.key(seed)."
            )
        self.draws += 1
        return random.fold_in(self.key, self.draws)

    def next_init_key(self) -> Tensor:
        """A fresh key for one new parameter."""
        if self.init_key is None:
            self.init_key = random.key(0)
        self.inits += 1
        return random.fold_in(self.init_key, self.inits)


_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("call", default=None)


def current_call() -> Call:
    """The call that is running; layers ask it whether they train and for random keys."""
    call = _call.get()
    assert call is not None, "current_call() is for use inside forward"
    return call


@contextlib.contextmanager
def _running(call: Call) -> Iterator[Call]:
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


_assigned = [0]


def assignments() -> int:
    """How often attributes of modules were assigned so far: as long as this is the same, so are all attributes."""
    return _assigned[0]


def _build_nothing(module: Module, *inputs: TensorType) -> None:
    """What a module without parameters of its own builds."""


def _no_forward(module: Module, *inputs: Any) -> Any:
    raise NotImplementedError(f"{type(module).__name__} must define forward")


class Module(Described):
    """Base of layers and networks.

    A subclass stores its options in ``__init__`` under the names of the arguments, makes parameters in ``build``
    and computes in ``forward``::

        class Dense(Module):
            def __init__(self, units):
                self.units = units

            def build(self, x):
                self.add_parameter("weight", (x.shape[-1], self.units), nn.init.glorot_uniform)

            def forward(self, x):
                return x @ self.weight
    """

    _parameter_names: tuple[str, ...] = ()
    _state_names: tuple[str, ...] = ()
    _built: bool = False
    _origin: Module | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        _assigned[0] += 1
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        _assigned[0] += 1
        super().__delattr__(name)

    # For subclasses ---------------------------------------------------------------------------------------------

    def __init__(self) -> None:
        """A module without options; subclasses with options need not call this."""

    build: Callable[..., None] = _build_nothing
    """Make parameters and state for inputs of these types; called once, before the first ``forward``."""

    forward: Callable[..., Any] = _no_forward
    """Compute the output."""

    def add_parameter(self, name: str, shape: Sequence[int], init: Initializer, dtype: Any = "float32") -> None:
        """Make the trained tensor ``self.<name>``: ``init(key, shape)`` in ``dtype``."""
        self._parameter_names = (*self._parameter_names, name)
        call = current_call()
        if call.blank:
            value = _without_value(TensorType(tuple(shape), as_dtype(dtype)))
        else:
            value = init(call.next_init_key(), tuple(shape)).astype(dtype)
        setattr(self, name, value)

    def add_state(self, name: str, value: Any) -> None:
        """Make the tensor ``self.<name>``, which calls may assign but training does not differentiate by."""
        self._state_names = (*self._state_names, name)
        known, call = tensor(value), _call.get()
        setattr(self, name, _without_value(known.type) if call is not None and call.blank else known)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, from the attributes of the same names; what a model file stores."""
        names = [p for p in inspect.signature(type(self).__init__).parameters if p != "self"]
        return {name: getattr(self, name) for name in names}

    # For users --------------------------------------------------------------------------------------------------

    def __call__(self, *inputs: Any) -> Any:
        inputs = tuple(_as_tensors(x) for x in inputs)
        call = _call.get()
        if call is None:
            with _running(Call()):
                return self(*inputs)
        if any(module is self for module in call.stack):
            name = type(self).__name__
            rule = "data flow one way, so no module is inside itself"
            raise OptionError(name, rule=rule, got=f"{name} in {name}", fix="Write loops with gl.scan.")
        name = call.name_of(self)
        call.stack.append(self)
        try:
            with scope(name):
                if not self._built:
                    self.build(*map(_types, inputs))
                    self._built = True
                outputs = self.forward(*inputs)
                if call.watch is not None:
                    call.watch(self._origin or self, inputs, outputs)
                return outputs
        except GradloomError as error:
            error.within(f"{name} ({type(self).__name__})" if name != type(self).__name__ else name)
            raise
        finally:
            call.stack.pop()

    def initialize(self, *examples: Any, seed: int = 0, blank: bool = False) -> None:
        """Make all parameters for inputs like ``examples`` (tensors or arrays) without computing an output.

        Args:
            examples: inputs; only shapes and data types count.
            seed: determines the parameters.
            blank: make tensors without values, to be replaced by :meth:`load`; they take no memory.
        """
        # In predict mode: a training call would leave its symbolic state behind in the module itself.
        with _running(Call(init_key=random.key(seed), blank=blank)):
            trace(self, *examples)

    def children(self) -> list[tuple[str, Module]]:
        """The modules among the attributes, lists of modules included, with their names."""
        found: list[tuple[str, Module]] = []
        for name, value in vars(self).items():
            if name == "_origin":
                continue
            if isinstance(value, Module):
                found.append((name, value))
            elif isinstance(value, (list, tuple)):
                found += [(f"{name}.{i}", m) for i, m in enumerate(value) if isinstance(m, Module)]
            elif isinstance(value, dict):
                found += [(f"{name}.{key}", m) for key, m in value.items() if isinstance(m, Module)]
        return found

    def parameters(self) -> Tensors:
        """The trained tensors as nested dicts; a module that occurs twice is listed where it occurs first."""
        return _collect(self, "_parameter_names", set())

    def state(self) -> Tensors:
        """The tensors that calls assign (running statistics), likewise."""
        return _collect(self, "_state_names", set())

    def load(self, parameters: Tensors, state: Tensors) -> None:
        """Put these tensors in place of the module's own."""
        _assign(self, parameters, state, set())

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.config().items() if not isinstance(v, Module))
        return f"{type(self).__name__}({options})"


def _as_tensors(x: Any) -> Any:
    """An input with arrays and nested lists of numbers as tensors; several inputs come in a dict or a tuple."""
    if isinstance(x, (dict, tuple)):
        return tree.map(_as_tensors, x)
    is_numbers = isinstance(x, list) and all(isinstance(leaf, (int, float)) for leaf in tree.leaves(x))
    return tensor(x) if is_numbers or isinstance(x, (np.ndarray, np.generic)) else x


def _types(x: Any) -> Any:
    """The type of an input, or those of several."""
    if isinstance(x, (dict, tuple)):
        return tree.map(_types, x)
    return x.type if isinstance(x, Tensor) else tensor(x).type


def _without_value(type: TensorType) -> Tensor:
    """A tensor of which only the type is known, so that whatever is computed from it takes no memory either."""
    return Tensor(placeholder(type, "blank"))


def _collect(module: Module, which: str, seen: set[int]) -> Tensors:
    if id(module) in seen:
        return {}
    seen.add(id(module))
    found: Tensors = {name: getattr(module, name) for name in getattr(module, which)}
    for name, child in module.children():
        inner = _collect(child, which, seen)
        if inner:
            found[name] = inner
    return found


def _assign(module: Module, parameters: Tensors, state: Tensors, seen: set[int]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    for name in module._parameter_names:
        setattr(module, name, parameters[name])
    for name in module._state_names:
        setattr(module, name, state[name])
    for name, child in module.children():
        _assign(child, parameters.get(name, {}), state.get(name, {}), seen)


def _copy(module: Module, made: dict[int, Module]) -> Module:
    """A copy of the tree of modules; tensors and options are shared, a module that occurs twice is copied once."""
    if id(module) in made:
        return made[id(module)]
    twin = made[id(module)] = copy.copy(module)
    twin._origin = module._origin or module
    for name, value in vars(module).items():
        if name == "_origin":
            continue
        if isinstance(value, Module):
            setattr(twin, name, _copy(value, made))
        elif isinstance(value, (list, tuple)) and any(isinstance(m, Module) for m in value):
            setattr(twin, name, type(value)(_copy(m, made) if isinstance(m, Module) else m for m in value))
        elif isinstance(value, dict) and any(isinstance(m, Module) for m in value.values()):
            copied = {k: _copy(m, made) if isinstance(m, Module) else m for k, m in value.items()}
            setattr(twin, name, copied)
    return twin


def apply(
    module: Module,
    parameters: Tensors,
    state: Tensors,
    *inputs: Any,
    training: bool = False,
    key: Tensor | None = None,
    drop: bool = True,
    floats: str = "float32",
    watch: Watch | None = None,
) -> tuple[Any, Tensors]:
    """Run a module as a pure function of its parameters and state.

    Args:
        module: a module whose parameters exist (see :meth:`Module.initialize`).
        parameters: nested as ``module.parameters()``.
        state: nested as ``module.state()``.
        inputs: what the module takes.
        training: whether dropout drops and batch normalisation uses the batch's statistics.
        key: random key, needed by random layers while training.
        drop: whether dropout drops while training.
        floats: the type in which the module computes, that of the parameters and inputs given.
        watch: is told of every call of a module that ended: the module, its inputs, what it gave.

    Returns:
        ``(output, new state)``.
    """
    twin = _copy(module, {})
    twin.load(parameters, state)
    with _running(Call(training=training, key=key, drop=drop, floats=floats, watch=watch)):
        output = twin(*inputs)
    return output, twin.state()


@dataclass(frozen=True)
class _Template:
    """The module that copies were made from, as a hashable mark in tree definitions."""

    module: Module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Template) and other.module is self.module

    def __hash__(self) -> int:
        return id(self.module)


def _tree_children(module: Module) -> tuple[list[tuple[str, Any]], _Template]:
    entries = [("parameters", module.parameters()), ("state", module.state())]
    return entries, _Template(module._origin or module)


def _tree_build(template: _Template, parts: list[Any]) -> Module:
    twin = _copy(template.module, {})
    twin.load(*parts)
    return twin


tree.register(Module, _tree_children, _tree_build)
