"""The operator vectors that the package onnx carries: for each operator small inputs and the outputs that it must give.

Those in the folder "node" were computed by the package's own NumPy code, those of "pytorch-converted" and
"pytorch-operator" by PyTorch: oracles that share nothing with this library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend/test/data"
ONNX, PYTORCH = ("node",), ("pytorch-converted", "pytorch-operator")

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One use of one operator.

    Attributes:
        path: its folder in the package.
        op: the operator.
        attributes: its options.
        inputs: names of what the operator takes, "" for what is absent.
        files: names of what is in files, in their order.
        constants: values that the model itself holds, by name.
    """

    path: Path
    op: str
    attributes: Attributes
    inputs: tuple[str, ...]
    files: tuple[str, ...]
    constants: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> tuple[list[Any], list[np.ndarray]]:
        """Inputs in their order, None for those that are absent, and the outputs wanted."""
        given = {**self.constants, **dict(zip(self.files, self._arrays("input"), strict=True))}
        return [given[name] if name else None for name in self.inputs], self._arrays("output")

    def _arrays(self, kind: str) -> list[np.ndarray]:
        files = sorted(
            (self.path / "test_data_set_0").glob(f"{kind}_*.pb"),
            key=lambda file: int(file.stem[len(kind) + 1 :]),
        )
        return [numpy_helper.to_array(onnx.load_tensor(file)) for file in files]


@cache
def _cases(source: str) -> tuple[Case, ...]:
    """All models of a single operator, whose inputs and outputs are tensors."""
    found = []
    for path in sorted((FOLDER / source).glob("*/model.onnx")):
        graph = onnx.load(path).graph
        is_plain = all(value.type.HasField("tensor_type") for value in (*graph.input, *graph.output))
        if len(graph.node) == 1 and is_plain:
            node = graph.node[0]
            attributes = {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute}
            constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
            files = tuple(value.name for value in graph.input if value.name not in constants)
            found.append(Case(path.parent, node.op_type, attributes, tuple(node.input), files, constants))
    return tuple(found)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def cases(*ops: str, sources: tuple[str, ...] = ONNX) -> list[Case]:
    """The cases of some operators."""
    return [case for source in sources for case in _cases(source) if case.op in ops]


def of(*ops: str, sources: tuple[str, ...] = ONNX, where: Callable[[Case], Any] = lambda case: True) -> Any:
    """Run a test on every case of some operators that fulfils a condition."""
    return pytest.mark.parametrize("case", list(filter(where, cases(*ops, sources=sources))), ids=lambda c: c.name)


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Within the tolerance that ONNX asks of its implementations."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-7)


# Images have their channels first there, and last here ------------------------------------------------------------


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def channels_first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)


def kernel_last(w: np.ndarray) -> np.ndarray:
    """(out, in, *window) as (*window, in, out)."""
    return np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))


class Windows:
    """The attributes of windows, worked out for an input of these spatial sizes."""

    def __init__(self, attributes: Attributes, spatial: tuple[int, ...], window: tuple[int, ...]) -> None:
        rank = len(spatial)
        self.strides = tuple(attributes.get("strides", [1] * rank))
        self.dilation = tuple(attributes.get("dilations", [1] * rank))
        self.extents = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, window))
        pads = attributes.get("pads", [0] * 2 * rank)
        self.pads = tuple(zip(pads[:rank], pads[rank:]))
        automatic = attributes.get("auto_pad", "NOTSET")
        if automatic.startswith("SAME"):
            needed = (max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(spatial, self.strides, self.extents))
            self.pads = tuple(halves(total, automatic) for total in needed)
        # ceil_mode: room after the end for a last window that begins inside the input or its first padding.
        self.room = tuple((0, 0) for _ in spatial)
        if attributes.get("ceil_mode"):
            self.room = tuple(
                (0, self.after_end(n + low + high, n + low, s, e))
                for n, (low, high), s, e in zip(spatial, self.pads, self.strides, self.extents)
            )

    @staticmethod
    def after_end(padded: int, last_start: int, stride: int, extent: int) -> int:
        count = -(-(padded - extent) // stride) + 1
        if (count - 1) * stride >= last_start:
            count -= 1
        return max((count - 1) * stride + extent - padded, 0)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        return tuple((low, high + room) for (low, high), (_, room) in zip(self.pads, self.room))


def halves(total: int, automatic: str) -> tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (small, large) if automatic == "SAME_UPPER" else (large, small)
