"""Not a system: how long work would take if the processor's floating-point units never waited."""

from __future__ import annotations

from benchmarks.systems.base import Job, System
from benchmarks.work import Product
from gradloom.executors.native.peak import measured_flops


class Peak(System):
    """The peak of all threads, measured again each time, since it changes with the processor's clock."""

    def multiply(self, product: Product) -> Job:
        """Operations over peak."""
        return Job(measured_flops, seconds=lambda: product.flops / measured_flops())
