"""The exact likelihood of a step in gusts of wind, and that of the best model without a common cause."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench_gusts.law import SITUATION, WINDS, Array, hazards, neighbour_masks, survival

Mask = NDArray[np.bool_]


def log_likelihood(attached: Mask, grown: Mask, rate: Array, strength: Array) -> Array:
    """The log p(x' | x), float64[n], nats.

        p(x' | x) = (1/6) Σ_u Π_{sites beside a cluster} p(u)^x' (1 − p(u))^(1 − x')

    attached, grown: x and x', bool[n, H, W]; rate, strength: λ and s, float64[n]. −inf where a site melts, or attaches
    away from all clusters.
    """
    each = hazards(rate, strength)
    with np.errstate(divide="ignore"):  # no site beside a cluster has a hazard of 0
        attaches = np.log(-np.expm1(-each))
    sums = _summed(attached, grown, attaches[:, SITUATION], -each[:, SITUATION])
    nats: Array = np.logaddexp.reduce(sums, axis=1) - np.log(WINDS)
    return nats


def factorised_log_likelihood(attached: Mask, grown: Mask, rate: Array, strength: Array) -> Array:
    """The log Π π(x'_site | x), float64[n], nats, of the product of the law's marginals; arguments as above.

        π = (1/6) Σ_u p(u)

    Of all models that draw sites independently given x it is the one nearest to the law: its gap to the law's own
    likelihood is the KL divergence that no such model can go below.
    """
    stays = survival(rate, strength)[:, None]
    with np.errstate(divide="ignore"):
        attaches = np.log(1 - stays)
    return _summed(attached, grown, attaches, np.log(stays))[:, 0]


def _summed(attached: Mask, grown: Mask, attaches: Array, stays: Array) -> Array:
    """The sums of log-chances over the sites beside clusters, float64[n, winds]; −inf for what cannot happen.

    attaches, stays: float64[n, winds, masks].
    """
    masks = neighbour_masks(attached)
    front = (masks > 0) & ~attached
    system, *_ = np.nonzero(front)
    terms = np.where(grown[front][:, None], attaches[system, :, masks[front]], stays[system, :, masks[front]])
    sums: Array = np.stack([np.bincount(system, weights, len(attached)) for weights in terms.T], axis=1)
    sums[((grown != attached) & ~front).any(axis=(1, 2))] = -np.inf
    return sums
