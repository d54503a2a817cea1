"""Calibration: is the truth like a member of its ensemble, as often as it should be?

A calibrated simulator need not be a good one: truths of any other parameters are calibrated too. Read these
beside a proper score.

Shapes: E ensembles, g truths and M simulated members each, L lead times, K observables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Observable
from nsbench.trajectories.ensembles import Ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.leads import groups, last_lead, members_label, members_range, observed
from nsbench_metrics.params import CoverageParams, RankHistogramParams, SpreadSkillParams

Array = NDArray[np.float64]
Ranks = NDArray[np.int64]

NO_ERROR = 1e9
"""Stands for an infinite ratio, which JSON does not have."""


def spread_and_error(truths: Array, members: Array) -> tuple[Array, Array]:
    """The two sides of the spread-skill ratio, each the sum over truths and lead times.

        spread² = (M + 1)/M · var_m(x_m),   error² = (mean_m x_m − y)²

    with the unbiased variance. truths: float64[E, g, L, K], members: float64[E, M, L, K], M ≥ 2. Returns two
    float64[E, K]: where a truth is like a member, both have the same expectation, for any M.
    """
    count, mean = members.shape[1], members.mean(axis=1, keepdims=True)
    spread = truths.shape[1] * (count + 1) / count * members.var(axis=1, ddof=1)  # [E, L, K]
    return spread.sum(axis=1), ((truths - mean) ** 2).sum(axis=(1, 2))


def spread_skill_ratio(spread: Array, error: Array) -> Array:
    """√(Σ spread² / Σ error²), float64[K], of float64[E, K]: summed before it is divided.

    1: calibrated; < 1: too sure; > 1: too vague. A perfect deterministic simulator, 0 / 0, is 1; spread
    without error is infinite. Fortin et al. 2014, doi 10.1175/JHM-D-14-0008.1.
    """
    s, e = spread.sum(axis=0), error.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((s == 0) & (e == 0), 1.0, np.sqrt(s / e))


def off_balance(ratio: Array) -> float:
    """Mean of 1 − min(r, 1/r): 0 for a ratio of 1, ½ for 2 and for ½, 1 for no spread at all."""
    with np.errstate(divide="ignore"):
        return float(np.mean(1 - np.minimum(ratio, 1 / ratio)))


class SpreadSkill(Metric):
    """How far the spread-skill ratio of the observables is from 1, the mean of 1 − min(r, 1/r).

    Extras: ratio, the mean over observables; ratio_<observable>, 1e9 where spread meets no error; members. Items:
    the value by lead time.
    """

    direction = "min"
    unit = "1"
    zero = "persistence"
    columns = (("ratio", "ratio"),)
    params: SpreadSkillParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, last = groups(evidence, reference), last_lead(reference)
        truth, simulated = _both(evidence, reference, last, self.params.observables)
        sides = [spread_and_error(truth[e.cases], simulated[e.rollouts]) for e in found]
        spread, error = (np.concatenate(side) for side in zip(*sides, strict=True))  # [E, K]
        ratio = spread_skill_ratio(spread, error)
        extras = {f"ratio_{o.name}": r for o, r in zip(_chosen(reference, self.params.observables), ratio, strict=True)}
        extras["ratio"] = ratio.mean()
        members = members_range(found)
        return Score(
            value=off_balance(ratio),
            interval=bootstrap_ensembles(
                lambda times: off_balance(spread_skill_ratio(spread * times[:, None], error * times[:, None])),
                len(spread),
                self.params.resamples,
                rng,
                distance=True,
            ),
            items=np.array([_off_balance_at(found, truth, simulated, lead) for lead in range(last)]),
            extras={"members": float(members[0])} | {k: min(float(v), NO_ERROR) for k, v in extras.items()},
            label=members_label(members),
        )


def _off_balance_at(found: Sequence[Ensembles], truth: Array, simulated: Array, lead: int) -> float:
    own = slice(lead, lead + 1)
    sides = [spread_and_error(truth[e.cases][:, :, own], simulated[e.rollouts][:, :, own]) for e in found]
    spread, error = (np.concatenate(side) for side in zip(*sides, strict=True))
    return off_balance(spread_skill_ratio(spread, error))


def pool_order(truths: Array, members: Array, rng: np.random.Generator) -> Ranks:
    """Place of each truth and member in the order of all of them, ties at random: int64[E, g + M, ...].

    truths: float64[E, g, ...], members: float64[E, M, ...]; the truths come first in the result.
    """
    pool = np.concatenate([truths, members], axis=1)
    order = np.lexsort((rng.random(pool.shape), pool), axis=1)
    return np.argsort(order, axis=1)


def truth_ranks(order: Ranks, truths: NDArray[np.bool_]) -> Ranks:
    """How many members lie below each truth, int64[E, g, ...], 0 to M.

    order: from pool_order; truths: bool[E, g + M], which of the pool are held to be the truths, as many in
    each ensemble.
    """
    g = int(truths[0].sum())
    index = np.argsort(~truths, axis=1, kind="stable")[:, :g]  # [E, g]
    chosen = np.take_along_axis(order, index.reshape(*index.shape, *[1] * (order.ndim - 2)), axis=1)
    fellows = (chosen[:, None] < chosen[:, :, None]).sum(axis=2)
    return chosen - fellows


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
    """How far the rank histogram of the observables is from flat: Σ_k |f_k − 1/(M + 1)|.

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
        found, last = groups(evidence, reference, members=1), last_lead(reference)
        (group,) = _equally_large(found)
        truth, simulated = _both(evidence, reference, last, self.params.observables)
        order = pool_order(truth[group.cases], simulated[group.rollouts], rng)
        g, members = group.cases.shape[1], group.rollouts.shape[1]
        labels = np.tile(np.arange(g + members) < g, (len(group), 1))
        counts = rank_counts(truth_ranks(order, labels), members)
        chi2 = chi_square(counts)[0]
        others = [
            chi_square(rank_counts(truth_ranks(order, rng.permuted(labels, axis=1)), members))[0]
            for _ in range(self.params.permutations)
        ]
        p_value = (1 + sum(other >= chi2 for other in others)) / (1 + len(others))
        return Score(
            value=flatness(counts),
            items=counts,
            extras={"members": float(members), "chi2": chi2, "p_value": p_value},
            figure=_histogram(counts),
            label=members_label((members, members)),
        )


def _equally_large(found: list[Ensembles]) -> list[Ensembles]:
    """Ranks can be pooled where all ensembles have one size. Raises NotApplicable."""
    if len(found) > 1:
        raise NotApplicable("ranks need ensembles of one size: as many truths of each start state and parameters")
    return found


def _histogram(counts: Array) -> bytes:
    drawn, (ax,) = figure(1)
    ax.bar(np.arange(len(counts)), counts / counts.sum(), color=SIMULATOR, width=0.9)
    ax.axhline(1 / len(counts), color=TRUTH, linewidth=1)
    ax.set(xlabel="members below the truth", ylabel="frequency")
    return png(drawn)


def central_coverage(ranks: Ranks, members: int) -> tuple[Array, Array]:
    """(nominal, actual) coverage of the intervals from the k-th smallest to the k-th largest member.

    A truth that is like a member lies inside with probability (M + 1 − 2k) / (M + 1), exactly, for any M.
    ranks: members below each truth; k = 1, …, ⌊M/2⌋. Two float64[⌊M/2⌋], the widest interval first.
    """
    k = np.arange(1, members // 2 + 1)
    inside = (ranks.ravel() >= k[:, None]) & (ranks.ravel() <= members - k[:, None])
    return (members + 1 - 2 * k) / (members + 1), inside.mean(axis=1)


class Coverage(Metric):
    """Mean absolute gap between actual and nominal coverage of central intervals of the observables.

    Over all lead times, truths and intervals that M members have; ties at random. Items: actual coverage, the
    widest interval first. Extras: actual and nominal, of the widest; members.
    """

    direction = "min"
    unit = "probability"
    zero = "persistence"
    columns = (("actual", "covered"), ("nominal", "of nominal"))
    params: CoverageParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, last = groups(evidence, reference), last_lead(reference)
        (group,) = _equally_large(found)
        truth, simulated = _both(evidence, reference, last, self.params.observables)
        order = pool_order(truth[group.cases], simulated[group.rollouts], rng)
        g, members = group.cases.shape[1], group.rollouts.shape[1]
        ranks = truth_ranks(order, np.tile(np.arange(g + members) < g, (len(group), 1)))
        nominal, _ = central_coverage(ranks, members)
        each = np.stack([central_coverage(own, members)[1] for own in ranks])  # [E, k]
        actual = each.mean(axis=0)
        return Score(
            value=float(np.abs(actual - nominal).mean()),
            interval=bootstrap_ensembles(
                lambda times: float(np.abs(np.average(each, axis=0, weights=times) - nominal).mean()),
                len(each),
                self.params.resamples,
                rng,
                distance=True,
            ),
            items=actual,
            extras={"members": float(members), "actual": float(actual[0]), "nominal": float(nominal[0])},
            label=members_label((members, members)),
        )


def _chosen(reference: Trajectories, names: list[str] | None) -> list[Observable]:
    """The named observables, whatever their units: calibration is without unit. Raises NotApplicable."""
    known = {o.name: o for o in reference.domain.observables}
    if missing := [name for name in names or () if name not in known]:
        raise NotApplicable(f"no observable {missing[0]!r}; the domain has {', '.join(known)}")
    return [known[name] for name in names or known]


def _both(evidence: Evidence, reference: Trajectories, last: int, names: list[str] | None) -> tuple[Array, Array]:
    chosen = _chosen(reference, names)
    return observed(reference, last, chosen), observed(evidence.rollouts, last, chosen)
