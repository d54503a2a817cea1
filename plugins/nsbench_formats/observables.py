"""Observables of states from files, which hold no functions: growth's shape, labels' texture, fields' moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Boundary, Domain, Lattice, Observable, States
from nsbench.trajectories.lattices import OFFSETS
from nsbench.trajectories.morphology import area, boundary

Boundaries = tuple[Boundary, Boundary]
State = NDArray[np.float32]


def with_observables(domain: Domain) -> Domain:
    """The domain with the observables that states of its kind have without more being known of them."""
    return replace(domain, observables=_BY_KIND[domain.states](domain))


def _of_growth(domain: Domain) -> tuple[Observable, ...]:
    around = partial(boundary, lattice=domain.lattice, boundaries=domain.boundaries)
    return Observable("area", "sites", area), Observable("boundary", "sites", around)


def _of_labels(domain: Domain) -> tuple[Observable, ...]:
    unlike = partial(unlike_bonds, lattice=domain.lattice, boundaries=domain.boundaries)
    largest = partial(largest_share, labels=domain.labels)
    return Observable("unlike bonds", "bonds", unlike), Observable("largest share", "1", largest)


def _of_fields(domain: Domain) -> tuple[Observable, ...]:
    units = domain.units or ("1",) * len(domain.channels)
    return tuple(
        Observable(f"{channel} {name}", units[c], partial(function, channel=c))
        for c, channel in enumerate(domain.channels)
        for name, function in (("mean", mean), ("deviation", deviation))
    )


_BY_KIND: dict[States, Callable[[Domain], tuple[Observable, ...]]] = {
    "growth": _of_growth,
    "labels": _of_labels,
    "fields": _of_fields,
}


def unlike_bonds(state: State, lattice: Lattice, boundaries: Boundaries) -> NDArray[np.float64]:
    """Pairs of neighbouring sites with different labels, each pair once, float64[n], of states float32[n, 1, H, W].

    Pairs across an end of the lattice count where that axis is periodic.
    """
    labels = state[:, 0]
    count = np.zeros(len(labels))
    for offset in (offset for offset in OFFSETS[lattice] if offset > (0, 0)):
        there = np.roll(labels, (-offset[0], -offset[1]), axis=(1, 2))
        count += ((labels != there) & _has_neighbour(labels.shape[1:], offset, boundaries)).sum(axis=(1, 2))
    return count


def _has_neighbour(shape: tuple[int, ...], offset: tuple[int, int], boundaries: Boundaries) -> NDArray[np.bool_]:
    """Whether site + offset is a site, bool[H, W]."""
    rows, columns = (
        np.full(size, True)
        if boundary == "periodic"
        else (np.arange(size) + step >= 0) & (np.arange(size) + step < size)
        for size, step, boundary in zip(shape, offset, boundaries, strict=True)
    )
    return rows[:, None] & columns


def largest_share(state: State, labels: int) -> NDArray[np.float64]:
    """The share of sites that hold the most frequent label, float64[n], of states float32[n, 1, H, W]."""
    sites = state.reshape(len(state), -1).astype(np.int64)
    numbered = sites + labels * np.arange(len(sites))[:, None]
    counts = np.bincount(numbered.ravel(), minlength=labels * len(sites)).reshape(len(sites), labels)
    return counts.max(axis=1) / sites.shape[1]


def mean(state: State, channel: int) -> NDArray[np.float64]:
    """Mean over the sites of one channel, float64[n], of states float32[n, C, H, W]."""
    return state[:, channel].mean(axis=(1, 2), dtype=np.float64)


def deviation(state: State, channel: int) -> NDArray[np.float64]:
    """Standard deviation over the sites of one channel, float64[n], of states float32[n, C, H, W]."""
    return state[:, channel].std(axis=(1, 2), dtype=np.float64)
