"""Numbers that describe the shape of a crystal, or of any set of attached sites, and how it grew.

A site is attached where the first channel is above ½. Lengths are in lattice constants, in the plane: the axes
of a hexagonal lattice in skewed coordinates stand at 120°. A quadrant is described as it is, without its
mirror images; its centre is the site (0, 0), elsewhere it is the centre of mass of the first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories import morphology
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Boundary, Domain, Lattice
from nsbench_metrics.shared.pieces import connected_pieces
from nsbench_metrics.shared.states import require_numbers

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ARM_RADIUS = 0.6
"""Arms are counted beyond this share of the largest radius."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Final states of n trajectories, and what the descriptors need beside them.

    attached: bool[n, H, W]; radius: float64[n, H, W], of each site from the centre; tips: float64[n, 2], the
    largest radius of an attached site in the first and the last frame; frames: float64[n], between them.
    """

    attached: Mask
    radius: Array
    tips: Array
    frames: Array
    lattice: Lattice
    boundaries: tuple[Boundary, Boundary] = ("open", "open")


def area(s: Shapes) -> Array:
    """Attached sites."""
    return morphology.area(s.attached[:, None])


def boundary(s: Shapes) -> Array:
    """Unattached sites with an attached neighbour."""
    return morphology.boundary(s.attached[:, None], s.lattice, s.boundaries)


def radius_of_gyration(s: Shapes) -> Array:
    """√ mean r² over attached sites, lattice constants; 0 where nothing is attached."""
    return np.sqrt((s.radius**2 * s.attached).sum(axis=(1, 2)) / np.maximum(area(s), 1))


def arm_count(s: Shapes) -> Array:
    """Connected pieces of the attached sites beyond 0.6 of the largest radius."""
    reach = (s.radius * s.attached).max(axis=(1, 2), keepdims=True)
    outer = s.attached & (s.radius > ARM_RADIUS * reach)
    pieces, count = connected_pieces(outer, s.lattice, s.boundaries)
    owner = np.zeros(count + 1, np.int64)
    state, row, column = np.nonzero(outer)
    owner[pieces[state, row, column]] = state
    return np.bincount(owner[1:], minlength=len(outer)).astype(np.float64)


def compactness(s: Shapes) -> Array:
    """4π · area / boundary²: about 1 for a disc, small for a dendrite; 0 without a boundary."""
    around = boundary(s)
    return np.divide(4 * np.pi * area(s), around**2, out=np.zeros(len(around)), where=around > 0)


def fractal_dimension(s: Shapes) -> Array:
    """Box-counting dimension: minus the slope of log N over log s, N boxes of s × s sites that hold an
    attached one, s = 1, 2, 4, … up to a quarter of the lattice. Grid aligned with the lattice's first site."""
    size = min(s.attached.shape[1:])
    sides = [side for side in (2**k for k in range(32)) if side <= max(size // 4, 1)]
    if len(sides) < 2:
        return np.zeros(len(s.attached))
    counts = np.stack([_boxes(s.attached, side) for side in sides], axis=1)
    x, y = np.log(sides), np.log(np.maximum(counts, 1))
    return -((x - x.mean()) * (y - y.mean(axis=1, keepdims=True))).sum(axis=1) / ((x - x.mean()) ** 2).sum()


def _boxes(attached: Mask, side: int) -> NDArray[np.int64]:
    """The number of boxes of side × side sites with an attached one, int64[n]."""
    n, height, width = attached.shape
    padded = np.pad(attached, ((0, 0), (0, -height % side), (0, -width % side)))
    cut = padded.reshape(n, padded.shape[1] // side, side, padded.shape[2] // side, side)
    return cut.any(axis=(2, 4)).sum(axis=(1, 2))


def tip_speed(s: Shapes) -> Array:
    """Speed at which the farthest attached site moved out, lattice constants a frame; 0 for a single frame."""
    return (s.tips[:, 1] - s.tips[:, 0]) / np.maximum(s.frames, 1)


DESCRIPTORS: dict[str, Callable[[Shapes], Array]] = {
    "area": area,
    "boundary": boundary,
    "radius_of_gyration": radius_of_gyration,
    "arm_count": arm_count,
    "compactness": compactness,
    "fractal_dimension": fractal_dimension,
    "tip_speed": tip_speed,
}


def shapes(trajectories: Trajectories) -> Shapes:
    """The shapes of the final states of trajectories."""
    domain = trajectories.domain
    first, last = (state[:, 0] > 0.5 for state in (trajectories.frame(0), trajectories.final()))
    radius = radii(first, domain)
    tips = np.stack([(radius * attached).max(axis=(1, 2)) for attached in (first, last)], axis=1)
    return Shapes(last, radius, tips, (trajectories.lengths - 1).astype(np.float64), domain.lattice, domain.boundaries)


def radii(first: Mask, domain: Domain) -> Array:
    """Distance of each site from the centre, float64[n, H, W], of first frames bool[n, H, W]."""
    i, j = np.indices(domain.shape).astype(np.float64)
    if domain.lattice == "square":
        x, y = i, j
    else:
        x, y = i - j / 2, j * np.sqrt(3) / 2
    if domain.lattice == "hexagonal-quadrant":
        return np.broadcast_to(np.hypot(x, y), first.shape)
    mass = np.maximum(first.sum(axis=(1, 2)), 1)
    centre_x, centre_y = ((first * a).sum(axis=(1, 2)) / mass for a in (x, y))
    return np.hypot(x - centre_x[:, None, None], y - centre_y[:, None, None])


def describe(trajectories: Trajectories, names: Sequence[str] | None = None) -> Array:
    """The named descriptors, all if None, float64[n, number of names].

    Raises ValueError for an unknown name, NotApplicable for states that are labels.
    """
    require_numbers(trajectories.domain)
    if unknown := [name for name in names or () if name not in DESCRIPTORS]:
        raise ValueError(f"no descriptor {unknown[0]!r}; there are {', '.join(DESCRIPTORS)}")
    final = shapes(trajectories)
    return np.stack([DESCRIPTORS[name](final) for name in names or DESCRIPTORS], axis=1)
