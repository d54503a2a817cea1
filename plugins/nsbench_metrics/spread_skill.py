"""Spread-skill ratio: the spread of ensembles over their error.

A calibrated simulator need not be a good one: truths of any other parameters are calibrated too. Read it beside a
proper score.

Shapes: E ensembles, g truths and M simulated members each, L lead times, K observables.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import Ensembles
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.observables import choose_observables
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]

NO_ERROR = 1e9
"""The number that stands for an infinite ratio, which JSON does not have."""


class SpreadSkillParams(Params):
    """The numbers that should spread as much as they err."""

    observables: list[str] | None = fields.observables()
    resamples: int = fields.resamples()


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
    """Distance of the spread-skill ratio of the observables from 1, the mean of 1 − min(r, 1/r).

    Extras: ratio, the mean over observables; ratio_<observable>, 1e9 where spread meets no error; members. Items:
    the value by lead time. By lead time: value, and ratio, the mean over observables.
    """

    direction = "min"
    unit = "1"
    zero = "persistence"
    columns = (("ratio", "ratio"),)
    params: SpreadSkillParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference)
        observables = choose_observables(reference.domain, self.params.observables)
        truth, simulated = comparison.observed(observables)
        spread, error = _sides(comparison.groups, truth, simulated)  # [E, K]

        def gap(times: NDArray[np.int64]) -> float:
            return off_balance(spread_skill_ratio(spread * times[:, None], error * times[:, None]))

        value, interval = estimate(gap, len(spread), self.params.resamples, rng, distance=True)
        ratio = spread_skill_ratio(spread, error)
        extras = {f"ratio_{o.name}": r for o, r in zip(observables, ratio, strict=True)} | {"ratio": ratio.mean()}
        leads = [slice(lead, lead + 1) for lead in range(comparison.last)]
        ratios = [spread_skill_ratio(*_sides(comparison.groups, truth, simulated, lead)) for lead in leads]
        items = np.array([off_balance(ratio) for ratio in ratios])
        return Score(
            value,
            interval,
            items=items,
            extras={"members": float(comparison.members[0])} | {k: min(float(v), NO_ERROR) for k, v in extras.items()},
            label=comparison.label,
            by_lead={"value": items, "ratio": np.minimum(np.mean(ratios, axis=1), NO_ERROR)},
        )


def _sides(groups: list[Ensembles], truth: Array, simulated: Array, leads: slice = slice(None)) -> tuple[Array, Array]:
    """spread_and_error of all ensembles, two float64[E, K], for observables float64[n, L, K] at some lead times."""
    sides = [spread_and_error(truth[e.cases][:, :, leads], simulated[e.rollouts][:, :, leads]) for e in groups]
    spread, error = (np.concatenate(side) for side in zip(*sides, strict=True))
    return spread, error


SPEC = metric_spec(SpreadSkill, SpreadSkillParams, "do ensembles spread as much as they err?")
