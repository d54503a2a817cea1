"""Observables of a crystal, whose distributions Timmer et al. (arXiv 2405.16608, section 4) compare."""

from __future__ import annotations

from functools import partial

from nsbench.trajectories.domain import Lattice, Observable
from nsbench.trajectories.morphology import area, boundary
from nsbench_lca.layout import Symmetry


def _observables(lattice: Lattice) -> tuple[Observable, ...]:
    return Observable("area", "sites", area), Observable("boundary", "sites", partial(boundary, lattice=lattice))


OBSERVABLES: dict[Symmetry, tuple[Observable, ...]] = {
    "quadrant": _observables("hexagonal-quadrant"),
    "none": _observables("hexagon"),
}
"""The observables of a state: of one quadrant, or of a whole crystal."""
