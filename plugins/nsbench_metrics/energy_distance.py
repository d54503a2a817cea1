"""Fair energy distance between the truth's ensemble and the simulator's, over observables at several lead times."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.intervals import skewed_interval
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import Counts, Interval
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.observables import choose_observables
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]

PARTS = ("bias", "spread", "dependence")

EXACT = 1e-3
"""A number is exact whose standard deviation within ensembles is a smaller share of that over all truths. In units of
the former a number that varies by rounding alone, or of which no truth differs, would decide everything."""

_ROUNDING = 1e-6
"""A number does not vary whose standard deviation is a smaller share of it: states are float32."""

_CHUNK = 1 << 20
"""Numbers that differences of pairs may hold at once."""


class EnergyDistanceParams(Params):
    """The numbers that describe a trajectory.

    leads: how many lead times, spread evenly up to the frame by which half of the truths have ended, or these frames.
    """

    observables: list[str] | None = fields.observables()
    leads: Annotated[int, Field(ge=1)] | Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = 5


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

        bias        f(δ),             f(δ) = D² between X and X + δ
        spread      h(δ) − bias,      h(δ) = D² between X and μ + δ + ratio · (X − μ)
        dependence  D² − h(δ)

    μ is the truth's mean and δ the simulator's minus it: what remains of D² when only the means differ; what each
    number's spread adds; and the rest, correlations and shapes. ratio: float64[D], the standard deviations of the
    members within ensembles over those of the truths, pooled over ensembles: from one of them alone they are too
    uncertain, so that a spread which is wrong in some and right in the mean counts as dependence. So does that of a
    number in which the truths have none.

    The δ of a few trajectories, ȳ − x̄, is too long by chance. X − X' is made as much shorter as the chance in x̄ makes
    it longer; of the chance in ȳ, what ε adds is taken away: half the difference between two halves of the members,
    which has the covariance of ȳ and is independent of X. So for normal ensembles of any size and spread parts are 0 in
    expectation where there is nothing of their kind. Far off, where D² ≈ 2 |δ|, chance adds less than is taken away:
    with eight members about 0.1 σ of a large bias counts as dependence.

    Any part may be negative: of single ensembles by chance, while the mean over ensembles tells; and spread,
    where members that scatter too widely about a mean that is far off lie nearer to the truths for it.
    """
    g = truths.shape[1]
    centred = truths - truths.mean(axis=1, keepdims=True)
    delta, epsilon = members.mean(axis=1) - truths.mean(axis=1), _chance(members)

    def distance(r: Array, shift: Array, chance: float = 0.0) -> Array:
        """D² between X and μ + shift + r (X − μ), over pairs of different truths.

        chance: the variance of the truths' that is in `shift`. Their x̄ stands for μ, which makes
        x_i − x̄ − r (x_j − x̄) shorter by (1 − r)² / g of 1 + r² in its variance.
        """
        longer = np.sqrt((1 + r**2 - chance) / (1 + r**2 - (1 - r) ** 2 / g))
        x, z = longer * centred, longer * r * centred + shift[:, None]
        own = np.linalg.norm(x - z, axis=2).sum(axis=1)
        return 2 * (_between(x, z) * g * g - own) / (g * (g - 1)) - _among(truths) - _among(r * truths)

    alike = np.ones_like(ratio)
    bias = distance(alike, delta, 1 / g) - distance(alike, epsilon)
    both = distance(ratio, delta, 1 / g) - distance(ratio, epsilon) + distance(ratio, np.zeros_like(delta))
    return np.stack([bias, both - bias, energy_distance(truths, members) - both], axis=1)


def _chance(members: Array) -> Array:
    """A vector of mean 0 with the covariance of the members' mean, float64[E, D], from two halves of them."""
    halves = members[:, ::2], members[:, 1::2]
    first, second = (half.mean(axis=1) for half in halves)
    return np.sqrt(halves[0].shape[1] * halves[1].shape[1]) / members.shape[1] * (first - second)


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
    standard deviation within an ensemble. A number that hardly varies within ensembles, by less than a thousandth of
    its deviation over all truths, is in units of the latter, so that errors of it count little; `exact` counts those.
    What has ended stays in its last state. An ensemble weighs as much as it has truths. Items: by ensemble. Extras:
    bias, spread and dependence, which add up to the value; leads, the number of lead times; members. By lead time: the
    distance by the observables of that frame alone, and its parts.
    """

    direction = "min"
    unit = "σ"
    columns = tuple((name, name) for name in PARTS)
    least_truths: ClassVar[int] = 2
    params: EnergyDistanceParams

    def estimate(self, values: Array, weights: Counts, rng: np.random.Generator) -> tuple[float, Interval | None]:
        value = float(np.average(values, weights=weights))
        return value, skewed_interval(value + (values - value) * weights / weights.mean())

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        observables = choose_observables(comparison.reference.domain, self.params.observables)
        if not observables:
            raise NotApplicable("the domain has no observables")
        leads = lead_times(comparison.reference, comparison.last, self.params.leads)
        sides = comparison.observed(observables)  # two [n, L, K]
        scale, exact = units(sides[0], [e.cases for e in comparison.groups])
        truth, simulated = (side / scale for side in sides)
        chosen = _by_group(comparison, truth[:, leads - 1], simulated[:, leads - 1])
        values, parts = _distances(chosen)
        curves = np.array([_curve(comparison, truth[:, [t]], simulated[:, [t]]) for t in range(truth.shape[1])])
        means = np.average(parts, axis=0, weights=comparison.weights)
        extras = {name: float(mean) for name, mean in zip(PARTS, means, strict=True)}
        extras |= {"leads": float(len(leads)), "exact": float(exact[leads - 1].sum())}
        return ByEnsemble(values, extras, by_lead=dict(zip(("value", *PARTS), curves.T, strict=True)))


def lead_times(reference: Trajectories, last: int, leads: int | list[int]) -> NDArray[np.int64]:
    """The frames at which trajectories are described, sorted. Raises NotApplicable for one beyond the last."""
    if isinstance(leads, int):
        end = max(1, int(np.median(reference.lengths)) - 1)
        return np.unique(np.linspace(0, end, leads + 1).round().astype(np.int64)[1:].clip(1))
    if max(leads) > last:
        raise NotApplicable(f"no truth lasts to lead {max(leads)}; the longest has {last} frames after its start")
    return np.unique(np.array(leads, dtype=np.int64))


def units(truth: Array, cases: list[NDArray[np.int64]]) -> tuple[Array, NDArray[np.bool_]]:
    """The unit of each number, float64[L, K], and whether it is exact, bool[L, K].

    truth: float64[n, L, K]; cases: int64[E, g] each, by ensemble. The unit is the standard deviation within ensembles,
    of exact numbers that over all truths; over all lead times too where all truths are the same at one; a number that
    is always the same keeps its own unit.
    """
    within = within_deviations([truth[index].reshape(*index.shape, -1) for index in cases]).reshape(truth.shape[1:])
    overall, always = truth.std(axis=0), truth.std(axis=(0, 1))
    rounding = _ROUNDING * np.abs(truth).max(axis=0)
    overall = np.where(overall > rounding, overall, np.where(always > rounding, always, 1.0))
    exact = within <= np.maximum(EXACT * overall, rounding)
    return np.where(exact, overall, within), exact


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


SPEC = metric_spec(
    EnergyDistance, EnergyDistanceParams, "fair energy distance of ensembles by observables at several lead times"
)
