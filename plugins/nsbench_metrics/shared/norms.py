"""Euclidean distances between many states at once, by inner products: no array of all differences is made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def squared_distances(x: Array, y: Array) -> Array:
    """‖x_a − y_b‖², float64[..., a, b], of float64[..., a, D] and float64[..., b, D].

    Exact for small integers; otherwise distances below 1e−8 of the norms drown in rounding.
    """
    squares = (x**2).sum(axis=-1)[..., :, None] + (y**2).sum(axis=-1)[..., None, :] - 2 * x @ np.swapaxes(y, -1, -2)
    return np.maximum(squares, 0.0)


def distances(x: Array, y: Array) -> Array:
    """‖x_a − y_b‖; shapes as in squared_distances."""
    return np.sqrt(squared_distances(x, y))


def flat(states: Array) -> Array:
    """States as vectors, float64[E, m, D] of float64[E, m, ...]."""
    return states.reshape(*states.shape[:2], -1)
