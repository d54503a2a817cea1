"""Rank histogram: the flatness of the truth's ranks in its ensemble.

A calibrated simulator need not be a good one: truths of any other parameters are calibrated too. Read it beside a
proper score.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.shared.ranks import Pool, Ranks, pooled
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class RankHistogramParams(Params):
    """permutations: relabellings for the p-value, which is never below 1 / (permutations + 1)."""

    observables: list[str] | None = fields.observables()
    permutations: int = Field(199, ge=1)


def rank_counts(ranks: Ranks, members: int) -> Array:
    """The rank histogram, float64[M + 1]."""
    return np.bincount(ranks.ravel(), minlength=members + 1).astype(np.float64)


def chi_square(counts: Array) -> tuple[float, float]:
    """(χ², its p-value) against a flat histogram, as if all ranks were independent.

    Truths that share an ensemble or a trajectory are not: then the p-value is too small, and that of
    RankHistogram, by permutation, is the one to read. Anderson 1996; Hamill 2001.
    """
    from scipy.stats import chisquare

    result = chisquare(counts)
    return float(result.statistic), float(result.pvalue)


def flatness(counts: Array) -> float:
    """Σ_k |f_k − 1/(M + 1)|, between 0 (flat) and 2. Delle Monache et al. 2006, doi 10.1029/2005JD006917."""
    return float(np.abs(counts / counts.sum() - 1 / len(counts)).sum())


class RankHistogram(Metric):
    """Distance of the rank histogram of the observables from a flat one: Σ_k |f_k − 1/(M + 1)|.

    Ranks of all truths in their ensembles, at all lead times, for all observables; ties at random, so that
    lead times at which all agree add nothing but their share of flatness. Items: the histogram. Extras: chi2;
    p_value, the share of relabellings with at least this χ² when in each ensemble truths and members swap
    places at random, exact however much ranks depend on each other; members.
    """

    direction = "min"
    unit = "1"
    zero = "persistence"
    columns = (("p_value", "p"),)
    params: RankHistogramParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference, members=1)
        pool = pooled(comparison, self.params.observables, rng)
        counts = rank_counts(pool.ranks(), pool.members)
        chi2 = chi_square(counts)[0]
        others = [_relabelled_chi2(pool, rng) for _ in range(self.params.permutations)]
        p_value = (1 + sum(other >= chi2 for other in others)) / (1 + len(others))
        return Score(
            value=flatness(counts),
            items=counts,
            extras={"members": float(pool.members), "chi2": chi2, "p_value": p_value},
            figure=partial(_histogram, counts),
            label=comparison.label,
        )


def _relabelled_chi2(pool: Pool, rng: np.random.Generator) -> float:
    """χ² where in each ensemble truths and members have swapped places at random."""
    relabelled = replace(pool, is_truth=rng.permuted(pool.is_truth, axis=1))
    return chi_square(rank_counts(relabelled.ranks(), pool.members))[0]


def _histogram(counts: Array) -> bytes:
    """The histogram, beside a flat one."""
    drawing, (ax,) = figure(1)
    ax.bar(np.arange(len(counts)), counts / counts.sum(), color=SIMULATOR, width=0.9)
    ax.axhline(1 / len(counts), color=TRUTH, linewidth=1)
    ax.set(xlabel="members below the truth", ylabel="frequency")
    return png(drawing)


SPEC = metric_spec(RankHistogram, RankHistogramParams, "flatness of the truth's ranks in its ensemble")
