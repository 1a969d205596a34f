"""bfloat16 as a data type: where it comes from, what it holds, how it is computed with."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradloom as gl
from gradloom.errors import DTypeError, MissingPackageError
from gradloom.ir.tensortype import finfo, is_bfloat16, is_float, kind_of, name_of


def test_it_is_the_type_of_the_package():
    assert gl.bfloat16 == np.dtype(ml_dtypes.bfloat16)
    for asked in ("bfloat16", gl.bfloat16, ml_dtypes.bfloat16):
        assert gl.ones(3, asked).dtype == gl.bfloat16
    assert gl.tensor(np.ones(2, ml_dtypes.bfloat16)).dtype == gl.bfloat16
    assert (kind_of(gl.bfloat16), name_of(gl.bfloat16), is_float(gl.bfloat16)) == ("f", "bfloat16", True)
    assert not is_bfloat16(np.dtype("V2"))
    with pytest.raises(DTypeError):
        gl.tensor(np.zeros(2, "V2"))


def test_the_package_is_loaded_when_the_type_is_asked_for():
    loaded = "print('ml_dtypes' in sys.modules)"
    program = f"import sys, gradloom as gl; {loaded}; gl.bfloat16; {loaded}"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("ask", [lambda: gl.bfloat16, lambda: gl.zeros(2, "bfloat16"), lambda: finfo("bfloat16")])
def test_without_the_package_the_error_names_the_extra(ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'gradloom\[bfloat16\]'"):
        ask()


def test_printing():
    x = gl.tensor([1.5, -0.1], "bfloat16")
    assert repr(x) == "Tensor([1.5, -0.100098], bfloat16)"
    assert str(gl.trace(lambda v: v + 1, x).output_types[0]) == "bfloat16[2]"
    assert "bfloat16[2]" in gl.trace(lambda v: v + 1, x).to_html()
    assert f"{gl.tensor(0.1, 'bfloat16'):.3f}" == "0.100"


def test_limits():
    assert [float(getattr(gl.finfo(gl.bfloat16), name)) for name in ("eps", "tiny", "max")] == [
        2**-7,
        2.0**-126,
        2.0**128 - 2.0**120,
    ]
    assert gl.finfo("float16").max == 65504


def test_a_primitive_is_computed_in_single_precision_and_rounded_once():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(40, 40)).astype(ml_dtypes.bfloat16) for _ in range(2))
    wide, other = x.astype(np.float32), y.astype(np.float32)
    for found, wanted in (
        (gl.tensor(x) @ y, wide @ other),
        (gl.sum(x, axis=0), wide.sum(0)),
        (gl.exp(x), np.exp(wide)),
        (gl.tensor(x) / y, wide / other),
    ):
        assert found.dtype == gl.bfloat16
        exact = wanted.astype(np.float64)
        # Half a unit in the last place, and what sums in float32 may be off.
        np.testing.assert_allclose(found.numpy().astype(np.float64), exact, rtol=2**-8 + 1e-4, atol=1e-5)
    assert gl.sum(gl.ones(512, "bfloat16")).item() == 512  # a running sum in bfloat16 would stop at 256
    assert (gl.tensor(x) < y).tolist() == (wide < other).tolist()


def test_fills_take_no_memory():
    x = gl.broadcast_to(gl.full((), 0.5, "bfloat16"), (1000, 1000))
    assert not any(x.numpy().strides)


def test_derivatives_pass_through_casts_in_the_type_of_the_parameter():
    def loss(w: gl.Tensor) -> gl.Tensor:
        return gl.sum(gl.cast(gl.cast(w, "bfloat16") ** 2, "float32"))

    w = gl.tensor([1.0, 1.001, -3.0])
    found = gl.grad(loss)(w)
    assert found.dtype == "float32"
    assert found.tolist() == [2, 2, -6]  # 1.001 is 1 in bfloat16
    assert gl.grad(lambda v: gl.sum(v * v))(gl.tensor([1.5], "bfloat16")).dtype == gl.bfloat16


@given(st.floats(width=32))
def test_numbers_are_those_of_the_package(value: float):
    with np.errstate(all="ignore"):
        wanted = np.float32(value).astype(ml_dtypes.bfloat16)
    assert gl.tensor(np.float32(value), "bfloat16").numpy().tobytes() == wanted.tobytes()


def test_normal_numbers_are_those_of_single_precision_rounded():
    key = gl.random.key(3)
    wide = gl.random.normal(key, (2000,))
    assert gl.random.normal(key, (2000,), dtype="bfloat16").tolist() == gl.cast(wide, "bfloat16").tolist()
    assert gl.random.uniform(key, (500,), 1.0, 2.0, dtype="bfloat16").numpy().max() < 2
