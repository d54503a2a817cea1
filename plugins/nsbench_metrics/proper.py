"""Proper scores of ensembles: nobody can expect to do better than by simulating the true distribution.

All are fair: their expectation does not depend on the number of members M ≥ 2, so a simulator gains nothing
by being rolled out more often (Ferro 2014, "Fair scores for ensemble forecasts", doi 10.1002/qj.2270). A fair
score may be negative. Smaller is better.

Shapes: E ensembles, g truths and M simulated members each; a score for each truth, [E, g].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.lattices import OFFSETS
from nsbench_metrics.leads import (
    LeadScores,
    field_scores,
    groups,
    last_lead,
    members_range,
    observed,
    select_observables,
)
from nsbench_metrics.norms import distances, flat
from nsbench_metrics.params import CRPSParams, FieldScoreParams, VariogramParams

Array = NDArray[np.float64]


def fair_crps(truths: Array, members: Array) -> Array:
    """Fair continuous ranked probability score of a number, in its unit.

        CRPS = mean_m |x_m − y| − Σ_{m,m'} |x_m − x_m'| / (2 M (M − 1))

    truths: float64[..., g], members: float64[..., M], M ≥ 2. Returns float64[..., g].
    Matheson & Winkler 1976; computed by `scoringrules`, whose "pwm" estimator is the fair one in O(M log M).
    """
    from scoringrules import crps_ensemble

    beside = np.broadcast_to(members[..., None, :], (*truths.shape, members.shape[-1]))
    return np.asarray(crps_ensemble(truths, beside, estimator="pwm", backend="numpy"))


def energy_score(truths: Array, members: Array) -> Array:
    """Fair energy score of a state, in its norm: the CRPS with |·| the Euclidean norm over all sites.

        ES = mean_m ‖x_m − y‖ − Σ_{m,m'} ‖x_m − x_m'‖ / (2 M (M − 1))

    truths: float64[E, g, ...], members: float64[E, M, ...], M ≥ 2; whatever follows is one vector. Of binary
    states ‖x − y‖ is the square root of the number of sites that differ. Gneiting & Raftery 2007,
    doi 10.1198/016214506000001437. By inner products: `scoringrules` makes
    an array of M × M × D differences for every truth.
    """
    x, y = flat(members), flat(truths)
    count = x.shape[1]
    among = distances(x, x).sum(axis=(1, 2)) / (count * (count - 1))
    return distances(y, x).mean(axis=2) - among[:, None] / 2


def variogram_score(truths: Array, members: Array, offsets: Sequence[tuple[int, int]], p: float = 0.5) -> Array:
    """Fair variogram score of order p over pairs of neighbouring sites: is the texture right?

        VS = mean over pairs (i, j) of (mean_m v_m − v)² − var_m(v_m) / M,   v = |x_i − x_j|^p

    with the unbiased variance over members. truths: float64[E, g, C, H, W], members: float64[E, M, C, H, W],
    M ≥ 2; pairs: every site i and i + offset, both on the lattice, of each channel. Blind to what changes no
    difference between neighbours, such as a constant added everywhere.
    Scheuerer & Hamill 2015, doi 10.1175/MWR-D-14-00269.1.
    """
    total, pairs = np.zeros(truths.shape[:2]), 0
    for offset in offsets:
        v, simulated = (np.abs(np.subtract(*_shifted(a, offset))) ** p for a in (truths, members))
        mean = simulated.mean(axis=1, keepdims=True)  # [E, 1, C, h, w]
        spread = ((simulated - mean) ** 2).sum(axis=1) / (simulated.shape[1] - 1)
        total += ((v - mean) ** 2).sum(axis=(2, 3, 4)) - spread.sum(axis=(1, 2, 3))[:, None] / simulated.shape[1]
        pairs += v[0, 0].size
    return total / pairs


def _shifted(states: Array, offset: tuple[int, int]) -> tuple[Array, Array]:
    """The states at sites i and at i + offset, for all sites i that have one."""
    i, j = offset
    height, width = states.shape[-2:]
    here = states[..., max(-i, 0) : height - max(i, 0), max(-j, 0) : width - max(j, 0)]
    there = states[..., max(i, 0) : height + min(i, 0), max(j, 0) : width + min(j, 0)]
    return here, there


class CRPS(Metric):
    """Fair CRPS of the domain's observables, the mean over observables, lead times and truths.

    Items: by ensemble and lead time. Extras: the mean of each observable, members.
    """

    direction = "min"
    unit = "sites"
    zero = "climatology"
    items_by = "ensemble"
    params: CRPSParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, last = groups(evidence, reference), last_lead(reference)
        observables, unit = select_observables(reference.domain, self.params.observables)
        truth = observed(reference, last, observables)  # [n, L, K]
        simulated = observed(evidence.rollouts, last, observables)
        parts = [
            fair_crps(np.moveaxis(truth[e.cases], 1, -1), np.moveaxis(simulated[e.rollouts], 1, -1)).mean(axis=-1)
            for e in found
        ]
        values = np.concatenate(parts)  # [E, L, K]
        weights = np.concatenate([np.full(len(e), e.cases.shape[1]) for e in found])
        each = np.average(values.mean(axis=1), axis=0, weights=weights)
        extras = {o.name: float(value) for o, value in zip(observables, each, strict=True)}
        scores = LeadScores(values.mean(axis=2), weights, members_range(found))
        return scores.score(self.params.resamples, rng, extras, unit)


class EnergyScore(Metric):
    """Fair energy score of the whole state, the mean over lead times and truths. Items: by ensemble and lead time."""

    direction = "min"
    unit = "state norm"
    zero = "climatology"
    items_by = "ensemble"
    params: FieldScoreParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        scores = field_scores(evidence, reference, groups(evidence, reference), energy_score)
        return scores.score(self.params.resamples, rng, {})


class VariogramScore(Metric):
    """Fair variogram score over neighbouring sites, the mean over lead times and truths.

    Items: by ensemble and lead time.

    Neighbours are those of the domain's lattice, each pair once; pairs across a mirror are left out.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    items_by = "ensemble"
    params: VariogramParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        half = [offset for offset in OFFSETS[reference.domain.lattice] if offset > (0, 0)]
        reach, p = self.params.reach, self.params.p
        offsets = [(k * i, k * j) for k in range(1, reach + 1) for i, j in half]
        found = groups(evidence, reference)
        scores = field_scores(evidence, reference, found, lambda x, y: variogram_score(x, y, offsets, p))
        return scores.score(self.params.resamples, rng, {})
