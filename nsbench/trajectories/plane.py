"""The plane: sites of a lattice as pixels of a picture."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Lattice


def draw_sites(values: NDArray[Any], lattice: Lattice, width: int, outside: Any = 0) -> NDArray[Any]:
    """One state, [H, W], as an image [height, width] of its sites; `outside` where there is no site."""
    index = site_map(lattice, (values.shape[0], values.shape[1]), width)
    return np.where(index < 0, outside, values.reshape(-1)[index])


@lru_cache(maxsize=8)
def site_map(lattice: Lattice, shape: tuple[int, int], width: int) -> NDArray[np.int64]:
    """The site that each pixel shows, int64[height, width]: i·W + j, −1 where there is none.

    Rows i run down the picture of a square lattice. On hexagonal lattices site (i, j) sits at
    (i − j/2, j·√3/2), where its neighbours (i±1, j), (i, j±1), ±(1, 1) are at distance 1, and y points
    up. A quadrant is unfolded to the whole crystal around (0, 0) by its mirrors; of a hexagon's map the
    hexagon alone is drawn.
    """
    if lattice == "square":
        rows = np.arange(max(width * shape[0] // shape[1], 1))
        i = rows * shape[0] // len(rows)
        return i[:, None] * shape[1] + np.arange(width) * shape[1] // width
    i, j = _nearest(*_grid(*_extent(lattice, shape), width))
    if lattice == "hexagonal-quadrant":
        i, j = fold(i, j)
    elif lattice == "hexagon":
        reach = shape[0] // 2
        away = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j)) >= reach
        i, j = np.where(away, -1, i + reach), j + reach
    inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
    return np.where(inside, i * shape[1] + j, -1)


def fold(u: NDArray[np.int64], v: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The site (i, j) of the quadrant that a site (u, v) of the whole crystal mirrors."""
    second, third = (u < 0) & (v >= u), (v < 0) & (v < u)
    i = np.where(second, -u, np.where(third, u - v, u))
    j = np.where(second, v - u, np.where(third, -v, v))
    return i, j


def _extent(lattice: Lattice, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """The bounds (left, right, bottom, top) of all sites, half a site of margin included."""
    height, width = shape[0] - 1, shape[1] - 1
    if lattice in ("hexagonal-quadrant", "hexagon"):
        reach = max(height, width) if lattice == "hexagonal-quadrant" else shape[0] // 2 - 1
        return -reach - 0.5, reach + 0.5, -reach * 3**0.5 / 2 - 0.6, reach * 3**0.5 / 2 + 0.6
    return -width / 2 - 0.5, height + 0.5, -0.6, width * 3**0.5 / 2 + 0.6


def _grid(left: float, right: float, bottom: float, top: float, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The coordinates (x, y) of the pixels' centres, x float64[1, width], y float64[height, 1], the top row first."""
    pixel = (right - left) / width
    height = max(round((top - bottom) / pixel), 1)
    x = left + (np.arange(width) + 0.5) * pixel
    y = (top + bottom) / 2 + (height / 2 - np.arange(height) - 0.5) * pixel
    return x[None], y[:, None]


def _nearest(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Coordinates of the nearest hexagonal site: all three cube coordinates rounded, the worst one mended."""
    v = y / (3**0.5 / 2)
    cube = np.stack(np.broadcast_arrays(x + v / 2, -v, v / 2 - x))  # [3, height, width], sums to 0
    rounded = np.rint(cube)
    error, excess = np.abs(rounded - cube), rounded.sum(axis=0)
    worst = error.argmax(axis=0)
    rounded -= (np.arange(3)[:, None, None] == worst) * excess
    return rounded[0].astype(np.int64), (-rounded[1]).astype(np.int64)
