"""Energy distance of whole states at equal parameters, fair on both sides, by projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate, mean
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.directions import random_directions
from nsbench_metrics.shared.norms import flat
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import width

Array = NDArray[np.float64]


class SlicedEnergyParams(Params):
    """directions: random directions of projection."""

    directions: int = Field(64, ge=1)
    resamples: int = fields.resamples()


def energy_distance_on_lines(x: Array, y: Array) -> Array:
    """Fair energy distance of numbers, float64[...], of float64[..., a] and float64[..., b], a, b ≥ 2.

        D² = 2 mean_{i,j} |x_i − y_j| − mean_{i≠i'} |x_i − x_i'| − mean_{j≠j'} |y_j − y_j'|

    By sorting, O((a + b) log(a + b)): Σ_{i<j} |z_i − z_j| = Σ_k (2k − n − 1) z_(k), and the pairs of an x and a y are
    those of the pool that are not of one side. Expectation 0 for equal distributions, so that it may be negative.
    Székely & Rizzo 2013, doi 10.1016/j.jspi.2013.03.018; fair on both sides, as Ferro 2014 is of a score.
    """
    a, b = x.shape[-1], y.shape[-1]
    own_x, own_y = _pairs(x), _pairs(y)
    across = _pairs(np.concatenate([x, y], axis=-1)) - own_x - own_y
    return 2 * (across / (a * b) - own_x / (a * (a - 1)) - own_y / (b * (b - 1)))


def _pairs(z: Array) -> Array:
    """Σ_{i<j} |z_i − z_j|, float64[...], of float64[..., n]."""
    count = z.shape[-1]
    return np.sort(z, axis=-1) @ (2.0 * np.arange(count) - (count - 1))


def length_per_projection(dimension: int) -> float:
    """‖v‖ / mean_θ |θ·v| over directions θ uniform on the sphere: √π Γ((d + 1)/2) / Γ(d/2), about √(πd/2).

    A normal vector g is a direction times an independent length: mean |g·v| = √(2/π) ‖v‖ is mean ‖g‖ · mean |θ·v|,
    and mean ‖g‖ = √2 Γ((d + 1)/2) / Γ(d/2).
    """
    from scipy.special import gammaln

    return float(np.sqrt(np.pi) * np.exp(gammaln((dimension + 1) / 2) - gammaln(dimension / 2)))


def sliced_energy(truths: Array, members: Array, directions: Array) -> Array:
    """Fair energy distance of the states of each ensemble, float64[E]: that of projections, times a constant.

        D² = c_d · mean_θ D²(θ·x, θ·y),   c_d = √π Γ((d + 1)/2) / Γ(d/2)

    truths: float64[E, g, ...], members: float64[E, M, ...], g, M ≥ 2; whatever follows is one vector of d numbers.
    directions: float64[d, P], uniform on the sphere: the mean over them is D² of the Euclidean norm, as every distance
    in D² is (length_per_projection). In that norm. Hertrich, Wald, Altekrüger & Hagemann 2024, arXiv 2305.11463.
    """
    x, y = (np.swapaxes(flat(states) @ directions, 1, 2) for states in (truths, members))  # [E, P, g], [E, P, M]
    return length_per_projection(len(directions)) * energy_distance_on_lines(x, y).mean(axis=1)


class SlicedEnergy(Metric):
    """Energy distance between the whole states of truths and rollouts at equal parameters, fair on both sides.

    The mean over ensembles and lead times; fields in the truths' standard deviations, all channels as one vector. All
    ensembles, lead times and simulators meet the same directions, drawn from the generator. Items: by ensemble and
    lead time. Extras: members.
    """

    direction = "min"
    unit = "state norm"
    zero = "climatology"
    params: SlicedEnergyParams

    @property
    def items_by(self) -> str:
        return "ensemble"

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference, truths=2)
        dimension = reference.domain.sites * width(reference.domain)
        directions = random_directions(dimension, self.params.directions, rng)
        parts = [
            np.stack([sliced_energy(*pair, directions) for pair in comparison.scaled_states(chunk)], axis=1)
            for chunk in comparison.chunks()
        ]
        items = np.concatenate(parts)  # [E, L]
        value, interval = estimate(mean(items.mean(axis=1)), len(items), self.params.resamples, rng)
        return Score(value, interval, items, {"members": float(comparison.members[0])}, label=comparison.label)


SPEC = metric_spec(
    SlicedEnergy, SlicedEnergyParams, "energy distance of whole states, fair on both sides, by projections"
)
