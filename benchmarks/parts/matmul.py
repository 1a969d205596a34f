"""How close do matrix products come to what the machine can do?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

from benchmarks.measured import Found, Goal, at_least, best, median
from benchmarks.parts.steps import MEDIUM, NETWORKS
from benchmarks.rounds import each, interleaved
from benchmarks.systems import NATIVE
from benchmarks.tables import number, table
from benchmarks.work import Product

TITLE = "Matrix products"
NOTE = """float32, operands in memory, left operands that change from product to product. gradloom and JAX loop over
them inside a program, NumPy and PyTorch from Python, into a result that is there already. The peak is measured in
between: multiply-adds in registers alone, on all threads (`gradloom/executors/native/peak.py`)."""

PEERS = ("NumPy by hand", "PyTorch eager", "JAX, jitted step")
PEAK = "peak"
SQUARES = (256, 512, 1024, 2048, 4096)
ODD = ((17, 17, 17), (63, 63, 63), (129, 129, 129), (1000, 3, 1000), (3, 1000, 3))


def _product(rows: int, inner: int, columns: int, turned: str = "") -> Product:
    """Enough products for some 20 ms, in not more than 64 MB of data."""
    flops = 2 * rows * inner * columns
    return Product(rows, inner, columns, max(1, min(int(2e9 / flops), 2**24 // (rows * inner), 2000)), turned)


def _title(p: Product) -> str:
    turned = {"left": ", left operand transposed", "right": ", right operand transposed", "": ""}[p.turned]
    return f"{p.rows}x{p.inner} · {p.inner}x{p.columns}{turned}"


def _named(products: Iterable[Product]) -> dict[str, Product]:
    return {_title(p): p for p in products}


def _of_a_step() -> Iterable[Product]:
    """The products of a training step of the medium network: values, gradients of weights, gradients of values."""
    network = NETWORKS[MEDIUM]
    for i, (a, b) in enumerate(pairwise(network.sizes)):
        yield _product(network.batch, a, b)
        yield _product(a, network.batch, b, "left")
        if i > 0:
            yield _product(network.batch, b, a, "right")


COMPARED = _named([*(_product(n, n, n) for n in SQUARES), *(_product(*shape) for shape in ODD)])
OF_A_STEP = _named(_of_a_step())
PRODUCTS: Mapping[str, Product] = {**COMPARED, **OF_A_STEP}


def measure(
    rounds: int, products: Mapping[str, Product] = PRODUCTS, systems: tuple[str, ...] = (NATIVE, *PEERS, PEAK)
) -> Found:
    """All systems and the peak."""
    return interleaved(products, each("multiply", systems), rounds)


def show(found: Found) -> str:
    """A line for each product, in GFLOP/s."""
    systems = [NATIVE, *PEERS, PEAK]
    rows = []
    for title in found:
        gflops = [
            PRODUCTS[title].flops / median(found, title, s) / 1e9 if title in PRODUCTS else math.nan for s in systems
        ]
        cells = ["" if math.isnan(g) else number(g) for g in gflops]
        shares = [_share(found, title, PEERS), _share(found, title, (PEAK,))]
        rows.append([title, *cells, *("" if math.isnan(share) else f"{share:.0%}" for share in shares)])
    heads = [f"{system}, GFLOP/s" for system in systems]
    return table(("product", *heads, "of the best peer", "of the peak"), rows) + "\n\n" + _spreads(found)


def _spreads(found: Found) -> str:
    """How far gradloom's rounds lie apart, at the worst."""
    widths = [max(m.values) / min(m.values) for row in found.values() if (m := row.get(NATIVE)) and m.values]
    return (
        f"The slowest of gradloom's rounds took at most {max(widths):.2f} times as long as its fastest."
        if widths
        else ""
    )


def _share(found: Found, title: str, others: Iterable[str]) -> float:
    """Our speed as a share of the best of others."""
    return best(found, title, NATIVE, others)[1]


def goals(found: Found) -> list[Goal]:
    """Beside the peers' products, and the share of the peak in the products of a training step."""
    times = {title: median(found, title, NATIVE) for title in OF_A_STEP}
    share = sum(time * _share(found, title, (PEAK,)) for title, time in times.items()) / sum(times.values())
    wanted = f"{MEDIUM}: at least 75% of the measured peak in its matrix products"
    result = [at_least(2, wanted, share, 0.75)]
    for title in COMPARED:
        name, ratio = best(found, title, NATIVE, PEERS)
        text = f"{title}: at least 85% of the best of the peers ({name})"
        result.append(at_least(4, text, ratio, 0.85))
    return result
