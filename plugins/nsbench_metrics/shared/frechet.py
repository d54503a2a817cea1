"""Fréchet distances between Gaussians, by their moments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def frechet_distance(x: Array, y: Array) -> float:
    """Squared Fréchet (2-Wasserstein) distance between the Gaussians with the samples' moments.

        FD = ‖μ_x − μ_y‖² + tr(Σ_x + Σ_y − 2 (Σ_x^½ Σ_y Σ_x^½)^½)

    x: float64[n, d], y: float64[m, d], n, m ≥ 2. In the squared unit of the features. Finite samples raise it
    by O(d/n). Dowson & Landau 1982, doi 10.1016/0047-259X(82)90077-X.
    """
    return gaussian_frechet(x.mean(axis=0), covariance(x), y.mean(axis=0), covariance(y))


def covariance(x: Array) -> Array:
    """The unbiased covariance float64[d, d] of a sample float64[n, d]."""
    return np.atleast_2d(np.cov(x, rowvar=False))


def gaussian_frechet(mean_x: Array, cov_x: Array, mean_y: Array, cov_y: Array) -> float:
    """The squared Fréchet distance of two Gaussians, by their means float64[d] and covariances float64[d, d]."""
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
