"""Code for processors and systems that the tests do not run on, read as assembly."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import gradloom as gl
from gradloom.executors.native.module import write_module
from gradloom.executors.native.plan import make_plan
from gradloom.executors.native.scalars import CODE
from gradloom.executors.native.target import Target, host, llvm, machine
from gradloom.executors.native.vectormath import FUNCTIONS

ARM = Target("neon", "cortex-a72", "", 16, 32, "linux", "aarch64-unknown-linux-gnu")
MAC = Target("neon", "apple-m1", "", 16, 32, "darwin", "arm64-apple-macosx")
WINDOWS = Target("avx2", "haswell", "", 32, 16, "win32", "x86_64-pc-windows-msvc")
LINUX = {name: Target(name, cpu, "", width, 16, "linux", "x86_64-unknown-linux-gnu") for name, cpu, width in (
    ("avx2", "haswell", 32),
    ("sse2", "x86-64", 16),
)}

C_LIBRARY = re.compile(
    r"syscall|(?:sin|cos|tan|asin|acos|atan|sinh|cosh|asinh|acosh|atanh|atan2|pow|erf|erfc|lgamma|tgamma|fmod|exp|exp2"
    r"|log|log2|log10|log1p|expm1|cbrt|hypot|floor|ceil|rint|roundeven|fma|fmax|fmin|fmaximum|fminimum)f?|mem(?:cpy|set)"
)
COMPILER_RUNTIME = re.compile(r"__(?:extendhfsf2|truncsfhf2|truncdfhf2|gnu_[fh]2[fh]_ieee)")
"""Conversions of half precision, where the processor has none."""
