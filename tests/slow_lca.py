"""A second implementation of the LCA: float64, plain arrays, written from the rules alone, slowly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

RULES = {"alpha": 0.14, "beta": 1.1, "gamma": 7e-5, "theta": 8.5e-3, "kappa": 7e-3, "mu": 4.8e-2}


def neighbour_table(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each site's six neighbours, int[N, N, 6]; the axes are mirrors."""
    rows, columns = np.zeros((size, size, 6), int), np.zeros((size, size, 6), int)
    for i in range(size):
        for j in range(size):
            for m, (di, dj) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)]):
                r, s = i + di, j + dj
                if r == -1:
                    r, s = 1, s + 1
                if s == -1:
                    r, s = r + 1, 1
                rows[i, j, m], columns[i, j, m] = min(r, size - 1), min(s, size - 1)
    return rows, columns


Noise = Callable[[int], np.ndarray]
"""Step -> what the vapour is multiplied with, [N, N]."""


def silence(step: int) -> np.ndarray:
    return np.ones(())


def grow_slowly(
    rho: float, size: int, stop_margin: int = 5, max_steps: int = 10_000, noise: Noise = silence
) -> tuple[np.ndarray, int]:
    """(arrival map, steps) of a crystal."""
    grown = record_slowly(rho, size, stop_margin, max_steps, noise)
    return grown["arrival"], grown["last"]


def record_slowly(
    rho: float, size: int, stop_margin: int = 5, max_steps: int = 10_000, noise: Noise = silence
) -> dict[str, Any]:
    """The same with its masses: arrival, last (the number of steps); steps in which something attached, and
    ice, the crystal mass after each of them; final, [N, N, 4]: attachment, boundary mass, crystal mass, vapour."""
    alpha, beta, gamma, theta, kappa, mu = RULES.values()
    rows, columns = neighbour_table(size)
    interior = np.zeros((size, size), bool)
    interior[:-1, :-1] = True
    attached = np.zeros((size, size), bool)
    attached[0, 0] = True
    b, c, d = np.zeros((size, size)), np.zeros((size, size)), np.full((size, size), rho)
    c[0, 0], d[0, 0] = 1, 0
    arrival, ice, steps = np.where(attached, 0, -1), [], []
    for step in range(1, max_steps + 1):
        k = attached[rows, columns].sum(-1)
        d = np.where(interior & ~attached, (d[rows, columns].sum(-1) + (k + 1) * d) / 7, d)
        front = interior & ~attached & (k >= 1)
        b, c = np.where(front, b + (1 - kappa) * d, b), np.where(front, c + kappa * d, c)
        d = np.where(front, 0, d)
        poor = d[rows, columns].sum(-1) < theta
        few, three, many = (k <= 2) & (b >= beta), (k == 3) & ((b >= 1) | ((b >= alpha) & poor)), k >= 4
        new = front & (few | three | many)
        attached |= new
        c, b = np.where(new, c + b, c), np.where(new, 0, b)
        melting = front & ~new
        d, b, c = (
            np.where(melting, d + mu * b + gamma * c, d),
            np.where(melting, b - mu * b, b),
            np.where(melting, c - gamma * c, c),
        )
        d = np.where(interior & ~attached, d * noise(step), d)
        arrival[new] = step
        if new.any():
            ice.append(c)
            steps.append(step)
        if new[size - stop_margin].any() or new[:, size - stop_margin].any():
            break
    final = np.stack([attached, b, c, d], axis=-1)
    return {"arrival": arrival, "last": step, "steps": np.array(steps), "ice": np.stack(ice), "final": final}
