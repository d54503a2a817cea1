"""Site by site: the Brier score, and whether sites attach as often as they are said to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import Ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.leads import (
    chunk_size,
    field_scores,
    groups,
    last_lead,
    members_label,
    members_range,
    states,
)
from nsbench_metrics.params import BrierParams, ReliabilityParams

Array = NDArray[np.float64]


def fair_brier(truths: Array, members: Array, threshold: float = 0.5) -> Array:
    """Fair Brier score of the event x > threshold, the mean over sites and channels.

        BS = mean over sites of (p − y)² − p (1 − p) / (M − 1),   p = share of members with the event

    truths: float64[E, g, ...], members: float64[E, M, ...], M ≥ 2. Returns float64[E, g].
    Brier 1950; the correction is that of Ferro 2014, doi 10.1002/qj.2270.
    """
    y, p = truths > threshold, (members > threshold).mean(axis=1, keepdims=True)
    count, sites = members.shape[1], tuple(range(2, truths.ndim))
    return ((p - y) ** 2).mean(axis=sites) - (p * (1 - p)).mean(axis=sites) / (count - 1)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What happened when an event was said to have probability p = 0, 1/M, …, 1.

    said: float64[b], the probabilities; count, happened: float64[b], how often each was said, and how often
    the event then happened.
    """

    said: Array
    count: Array
    happened: Array

    def frequency(self) -> Array:
        """float64[b], NaN where a probability was never said."""
        with np.errstate(invalid="ignore"):
            return self.happened / self.count

    def decomposition(self) -> tuple[float, float, float]:
        """(reliability, resolution, uncertainty): Brier score = reliability − resolution + uncertainty.

        Exactly so for the plain score, (p − y)² without the fair correction. Murphy 1973.
        """
        known = self.count > 0
        weights, frequency = self.count[known] / self.count.sum(), self.frequency()[known]
        base = self.happened.sum() / self.count.sum()
        reliability = float((weights * (self.said[known] - frequency) ** 2).sum())
        resolution = float((weights * (frequency - base) ** 2).sum())
        return reliability, resolution, float(base * (1 - base))


def reliability_counts(truths: Array, members: Array, threshold: float = 0.5) -> Array:
    """float64[E, 2, M + 1]: by ensemble and number of members with the event, how many pairs of a truth and a
    site there were, and in how many of them the event happened. Shapes as in fair_brier."""
    count = members.shape[1]
    said = (members > threshold).sum(axis=1).reshape(len(members), -1)  # [E, sites]
    happened = (truths > threshold).sum(axis=1).reshape(len(members), -1)
    cell = said + (count + 1) * np.arange(len(said))[:, None]
    bins = len(said) * (count + 1)
    weights = [np.full(said.shape, truths.shape[1]), happened]
    return np.stack([np.bincount(cell.ravel(), w.ravel(), bins).reshape(-1, count + 1) for w in weights], axis=1)


def reliability_table(counts: Array) -> Reliability:
    """The table of all ensembles together, of float64[E, 2, M + 1]."""
    total = counts.sum(axis=0)
    return Reliability(np.linspace(0, 1, counts.shape[2]), total[0], total[1])


def counted(evidence: Evidence, reference: Trajectories, found: Sequence[Ensembles], threshold: float) -> Array:
    """reliability_counts over all lead times and ensembles, float64[E, 2, M + 1], M the largest.

    Smaller ensembles say fewer different probabilities; theirs are put to the nearest of the largest's.
    """
    leads, largest = range(1, last_lead(reference) + 1), members_range(found)[1]
    parts = []
    for group in found:
        for chunk in group.chunks(chunk_size(reference.domain, group)):
            total = sum(reliability_counts(x, y, threshold) for x, y in states(evidence, reference, chunk, leads))
            parts.append(_spread_out(np.asarray(total), largest))
    return np.concatenate(parts)


def _spread_out(counts: Array, largest: int) -> Array:
    own = np.rint(np.linspace(0, largest, counts.shape[2])).astype(int)
    wide = np.zeros((*counts.shape[:2], largest + 1))
    wide[:, :, own] = counts
    return wide


class Brier(Metric):
    """Fair Brier score by site, the mean over sites, lead times and truths.

    Items: by ensemble and lead time. Extras: reliability, resolution and uncertainty of the plain score, over all lead
    times together; members.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    items_by = "ensemble"
    params: BrierParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, threshold = groups(evidence, reference), self.params.threshold
        scores = field_scores(evidence, reference, found, lambda x, y: fair_brier(x, y, threshold))
        parts = reliability_table(counted(evidence, reference, found, threshold)).decomposition()
        extras = dict(zip(("reliability", "resolution", "uncertainty"), parts, strict=True))
        return scores.score(self.params.resamples, rng, extras)


class ReliabilityDiagram(Metric):
    """Root mean square gap between the probability said and the frequency seen, over sites and lead times.

        √ Σ_k n_k (p_k − o_k)² / Σ_k n_k,   p_k = k / M, o_k the frequency of the event where p_k was said

    Sites on which the whole ensemble and the truth agree count, with a gap near 0. Items: the frequencies, by
    p_k (−1: never said). A true ensemble is not quite at 0: p_k is a share of M members, not a probability.
    Bröcker & Smith 2007, doi 10.1175/WAF993.1.
    """

    direction = "min"
    unit = "probability"
    zero = "persistence"
    params: ReliabilityParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found = groups(evidence, reference)
        counts = counted(evidence, reference, found, self.params.threshold)

        def gap(times: NDArray[np.int64]) -> float:
            return reliability_table(counts * times[:, None, None]).decomposition()[0] ** 0.5

        table, members = reliability_table(counts), members_range(found)
        return Score(
            value=gap(np.ones(len(counts), np.int64)),
            interval=bootstrap_ensembles(gap, len(counts), self.params.resamples, rng, distance=True),
            items=np.nan_to_num(table.frequency(), nan=-1.0),
            extras={"members": float(members[0])},
            figure=_diagram(table),
            label=members_label(members),
        )


def _diagram(table: Reliability) -> bytes:
    """Frequencies against probabilities, and how often each was said."""
    drawn, (left, right) = figure(2)
    known = table.count > 0
    left.plot([0, 1], [0, 1], color=TRUTH, linewidth=1)
    left.plot(table.said[known], table.frequency()[known], "o-", color=SIMULATOR, markersize=4)
    left.set(xlabel="probability said", ylabel="frequency seen")
    right.bar(table.said, table.count, width=0.8 / len(table.said), color=SIMULATOR)
    right.set(xlabel="probability said", ylabel="sites × truths", yscale="log")
    return png(drawn)
