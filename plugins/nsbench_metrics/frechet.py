"""Fréchet distance on descriptors of shape: do simulated crystals look like true ones, on the whole?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.descriptors import DESCRIPTORS, describe
from nsbench_metrics.features import deviations
from nsbench_metrics.leads import groups
from nsbench_metrics.params import FrechetParams

Array = NDArray[np.float64]


def frechet_distance(x: Array, y: Array) -> float:
    """Squared Fréchet (2-Wasserstein) distance between the Gaussians with the samples' moments.

        FD = ‖μ_x − μ_y‖² + tr(Σ_x + Σ_y − 2 (Σ_x^½ Σ_y Σ_x^½)^½)

    x: float64[n, d], y: float64[m, d], n, m ≥ 2. In the squared unit of the features. Finite samples raise it
    by O(d/n). Dowson & Landau 1982, doi 10.1016/0047-259X(82)90077-X.
    """
    return gaussian_frechet(x.mean(axis=0), covariance(x), y.mean(axis=0), covariance(y))


def covariance(x: Array) -> Array:
    """float64[d, d], unbiased."""
    return np.atleast_2d(np.cov(x, rowvar=False))


def gaussian_frechet(mean_x: Array, cov_x: Array, mean_y: Array, cov_y: Array) -> float:
    """frechet_distance of two Gaussians, by their moments."""
    root = _root(cov_x)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_y @ root), 0)).sum()
    return float(max(((mean_x - mean_y) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * cross, 0.0))


def _root(matrix: Array) -> Array:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def weighted_moments(x: Array, weights: Array) -> tuple[Array, Array]:
    """(mean, covariance) of float64[n, d] in which row i counts weights[i] times."""
    mean = np.average(x, axis=0, weights=weights)
    centred = x - mean
    return mean, (centred * weights[:, None]).T @ centred / (weights.sum() - 1)


class FrechetDescriptors(Metric):
    """Squared Fréchet distance on shape descriptors of the final state, in standard deviations of the truth.

    With `joint`, the parameters that vary stand beside the descriptors, so that a simulator that ignores them
    is seen, as far as the dependence is linear. Only means and covariances count. Items: difference of means
    by descriptor, in standard deviations.
    """

    direction = "min"
    unit = "std²"
    zero = "climatology"
    params: FrechetParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        names = self.params.descriptors
        if unknown := [name for name in names or () if name not in DESCRIPTORS]:
            raise NotApplicable(f"no descriptor {unknown[0]!r}; there are {', '.join(DESCRIPTORS)}")
        if len(reference) < 2:
            raise NotApplicable("needs at least two test cases")
        x, y = (self._features(t, names) for t in (reference, evidence.rollouts))
        scale = deviations(x)
        x, y = x / scale, y / scale
        case = np.empty(len(reference), np.int64)
        ensembles = [cases for e in groups(evidence, reference, members=1) for cases in e.cases]
        for k, cases in enumerate(ensembles):
            case[cases] = k

        def distance(times: NDArray[np.int64]) -> float:
            own = times[case].astype(np.float64)
            return gaussian_frechet(*weighted_moments(x, own), *weighted_moments(y, np.repeat(own, evidence.members)))

        many = len(ensembles) > 1
        return Score(
            value=distance(np.ones(len(ensembles), np.int64)),
            interval=bootstrap_ensembles(distance, len(ensembles), self.params.resamples, rng, distance=True)
            if many
            else None,
            items=(y.mean(axis=0) - x.mean(axis=0))[: len(names or DESCRIPTORS)],
        )

    def _features(self, trajectories: Trajectories, names: list[str] | None) -> Array:
        described = describe(trajectories, names)
        if not self.params.joint:
            return described
        return np.concatenate([described, trajectories.params[:, list(trajectories.domain.varying)]], axis=1)
