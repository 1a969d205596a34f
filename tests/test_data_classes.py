"""Records: classes decorated here and by the standard library behave alike, in whatever order they are asked."""

from __future__ import annotations

import ast
import copy
import dataclasses
import importlib
import inspect
import pickle
import re
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import KW_ONLY, InitVar, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_tree import modules

from gradloom import records

Decorator = Callable[..., Any]
LATER: Decorator = records.dataclass
T = TypeVar("T")


# The same class by both decorators --------------------------------------------------------------------------------


def plain(dataclass: Decorator):
    @dataclass
    class Case:
        a: int
        b: str = "x"
        c: list[int] = field(default_factory=list)
        d: float = field(default=2.0, repr=False, compare=False)

    return Case, lambda: Case(1, c=[3])


def frozen(dataclass: Decorator):
    @dataclass(frozen=True)
    class Case:
        """A class with a text of its own."""

        a: int
        b: tuple[int, ...] = (1, 2)

        @property
        def first(self) -> int:
            return self.b[0]

        @cached_property
        def last(self) -> int:
            return self.b[-1]

    return Case, lambda: Case(1)


def ordered(dataclass: Decorator):
    @dataclass(order=True)
    class Case:
        a: int = 1
        b: int = field(default=0, compare=False)

    return Case, Case


def without_equality(dataclass: Decorator):
    @dataclass(eq=False, repr=False)
    class Case:
        a: int = 1

        def __repr__(self) -> str:
            return "mine"

    return Case, Case


def own_equality(dataclass: Decorator):
    @dataclass(frozen=True)
    class Case:
        a: int = 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Case) and self.a % 2 == other.a % 2  # type: ignore[attr-defined]

    return Case, Case


def own_hash(dataclass: Decorator):
    @dataclass
    class Case:
        a: int = 1

        def __hash__(self) -> int:
            return 7

    return Case, Case


def hash_by_force(dataclass: Decorator):
    @dataclass(unsafe_hash=True)
    class Case:
        a: int = 1
        b: list[int] = field(default_factory=list, hash=False)

    return Case, Case


def own_start(dataclass: Decorator):
    @dataclass(init=False)
    class Case:
        a: int
        b: int = 5

        def __init__(self) -> None:
            self.a = 3

    return Case, Case


def pseudo_fields(dataclass: Decorator):
    @dataclass
    class Case:
        shared: ClassVar[int] = 4
        a: int
        scale: InitVar[int]
        _: KW_ONLY
        b: int = 2

        def __post_init__(self, scale: int) -> None:
            self.a *= scale

    return Case, lambda: Case(3, 10, b=1)


def inherited(dataclass: Decorator):
    @dataclass(frozen=True)
    class Base:
        a: int
        b: list[int] = field(default_factory=list)

        def __post_init__(self) -> None:
            object.__setattr__(self, "seen", True)

        def __repr__(self) -> str:
            return f"base {self.a}"

    @dataclass(frozen=True)
    class Case(Base):
        c: int = 3

        def total(self) -> int:
            return self.a + self.c

        def __str__(self) -> str:
            return super().__repr__()

    return Case, lambda: Case(1, [2])


def plain_subclass(dataclass: Decorator):
    @dataclass(frozen=True)
    class Base:
        a: int = 1

    class Case(Base):
        def __init__(self) -> None:
            super().__init__(9)
            self.extra = 5

    return Case, Case


def abstract_base(dataclass: Decorator):
    class Base(ABC):
        @abstractmethod
        def size(self) -> int: ...

    @dataclass(frozen=True)
    class Case(Base):
        a: int = 1

        def size(self) -> int:
            return self.a

    return Case, Case


def abstract_equality(dataclass: Decorator):
    class Base(ABC):
        @abstractmethod
        def __eq__(self, other: object) -> bool: ...

    @dataclass
    class Case(Base):
        a: int = 1

    return Case, Case


def generic(dataclass: Decorator):
    @dataclass(frozen=True)
    class Case(Generic[T]):
        a: T
        b: int = 1

    return Case, lambda: Case[str]("x")


def with_slots(dataclass: Decorator):
    @dataclass(frozen=True, slots=True)
    class Case:
        a: int
        b: int = 1

    return Case, lambda: Case(2)


def still_abstract(dataclass: Decorator):
    @dataclass(frozen=True)
    class Case(ABC):
        a: int

        @abstractmethod
        def size(self) -> int: ...

    return Case, lambda: Case(1)


def mutable_default(dataclass: Decorator):
    @dataclass
    class Case:
        a: list[int] = []  # noqa: RUF012

    return Case, Case


def default_first(dataclass: Decorator):
    @dataclass
    class Case:
        a: int = 1
        b: int  # type: ignore[misc]

    return Case, Case


def thawed(dataclass: Decorator):
    @dataclass(frozen=True)
    class Base:
        a: int = 1

    @dataclass
    class Case(Base):  # type: ignore[misc]
        b: int = 1

    return Case, Case


def order_without_equality(dataclass: Decorator):
    @dataclass(order=True, eq=False)
    class Case:
        a: int = 1

    return Case, Case


CASES = [
    *(plain, frozen, ordered, without_equality, own_equality, own_hash, hash_by_force, own_start, pseudo_fields),
    *(inherited, plain_subclass, abstract_base, abstract_equality, generic, with_slots, still_abstract),
]
FAULTY = [mutable_default, default_first, thawed, order_without_equality]


def _set(x: Any, name: str) -> Any:
    setattr(x, name, 8)
    return vars(x)


def _delete(x: Any, name: str) -> Any:
    delattr(x, name)
    return vars(x)


def _matched(cls: Any, x: Any) -> Any:
    match x:
        case cls(first):
            return first
        case _:
            return "no match"


def _described(cls: Any) -> Any:
    shown = ("name", "type", "default", "init", "repr", "hash", "compare", "kw_only")
    return [tuple(repr(getattr(f, name)) for name in shown) for f in dataclasses.fields(cls)]


def _twin(x: Any) -> Any:
    """A copy of an instance whose ``__init__`` is never called."""
    made = object.__new__(type(x))
    made.__dict__.update(vars(x))
    return made


def _fresh(cls: Any) -> Any:
    return object.__new__(cls)


QUESTIONS: dict[str, Callable[[Any, Callable[[], Any]], Any]] = {
    "repr": lambda cls, make: repr(make()),
    "str": lambda cls, make: str(make()),
    "values": lambda cls, make: vars(make()),
    "signature": lambda cls, make: str(inspect.signature(cls)),
    "signature of init": lambda cls, make: str(inspect.signature(cls.__init__)),
    "fields": lambda cls, make: _described(cls),
    "params": lambda cls, make: repr(cls.__dataclass_params__),
    "is": lambda cls, make: dataclasses.is_dataclass(cls),
    "doc": lambda cls, make: cls.__doc__,
    "doc of an instance": lambda cls, make: make().__doc__,
    "match args": lambda cls, make: cls.__match_args__,
    "match": lambda cls, make: _matched(cls, make()),
    "equal": lambda cls, make: make() == make(),
    "equal to another": lambda cls, make: make() == 3,
    "equal without start": lambda cls, make: _fresh(cls) == _fresh(cls),
    "hash without start": lambda cls, make: isinstance(hash(_fresh(cls)), int),
    "same hash": lambda cls, make: len({make(), make()}),
    "hashable": lambda cls, make: issubclass(cls, Hashable),
    "less": lambda cls, make: make() < make(),
    "less or equal": lambda cls, make: make() <= make(),
    "set": lambda cls, make: _set(make(), "a"),
    "set another": lambda cls, make: _set(make(), "other"),
    "set without start": lambda cls, make: _set(_fresh(cls), "a"),
    "delete": lambda cls, make: _delete(make(), "a"),
    "delete without start": lambda cls, make: _delete(_fresh(cls), "other"),
    "replace": lambda cls, make: vars(dataclasses.replace(make(), a=6)),
    "as a dictionary": lambda cls, make: dataclasses.asdict(make()),
    "as a tuple": lambda cls, make: dataclasses.astuple(make()),
    "copied": lambda cls, make: vars(copy.deepcopy(make())),
    "copied by hand": lambda cls, make: repr(_twin(make())),
    "defaults": lambda cls, make: [str(getattr(cls, name, "none")) for name in "abcd"],
    "bound method": lambda cls, make: repr(make().__repr__()),
    "unbound method": lambda cls, make: cls.__repr__(make()),
    "qualified name": lambda cls, make: [getattr(cls, n).__qualname__.split(".")[-1] for n in ("__init__", "__repr__")],
    "name of a method": lambda cls, make: cls.__init__.__name__,
    "abstract": lambda cls, make: inspect.isabstract(cls),
    "subclasses": lambda cls, make: [s.__name__ for base in cls.__bases__[:-1] for s in base.__subclasses__()],
    "wrong arguments": lambda cls, make: cls(1, 2, 3, 4, 5, 6),
    "in a subclass": lambda cls, make: _described(dataclasses.dataclass(frozen=_is_frozen(cls))(type("S", (cls,), {}))),
}


def _is_frozen(cls: Any) -> bool:
    return cls.__dataclass_params__.frozen


def _without_addresses(found: Any) -> Any:
    return re.sub(" at 0x[0-9a-f]+", "", found) if isinstance(found, str) else found


def answers(case: Any, dataclass: Decorator, names: list[str]) -> list[Any]:
    """The answers to questions, asked in turn of one class; for an error, its type and text."""
    cls, make = case(dataclass)
    found: list[Any] = []
    for name in names:
        try:
            found.append(_without_addresses(QUESTIONS[name](cls, make)))
        except Exception as problem:
            found.append((type(problem), str(problem)))
    return found


def some(least: int, most: int) -> st.SearchStrategy[list[str]]:
    """Questions; that for subclasses depends on what waits for the garbage collector."""
    return st.lists(
        st.sampled_from([name for name in QUESTIONS if name != "subclasses"]), min_size=least, max_size=most
    )


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("case", CASES)
def test_the_first_question_has_the_standard_answer(case: Any, question: str):
    assert answers(case, LATER, [question]) == answers(case, dataclasses.dataclass, [question])


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=15)
@given(some(2, 8))
def test_any_questions_have_the_standard_answers(case: Any, names: list[str]):
    assert answers(case, LATER, names) == answers(case, dataclasses.dataclass, names)


@pytest.mark.parametrize("question", ["repr", "signature", "fields", "params", "is", "match args", "replace"])
@pytest.mark.parametrize("case", FAULTY)
def test_a_mistake_is_the_standard_error_at_the_first_use(case: Any, question: str):
    with pytest.raises((TypeError, ValueError)) as expected:
        case(dataclasses.dataclass)
    assert answers(case, LATER, [question]) == [(expected.type, str(expected.value))]


# Drawn classes ---------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "bare": dict,
    "default": lambda: {"default": 3},
    "factory": lambda: {"default_factory": list},
    "hidden": lambda: {"default": 4, "repr": False, "compare": False},
    "by keyword": lambda: {"kw_only": True},
    "not given": lambda: {"default": 5, "init": False},
}
OPTIONS = ["init", "repr", "eq", "order", "unsafe_hash", "frozen", "match_args", "kw_only"]


def drawn(kinds: list[tuple[str, bool]], options: dict[str, bool], methods: list[str]) -> Any:
    """A class with fields of these kinds, said by ``field`` or not, and with methods of its own."""

    def case(dataclass: Decorator):
        body: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
        for name, (kind, said) in zip("abcd", kinds):
            body["__annotations__"][name] = "int"
            how = KINDS[kind]()
            if said or (how and set(how) != {"default"}):
                body[name] = field(**how)
            elif how:
                body[name] = how["default"]
        body.update({name: lambda self, *_: 1 for name in methods})
        cls = dataclass(**options)(type("Case", (), body))
        return cls, lambda: cls(**{n: i for i, (n, (k, _)) in enumerate(zip("abcd", kinds)) if k != "not given"})

    return case


@given(
    st.lists(st.tuples(st.sampled_from(list(KINDS)), st.booleans()), max_size=4),
    st.dictionaries(st.sampled_from(OPTIONS), st.booleans()),
    st.lists(st.sampled_from(["__eq__", "__hash__", "__repr__", "__init__", "__lt__", "__setattr__"]), max_size=2),
    some(1, 5),
)
def test_a_drawn_class_has_the_standard_answers(
    kinds: list[tuple[str, bool]], options: dict[str, bool], methods: list[str], names: list[str]
):
    case = drawn(kinds, options, methods)
    try:
        expected = answers(case, dataclasses.dataclass, names)
    except (TypeError, ValueError) as problem:
        names, expected = ["fields"], [(type(problem), str(problem))]
    assert answers(case, LATER, names) == expected


# What differs, and what must not ---------------------------------------------------------------------------------


def test_nothing_is_written_before_it_is_asked_for():
    cls, make = frozen(LATER)
    before = dict(vars(cls))
    names = "__init__", "__setattr__", "__repr__", "__eq__", "__hash__"
    assert not any(inspect.isfunction(before[name]) for name in names)
    made = make()
    assert [inspect.isfunction(vars(cls)[name]) for name in names] == [True, True, False, False, False]
    assert made == make()
    assert [inspect.isfunction(vars(cls)[name]) for name in names] == [True, True, False, True, True]
    assert repr(made) == repr(make())
    assert all(inspect.isfunction(vars(cls)[name]) for name in names)


def test_a_mistake_is_an_error_at_every_use():
    cls, _ = mutable_default(LATER)
    for _ in range(2):
        with pytest.raises(ValueError, match="mutable default"):
            cls()


def test_a_body_is_what_it_was_at_the_decorator():
    cls, make = plain(LATER)
    cls.b = "later"
    cls.__repr__ = lambda self: "mine"
    assert make().b == "x"
    assert repr(make()) == "mine"


def test_bases_do_not_hear_of_another_subclass():
    heard: list[type] = []

    class Base:
        def __init_subclass__(cls) -> None:
            heard.append(cls)

    @LATER(frozen=True)
    class Case(Base):
        a: int

    assert Case(1) == Case(1)
    assert heard == [Case]


def test_a_method_calls_its_base():
    @LATER
    class Base:
        a: int

    @LATER
    class Case(Base):
        b: int

        def __init__(self, a: int, b: int) -> None:
            super().__init__(a)
            self.b = b

    assert vars(Case(1, 2)) == {"a": 1, "b": 2}


def test_many_threads_ask_at_once():
    for _ in range(20):
        cls, make = inherited(LATER)
        start, found = threading.Barrier(8), []

        def ask() -> None:
            start.wait()  # noqa: B023
            found.append(make())  # noqa: B023

        threads = [threading.Thread(target=ask) for _ in range(8)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert len(found) == 8
        assert all(x == make() and type(x) is cls for x in found)


@LATER(frozen=True)
class Pickled:
    """A class that pickle finds by name."""

    a: int
    b: list[int] = field(default_factory=list)


def test_an_instance_arrives_where_the_class_was_never_used():
    sent = pickle.dumps(Pickled(1, [2])).hex()
    tests = str(importlib.import_module(__name__).__file__).rpartition("/")[0]
    code = f"""
import pickle, sys
sys.path.append({tests!r})
x = pickle.loads(bytes.fromhex({sent!r}))
print(x == type(x)(1, [2]), repr(x))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "True Pickled(a=1, b=[2])"


def test_every_class_of_the_package_can_be_written():
    """Mistakes in fields would otherwise wait for the first use of a class."""
    written = 0
    for name, tree in modules().items():
        if not any(isinstance(n, ast.ImportFrom) and n.module == "gradloom.records" for n in tree.body):
            continue
        module = pytest.importorskip(name) if name.startswith("gradloom.cli") else importlib.import_module(name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == name and dataclasses.is_dataclass(cls):
                written += bool(cls.__dataclass_params__)  # type: ignore[attr-defined]
    assert written > 300
