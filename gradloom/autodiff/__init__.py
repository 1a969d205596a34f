"""Differentiation: graph to graph in ``forward``, ``reverse`` and ``batching``, and the other kinds as public names.

What works on tensors lives floors above; gradloom/__init__.py, which sees all floors, puts it here.
"""

from collections.abc import Callable
from typing import Any

from gradloom.autodiff.differences import numerical
from gradloom.autodiff.dual import Dual

explain: Callable[..., Any]
"""A derivative by the paths of the graph; see gradloom/paths.py."""

symbolic: Callable[..., Any]
"""A function and its derivatives as formulas; see gradloom/symbolic.py."""

check_gradients: Callable[..., Any]
"""A gradient held against differences; see gradloom/gradient_check.py."""

__all__ = ["Dual", "check_gradients", "explain", "numerical", "symbolic"]
