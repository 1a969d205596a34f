"""Differentiation: graph to graph in ``forward``, ``reverse`` and ``batching``, and the other kinds as public names.

``symbolic`` works on tensors, which live floors above; gradloom/__init__.py, which sees all floors, puts it here.
"""

from collections.abc import Callable
from typing import Any

from gradloom.autodiff.differences import numerical
from gradloom.autodiff.dual import Dual

symbolic: Callable[..., Any]
"""A function and its derivatives as formulas; see gradloom/symbolic.py."""

__all__ = ["Dual", "numerical", "symbolic"]
