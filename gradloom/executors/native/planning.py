"""From a graph to its plan, its outline and its code: what is done where no outline was kept."""

from __future__ import annotations

from collections.abc import Sequence

from gradloom.errors import CompileError
from gradloom.executors.native.compile import Code, Part, Refused, Written, key_of, load
from gradloom.executors.native.kernel import Kernel, storage
from gradloom.executors.native.loops import Apply
from gradloom.executors.native.module import KernelFunction, Module, held, write_module
from gradloom.executors.native.outline import Outline
from gradloom.executors.native.plan import Plan, make_plan
from gradloom.executors.native.target import Target
from gradloom.ir.graph import CONSTANT, PLACEHOLDER, Graph
from gradloom.records import dataclass


@dataclass(frozen=True)
class Planned:
    """A program before it is compiled.

    Attributes:
        plan: the kernels, and where buffers lie.
        module: the text around the kernels, and their functions.
        target: the machine.
        outline: all that a call needs of both.
    """

    plan: Plan
    module: Module
    target: Target
    outline: Outline

    def compiled(self, who: str) -> list[Code]:
        """The code of the program and of its kernels.

        Raises:
            CompileError: LLVM refuses a kernel; the message names it and ``who``.
        """
        return _loaded(who, _parts(self.module), self.target)


def planned(graph: Graph, target: Target, *, clocks: bool, flush: bool) -> Planned:
    """Plan a graph; see NativeProgram."""
    plan = make_plan(graph, target)
    module = write_module(plan, target, clocks=clocks, flush=flush)
    return Planned(plan, module, target, _outline(plan, module, target))


def _parts(module: Module) -> list[Part]:
    return [Written(module.text), *module.kernels]


def _outline(plan: Plan, module: Module, target: Target) -> Outline:
    nodes = held(plan)
    places = {n: i for i, n in enumerate(nodes)}
    roots = [storage(y) for y in plan.graph.outputs]
    pairs = list(enumerate(zip(plan.graph.outputs, roots)))
    lists = module.lists
    return Outline(
        keys=[key_of(part, target) for part in _parts(module)],
        names=[kernel.name for kernel in module.kernels],
        records=lists.records,
        called=lists.called,
        places=lists.places,
        work=module.work,
        clocks=len(module.timed),
        hosted=len(module.hosted),
        size=plan.size,
        computed=[(n.shape, n.dtype) for n in plan.outputs],
        constants=[n.value for n in nodes if n.op is CONSTANT],
        outputs=[places[root] for root in roots],
        shaped=[(i, y.shape) for i, (y, root) in pairs if y.shape != root.shape],
        copied=[i for i, (_, root) in pairs if root.op in (CONSTANT, PLACEHOLDER)],
    )


def _loaded(who: str, parts: Sequence[Part], target: Target) -> list[Code]:
    """The code of the program and of its kernels; where LLVM refuses a kernel, the error names it."""
    try:
        return load(parts, target)
    except Refused as problem:
        kernel = problem.part.kernel if isinstance(problem.part, KernelFunction) else None
        raise CompileError(
            who,
            rule=f"LLVM refuses {_described(kernel) if kernel else 'the program around the kernels'}",
            got=" ".join(str(problem).split())[:300],
            fix="This is a mistake of gradloom: please report it. The reference executor runs the graph.",
        ) from problem


def _described(kernel: Kernel) -> str:
    """A kernel, with the primitives that are fused into its loops and the layers that its nodes are of."""
    code = [*(kernel.inner.code if kernel.inner else ()), *kernel.block.code]
    fused = ", ".join(dict.fromkeys(i.name for i in code if isinstance(i, Apply)))
    layers = ", ".join(dict.fromkeys(n.scope for n in kernel.nodes if n.scope))
    return f"{kernel}{f' with {fused}' if fused else ''}{f' of {layers}' if layers else ''}"
