"""Fair energy distance between the truth's ensemble and the simulator's, over observables at several lead times."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.intervals import skewed_interval
from nsbench.components.metric import NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison, compare
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.figures import figure, png
from nsbench_metrics.shared.observables import choose_observables
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]

PARTS = ("bias", "spread", "dependence")

_CHUNK = 1 << 20
"""Numbers that differences of pairs may hold at once."""


class EnergyDistanceParams(Params):
    """The numbers that describe a trajectory.

    leads: how many lead times, spread evenly up to the frame by which half of the truths have ended, or these frames.
    """

    observables: list[str] | None = fields.observables()
    leads: Annotated[int, Field(ge=1)] | Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = 5
    resamples: int = fields.resamples()


def energy_distance(truths: Array, members: Array) -> Array:
    """Energy distance of each ensemble, without bias, in the unit of the vectors.

        D² = 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ ≥ 0,   0 for equal distributions alone

    truths: float64[E, g, D], members: float64[E, M, D], g, M ≥ 2. Returns float64[E]. X − X' and Y − Y' are taken over
    pairs of different trajectories, so that the expectation is D² for any g and M, and single values may be negative.
    Székely & Rizzo 2013, doi 10.1016/j.jspi.2013.03.018.
    """
    return 2 * _between(truths, members) - _among(truths) - _among(members)


def energy_parts(truths: Array, members: Array, ratio: Array) -> Array:
    """The parts of an energy distance that are due to bias, spread and dependence, float64[E, 3]; their sum is D².

        bias        f(δ) − f(ε),                   f(δ) = D² between X and X + δ
        spread      h(δ) − h(ε) + h(0) − bias,     h(δ) = D² between X and x̄ + δ + ratio · (X − x̄)
        dependence  D² − bias − spread

    x̄ is the mean of the ensemble's truths and δ that of its members minus x̄: what remains of D² when only the means
    differ; what each component's spread adds; and the rest, correlations and shapes. ratio: float64[D], the standard
    deviations of the members within ensembles over those of the truths, pooled over ensembles: from one of them alone
    they are too uncertain, so that a spread which is wrong in some and right in the mean counts as dependence.

    The δ of a few trajectories is too long by chance. ε is as long by chance alone: half the difference between the δ
    of two halves of the next ensemble, of another than the one whose X it shifts. So parts are 0 in expectation, to
    the order of 1 / g², where there is nothing of their kind. Those of single ensembles are uncertain and may be
    negative; the mean over ensembles tells.
    """
    g = truths.shape[1]
    centred = truths - truths.mean(axis=1, keepdims=True)
    delta = members.mean(axis=1) - truths.mean(axis=1)
    epsilon = np.roll((_difference(truths, members, 0) - _difference(truths, members, 1)) / 2, 1, axis=0)

    def distance(r: Array, shift: Array) -> Array:
        """D² between X and x̄ + shift + r (X − x̄), over pairs of different truths.

        x̄ is theirs too, which makes x_i − x̄ − r (x_j − x̄) shorter by (1 − r)² / g of 1 + r² in its variance.
        """
        longer = np.sqrt((1 + r**2) / (1 + r**2 - (1 - r) ** 2 / g))
        x, z = longer * centred, longer * r * centred + shift[:, None]
        own = np.linalg.norm(x - z, axis=2).sum(axis=1)
        return 2 * (_between(x, z) * g * g - own) / (g * (g - 1)) - _among(truths) - _among(r * truths)

    alike, nowhere = np.ones_like(ratio), np.zeros_like(delta)
    bias = distance(alike, delta) - distance(alike, epsilon)
    both = distance(ratio, delta) - distance(ratio, epsilon) + distance(ratio, nowhere)
    return np.stack([bias, both - bias, energy_distance(truths, members) - both], axis=1)


def _difference(truths: Array, members: Array, half: int) -> Array:
    """The mean of every second member minus that of every second truth, float64[E, D]."""
    return members[:, half::2].mean(axis=1) - truths[:, half::2].mean(axis=1)


def _between(x: Array, y: Array) -> Array:
    """The mean distance of a vector of x from one of y, float64[E, a, D] and float64[E, b, D]; float64[E]."""
    step = max(1, _CHUNK // (x.shape[1] * y.shape[1] * x.shape[2]))
    means = [
        np.linalg.norm(x[k : k + step, :, None] - y[k : k + step, None], axis=3).mean(axis=(1, 2))
        for k in range(0, len(x), step)
    ]
    return np.concatenate(means)


def _among(x: Array) -> Array:
    """The mean distance of two different vectors, float64[E]."""
    return _between(x, x) * x.shape[1] / (x.shape[1] - 1)


def within_deviations(groups: list[Array]) -> Array:
    """The standard deviation within ensembles, pooled over all of them, float64[D]. groups: float64[E, n, D] each."""
    squares = sum(((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=(0, 1)) for x in groups)
    freedom = sum(x.shape[0] * (x.shape[1] - 1) for x in groups)
    return np.asarray(np.sqrt(squares / max(freedom, 1)))


class EnergyDistance(EnsembleMean):
    """Fair energy distance of ensembles, their mean; 0 in expectation for the truth itself.

    A trajectory is one vector: the domain's observables at several lead times, each number in units of the truth's
    standard deviation within an ensemble. A number that never varies within an ensemble is in units of its deviation
    over all truths; `exact` counts those. What has ended stays in its last state. Items: by ensemble. Extras: bias,
    spread and dependence, which add up to the value; leads, the number of lead times; `lead_<t>`, the distance by the
    observables of that frame alone; members.
    """

    direction = "min"
    unit = "σ"
    columns = tuple((name, name) for name in PARTS)
    params: EnergyDistanceParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        weights = compare(evidence, reference, members=2, truths=2).weights
        score = super().score(evidence, reference, rng)
        return replace(score, interval=skewed_interval(score.items * weights / weights.mean()))

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        observables = choose_observables(comparison.reference.domain, self.params.observables)
        if not observables:
            raise NotApplicable("the domain has no observables")
        leads = lead_times(comparison.reference, comparison.last, self.params.leads)
        sides = comparison.observed(observables)  # two [n, L, K]
        scale, exact = _units(comparison, sides[0])
        truth, simulated = (side / scale for side in sides)
        chosen = _by_group(comparison, truth[:, leads - 1], simulated[:, leads - 1])
        values, parts = _distances(chosen)
        curves = [_curve(comparison, truth[:, [t]], simulated[:, [t]]) for t in range(truth.shape[1])]
        means = np.average(parts, axis=0, weights=comparison.weights)
        extras = {name: float(mean) for name, mean in zip(PARTS, means, strict=True)}
        extras |= {"leads": float(len(leads)), "exact": float(exact[leads - 1].sum())}
        extras |= {f"lead_{t}": float(curves[t - 1][0]) for t in leads}
        return ByEnsemble(values, extras, _figure(np.array(curves), leads))


def lead_times(reference: Trajectories, last: int, leads: int | list[int]) -> NDArray[np.int64]:
    """The frames at which trajectories are described, sorted. Raises NotApplicable for one beyond the last."""
    if isinstance(leads, int):
        end = max(1, int(np.median(reference.lengths)) - 1)
        return np.unique(np.linspace(0, end, leads + 1).round().astype(np.int64)[1:].clip(1))
    if max(leads) > last:
        raise NotApplicable(f"no truth lasts to lead {max(leads)}; the longest has {last} frames after its start")
    return np.unique(np.array(leads, dtype=np.int64))


def _units(comparison: Comparison, truth: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The unit of each number, float64[L, K], and whether it never varies within an ensemble."""
    within = within_deviations([truth[e.cases].reshape(*e.cases.shape, -1) for e in comparison.groups])
    within, overall = within.reshape(truth.shape[1:]), truth.std(axis=0)
    exact = within <= 1e-9 * np.abs(truth).max(axis=0)
    return np.where(exact, np.where(overall > 0, overall, 1.0), within), exact


def _by_group(comparison: Comparison, truth: Array, simulated: Array) -> list[tuple[Array, Array]]:
    """Truths and members by ensemble, float64[E, g, D] and float64[E, M, D], for each size of ensembles."""
    return [
        (truth[e.cases].reshape(*e.cases.shape, -1), simulated[e.rollouts].reshape(*e.rollouts.shape, -1))
        for e in comparison.groups
    ]


def _distances(groups: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The distance of each ensemble, float64[E], and its parts, float64[E, 3]."""
    deviations = [within_deviations([pair[side] for pair in groups]) for side in (0, 1)]
    ratio = np.divide(deviations[1], deviations[0], out=np.ones_like(deviations[0]), where=deviations[0] > 0)
    parts = np.concatenate([energy_parts(*pair, ratio) for pair in groups])
    return np.concatenate([energy_distance(*pair) for pair in groups]), parts


def _curve(comparison: Comparison, truth: Array, simulated: Array) -> Array:
    """The mean distance by the observables of one frame, and its parts, float64[4]."""
    values, parts = _distances(_by_group(comparison, truth, simulated))
    return np.average(np.column_stack([values, parts]), axis=0, weights=comparison.weights)


def _figure(curves: Array, leads: NDArray[np.int64]) -> bytes:
    """The distance and its parts by lead time."""
    drawing, (axis,) = figure(1)
    frames = np.arange(1, len(curves) + 1)
    for values, name in zip(curves.T, ("D²", *PARTS), strict=True):
        axis.plot(frames, values, label=name, linewidth=2 if name == "D²" else 1)
    axis.plot(leads, np.zeros(len(leads)), "k|", label="lead times that count")
    axis.set(xlabel="lead time, frames", ylabel="energy distance, σ")
    axis.legend(frameon=False)
    return png(drawing)


SPEC = metric_spec(
    EnergyDistance, EnergyDistanceParams, "fair energy distance of ensembles by observables at several lead times"
)
