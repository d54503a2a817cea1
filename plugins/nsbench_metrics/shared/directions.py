"""Random directions of projection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def random_directions(dimension: int, count: int, rng: np.random.Generator) -> Array:
    """Directions uniform on the sphere, float64[dimension, count]."""
    normal = rng.normal(size=(dimension, count))
    return normal / np.linalg.norm(normal, axis=0)
