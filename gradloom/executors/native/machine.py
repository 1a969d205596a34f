"""What LLVM says of this machine, kept on disk: asking takes LLVM, whose library takes long to load.

What is kept is named by all that the answer depends on: what the kernel says of the processor, and which file LLVM
is.  Where that cannot be told, LLVM is asked each time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from gradloom import config
from gradloom.executors.native.cache import ObjectCache
from gradloom.records import dataclass

_PROCESSOR = Path("/sys/devices/system/cpu/modalias")
"""Family, model and features of the processor, on Linux."""


@lru_cache
def llvm() -> ModuleType:
    """llvmlite's binding of LLVM, loaded when something is compiled: it takes a twentieth of a second."""
    import llvmlite.binding as binding  # noqa: PLC0415

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@dataclass(frozen=True)
class Machine:
    """LLVM's words.

    Attributes:
        version: LLVM's own.
        cpu: its name of the processor.
        features: the processor's, as ``+avx2,-avx512f``.
    """

    version: str
    cpu: str
    features: str

    def has(self, *features: str) -> bool:
        """Whether the processor has all of these."""
        return {f"+{feature}" for feature in features} <= set(self.features.split(","))


@lru_cache
def this_machine() -> Machine:
    """What LLVM says of this one."""
    known, cache = _identity(), ObjectCache(config.cache_folder())
    kept = cache.find(known) if known else None
    if kept is not None:
        return Machine(*json.loads(kept))
    binding = llvm()
    version = ".".join(map(str, binding.llvm_version_info))
    asked = Machine(version, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    if known:
        cache.keep(known, json.dumps([asked.version, asked.cpu, asked.features]).encode())
    return asked


def _identity() -> str | None:
    """A name for processor and LLVM; None where they cannot be told from others."""
    package = importlib.util.find_spec("llvmlite")
    if package is None or not package.submodule_search_locations:
        return None
    library = Path(package.submodule_search_locations[0], "binding", "libllvmlite.so")
    try:
        status, processor = library.stat(), _PROCESSOR.read_text()
    except OSError:
        return None
    words = "machine", processor, str(library), str(status.st_size), str(status.st_mtime_ns)
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
