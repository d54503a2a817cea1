"""Fair variogram score over neighbouring sites."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.trajectories.lattices import OFFSETS
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean, by_channel
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class VariogramParams(Params):
    """p: the order; reach: pairs of sites up to so many steps along the lattice's axes."""

    p: float = Field(0.5, gt=0)
    reach: int = Field(1, ge=1)
    resamples: int = fields.resamples()


def variogram_score(truths: Array, members: Array, offsets: Sequence[tuple[int, int]], p: float = 0.5) -> Array:
    """Fair variogram score of order p over pairs of neighbouring sites, which judges texture.

        VS = mean over pairs (i, j) of (mean_m v_m − v)² − var_m(v_m) / M,   v = ‖x_i − x_j‖^p

    with the unbiased variance over members. truths: float64[E, g, C, H, W], members: float64[E, M, C, H, W],
    M ≥ 2; pairs: every site i and i + offset, both on the lattice; ‖·‖ over channels. Blind to what changes no
    difference between neighbours, such as a constant added everywhere. Its expectation does not depend on M
    (Ferro 2014, doi 10.1002/qj.2270), so it may be negative.
    Scheuerer & Hamill 2015, doi 10.1175/MWR-D-14-00269.1.
    """
    total, pairs = np.zeros(truths.shape[:2]), 0
    for offset in offsets:
        v, simulated = (_norm(np.subtract(*_shifted(a, offset))) ** p for a in (truths, members))
        mean = simulated.mean(axis=1, keepdims=True)  # [E, 1, 1, h, w]
        spread = ((simulated - mean) ** 2).sum(axis=1) / (simulated.shape[1] - 1)
        total += ((v - mean) ** 2).sum(axis=(2, 3, 4)) - spread.sum(axis=(1, 2, 3))[:, None] / simulated.shape[1]
        pairs += v[0, 0].size
    return total / pairs


def _norm(differences: Array) -> Array:
    """‖·‖ over channels, float64[E, m, 1, h, w], of float64[E, m, C, h, w]."""
    if differences.shape[2] == 1:
        return np.abs(differences)
    return np.sqrt((differences**2).sum(axis=2, keepdims=True))


def _shifted(states: Array, offset: tuple[int, int]) -> tuple[Array, Array]:
    """The states at sites i and at i + offset, for all sites i that have one."""
    i, j = offset
    height, width = states.shape[-2:]
    here = states[..., max(-i, 0) : height - max(i, 0), max(-j, 0) : width - max(j, 0)]
    there = states[..., max(i, 0) : height + min(i, 0), max(j, 0) : width + min(j, 0)]
    return here, there


class VariogramScore(EnsembleMean):
    """Fair variogram score over neighbouring sites, the mean over lead times and truths.

    Items: by ensemble and lead time.

    Of fields each channel is in the truth's standard deviations, and items are by channel too. Extras: the mean of each
    channel, members. Of labels v is 1 where neighbours differ, else 0. Neighbours are those of the domain's lattice,
    each pair once; pairs across an end of the lattice, mirrored or periodic, are left out.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    params: VariogramParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        half = [offset for offset in OFFSETS[comparison.reference.domain.lattice] if offset > (0, 0)]
        offsets = [(k * i, k * j) for k in range(1, self.params.reach + 1) for i, j in half]
        return by_channel(comparison, partial(variogram_score, offsets=offsets, p=self.params.p))


SPEC = metric_spec(VariogramScore, VariogramParams, "fair variogram score over neighbouring sites")
