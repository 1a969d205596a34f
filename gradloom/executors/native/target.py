"""The machine that code is made for: vector width, registers, LLVM's target."""

from __future__ import annotations

import platform
import sys
from enum import Enum
from functools import lru_cache
from typing import Any

from gradloom import config
from gradloom.errors import OptionError
from gradloom.executors.native.machine import llvm, this_machine
from gradloom.records import dataclass


class Pairs(Enum):
    """How products of bfloat16 are summed; see dots.py."""

    WIDENED = "element by element, in float32 copies"
    INSTRUCTION = "in pairs, by AVX512_BF16"
    EMULATED = "in pairs, by what that instruction is documented to do"


@dataclass(frozen=True)
class Target:
    """What kernels need to know of a processor.

    Attributes:
        name: for messages and keys of caches.
        cpu: LLVM's name of the processor.
        features: LLVM's feature string.
        vector_bytes: width of a vector register.
        registers: number of vector registers.
        system: the operating system, as ``sys.platform`` names it.
        triple: LLVM's name of machine and system; empty is this one.
        pairs: how products of bfloat16 are summed.
    """

    name: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    system: str = sys.platform
    triple: str = ""
    pairs: Pairs = Pairs.WIDENED

    @property
    def architecture(self) -> str:
        """``x86``, ``arm`` (of 64 bits) or ``other``."""
        return {"neon": "arm", "other": "other"}.get(self.name, "x86")

    @property
    def clock(self) -> str:
        """LLVM's name of what reads a clock; programs may not read the counter of cycles of an ARM processor."""
        return "llvm.readsteadycounter" if self.architecture == "arm" else "llvm.readcyclecounter"

    def lanes(self, itemsize: int) -> int:
        """Elements of a vector."""
        return max(1, self.vector_bytes // itemsize)


_X86, _ARM = ("x86_64", "amd64"), ("aarch64", "arm64")
_AVX2 = Target("avx2", "haswell", "", 32, 16)
_SSE2 = Target("sse2", "x86-64", "", 16, 16)


def lesser() -> dict[str, Target]:
    """The lesser processors whose code this one runs, by name."""
    if platform.machine().lower() not in _X86:
        return {}
    known = [_AVX2, _SSE2] if this_machine().has("avx2", "fma", "f16c", "bmi2") else [_SSE2]
    return {target.name: target for target in known}


@lru_cache
def host(forced: str | None = None) -> Target:
    """This machine, or a lesser x86 processor by name (GRADLOOM_CPU).

    Raises:
        OptionError: the forced name is unknown, or this machine does not run that processor's code.
    """
    name = config.cpu() if forced is None else forced
    if name is not None:
        if name not in lesser():
            raise OptionError("GRADLOOM_CPU", rule=f"is one of {', '.join(lesser())}", got=repr(name))
        return lesser()[name]
    this, kind = this_machine(), platform.machine().lower()
    flat, cpu = this.features, this.cpu
    if kind not in _X86:
        return Target("neon", cpu, flat, 16, 32) if kind in _ARM else Target("other", cpu, flat, 16, 16)
    if this.has("avx512f", "avx512vl"):
        # Server processors are tuned for 256-bit vectors by default, which halves these kernels.
        pairs = Pairs.INSTRUCTION if this.has("avx512bf16") else Pairs.WIDENED
        return Target("avx512", cpu, flat + ",-prefer-256-bit", 64, 32, pairs=pairs)
    if this.has("avx2", "fma"):
        return Target("avx2", cpu, flat, 32, 16)
    return Target("sse2", cpu, flat, 16, 16)


def machine(target: Target) -> Any:
    """LLVM's code generator for a target."""
    known = llvm().Target
    triple = known.from_triple(target.triple) if target.triple else known.from_default_triple()
    return triple.create_target_machine(cpu=target.cpu, features=target.features, opt=2, jit=True)
