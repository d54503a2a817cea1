"""What benchmarks/systems.py measures of a system: its kernel beside a plain numpy implementation of the same rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A system at the size of its suite.

    compiled     () -> site-steps done, by the kernel on as many threads as Numba is set to; about a second on one.
    plain        () -> site-steps done, by numpy.
    operations   floating-point operations, or comparable integer ones, that a site-step cannot do without.
    bytes        bytes that a site-step cannot do without loading or storing.
    """

    name: str
    compiled: Callable[[], int]
    plain: Callable[[], int]
    operations: float
    bytes: float
