"""Teacher-forced log-likelihood of what really happened next, or a bound on it."""

from __future__ import annotations

import math

import numpy as np

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import bootstrap_mean
from nsbench_metrics.shared.spec import metric_spec

ACTIVE = 0.01
"""Nats a transition above which a latent counts as used."""


class ELBOParams(Params):
    """The precision of the interval."""

    resamples: int = fields.resamples(1000)


class ELBO(Metric):
    """Mean over all test transitions of log p(x' | x, y), or of a lower bound on it, nats a transition.

        ELBO = E_q[Σ_U log π(x'; x, z, y) + log p(z | x, y) − log q(z | x', x, y)],  U = unattached sites

    The label names the kind ("exact", "elbo", "vlb"): different kinds are not ranked together. Extras:
    the same in nats and bits a site (÷ H·W, the paper's scale); over a fixed random subset of the
    transitions, for importance-weighted bounds L_K = E[logsumexp ℓ − log K] with "bound_1" among them
    (Burda et al., arXiv 1509.00519), and for a model with latents how many there are, how many are active
    (a KL above ACTIVE nats) and their KL in all. Items: nats by test transition, trajectory by trajectory.
    Timmer et al. 2024 (arXiv 2405.16608), section 4.
    """

    direction = "max"
    unit = "nats/transition"
    items_by = "transition"
    needs = frozenset({"likelihood"})
    columns = (("nats_per_site", "nats/site"),)
    params: ELBOParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        likelihood = evidence.likelihood
        if likelihood is None:
            raise ValueError("elbo needs a likelihood")
        trajectory, _ = reference.transitions()
        value = float(likelihood.nats.mean())
        a_site = value / reference.domain.sites
        extras = {"nats_per_site": a_site, "bits_per_site": a_site / math.log(2)}
        extras |= {f"bound_{k}": float(nats.mean()) for k, nats in sorted(likelihood.bounds.items())}
        if likelihood.latents is not None:
            active = int((likelihood.latents > ACTIVE).sum())
            extras |= {"latents": likelihood.latents.size, "latents_active": active, "kl": likelihood.latents.sum()}
        interval = bootstrap_mean(likelihood.nats, trajectory, self.params.resamples, rng)
        return Score(value, interval, likelihood.nats, extras, label=likelihood.kind)


SPEC = metric_spec(ELBO, ELBOParams, "teacher-forced log-likelihood of test transitions, or a bound on it")
