"""The law of growth in gusts of wind.

Each step draws a wind u, uniformly from the six directions of the lattice. An unattached site attaches with

    p = 1 − exp(−h),   h = λ Σ_{attached neighbours} exp(s·cos(angle between the neighbour's direction and u)),

independently of all others, given u. So sites catch what the wind carries on the side from which it blows. What hangs
together in a step does so through u alone.

A mask says which neighbours of a site are attached: bit k is set where the one in the direction DIRECTIONS[k] is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
"""The neighbours of a site of a hexagonal lattice, as differences (i, j), each turned by 60° from the one before."""

WINDS, MASKS = 6, 64


Array = NDArray[np.float64]


def _neighbours_by_angle() -> tuple[NDArray[np.uint8], Array]:
    """The situations that a wind tells apart, which are 36.

    Returns (the situation uint8[winds, masks], float64[36, 4] the numbers of attached neighbours in a situation whose
    direction has a cosine of 1, ½, −½ and −1 with the wind's).
    """
    angle = (0, 1, 2, 3, 2, 1)  # of a direction turned by k·60° from the wind, in units of 60°
    counts = np.zeros((WINDS, MASKS, 4), np.int64)
    for u in range(WINDS):
        for k in range(6):
            counts[u, :, angle[(k - u) % 6]] += np.arange(MASKS) >> k & 1
    different, situation = np.unique(counts.reshape(-1, 4), axis=0, return_inverse=True)
    return situation.reshape(WINDS, MASKS).astype(np.uint8), different.astype(np.float64)


SITUATION, COUNTS = _neighbours_by_angle()


def hazards(rate: Array, strength: Array) -> Array:
    """The hazards h in each situation, float64[n, 36], of λ and s, float64[n] each."""
    each = np.exp(strength[:, None] * np.array([1.0, 0.5, -0.5, -1.0]))
    return rate[:, None] * sum(COUNTS[:, c] * each[:, c, None] for c in range(4))


def survival(rate: Array, strength: Array) -> Array:
    """The chance 1 − p of a site to stay as it is in a step, whatever the wind, float64[n, masks].

        1 − p = (1/6) Σ_u exp(−h(u, mask))

    Equal for masks that are turned, to the bit, because equal terms are added in the same order.
    """
    stays = np.exp(-hazards(rate, strength))
    ordered = np.sort(SITUATION, axis=0)
    chances = stays[:, ordered[0]]
    for u in range(1, WINDS):
        chances = chances + stays[:, ordered[u]]
    return chances / WINDS


def neighbour_masks(attached: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask of each site, uint8[n, H, W] of bool[n, H, W]; nothing is attached beyond the lattice."""
    height, width = attached.shape[1:]
    padded = np.pad(attached, ((0, 0), (1, 1), (1, 1))).view(np.uint8)
    masks = np.zeros(attached.shape, np.uint8)
    for k, (i, j) in enumerate(DIRECTIONS):
        masks |= padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width] << np.uint8(k)
    return masks
