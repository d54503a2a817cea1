"""Starts: the fine states that a case begins with, made from its hidden parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Domain
from nsbench_dendrite.kernel import LAWS, Grid, grow
from nsbench_dendrite.law import WIDTH

HIDDEN = ("nuclei", "radius", "history")
"""The parameters that make a start."""

TOLERANCE = 1e-3
"""The difference of a shown value that may come from another machine's rounding."""


def grid_of(domain: Domain) -> Grid:
    """The grid that a domain's parameters tell of."""
    if domain.boundaries != ("closed", "closed") or domain.states != "fields" or domain.shape[0] != domain.shape[1]:
        raise ValueError(
            f"dendrites are fields on a square with closed boundaries, not {domain.states} on "
            f"{domain.shape[0]} × {domain.shape[1]} sites with boundaries {' and '.join(domain.boundaries)}"
        )
    if domain.dt is None:
        raise ValueError("dendrites need a domain whose ticks have a time, got dt None")
    block, spacing, time_step, order = (_constant(domain, n) for n in ("block", "spacing", "time_step", "order"))
    return Grid(domain.shape[0], int(block), spacing, time_step, round(domain.dt / time_step), int(order))


def nuclei(
    count: NDArray[np.float64], radius: NDArray[np.float64], history: NDArray[np.float64], grid: Grid
) -> NDArray[np.float64]:
    """Round nuclei, phases float64[n, N, N], at `count` places each, uniform in the middle half of the box.

    The phase is 1 / (1 + exp((r − R) / √2 ε̄)) at the distance r from the nearest centre: the profile of a flat
    interface at rest. history: seeds of the places.
    """
    axis = (np.arange(grid.sites) + 0.5) * grid.spacing
    p = np.empty((len(count), grid.sites, grid.sites))
    for k, seed in enumerate(history.tolist()):
        y, x = centres(int(count[k]), seed, grid).T[:, :, None, None]
        r = np.sqrt((axis[:, None] - y) ** 2 + (axis - x) ** 2).min(axis=0)
        p[k] = 1 / (1 + np.exp(np.minimum((r - radius[k]) / (2**0.5 * WIDTH), 500)))
    return p


def centres(count: int, history: float, grid: Grid) -> NDArray[np.float64]:
    """The places (y, x) of that many nuclei, float64[count, 2], lengths."""
    return np.random.default_rng([int(history), 0]).uniform(0.25, 0.75, (count, 2)) * grid.side


def starts(params: NDArray[np.float64], domain: Domain) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The phases and undercoolings of n cases at their first frame, float32[n, N, N]: nuclei, after `lead` ticks.

    params: float64[n, P]. Noise before the first frame comes from the history, so that cases with the same parameters
    have the same start.
    """
    grid, lead = grid_of(domain), int(_constant(domain, "lead"))
    rows, place = np.unique(params, axis=0, return_inverse=True)
    count, radius, history = columns(rows, domain, HIDDEN).T
    p = nuclei(count, radius, history, grid).astype(np.float32)
    u = np.ones_like(p)
    keys = [np.random.SeedSequence([int(h), 1]).generate_state(1, np.uint64)[0] for h in history]
    grow(p, u, columns(rows, domain, LAWS), grid, keys=np.array(keys, np.uint64), ticks=lead)
    return p[place.ravel()], u[place.ravel()]


def require_shown(p: NDArray[np.float32], u: NDArray[np.float32], shown: NDArray[np.float32]) -> None:
    """Raise ValueError unless the fine starts [n, N, N] are what first frames float32[n, 2, H, W] show."""
    size = shown.shape[-1]
    fine = np.stack([p, 1 - u], axis=1)
    block = fine.shape[-1] // size
    means = fine.reshape(len(p), 2, size, block, size, block).mean(axis=(3, 5))
    difference = float(abs(means - shown).max(initial=0))
    if not difference <= TOLERANCE:
        raise ValueError(
            f"dendrites go on only from first frames that their hidden parameters make, to {TOLERANCE:g}; these differ "
            f"from them by {difference:.3g}"
        )


def columns(params: NDArray[np.float64], domain: Domain, names: tuple[str, ...]) -> NDArray[np.float64]:
    """The named parameters, float64[n, len(names)]."""
    return params[:, [domain.column(name) for name in names]]


def _constant(domain: Domain, name: str) -> Any:
    return domain.parameters[domain.column(name)].low
