"""Teacher-forced log-likelihood of what really happened next, or a bound on it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence, Likelihood
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensemble_of
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import bootstrap_mean
from nsbench_metrics.shared.spec import metric_spec

ACTIVE = 0.01
"""Nats a transition above which a latent counts as used."""


class ELBOParams(Params):
    """The precision of the interval."""

    resamples: int = fields.resamples(1000)


class ELBO(Metric):
    """Mean over test transitions of log p(x' | x, y), or of a lower bound on it, nats a transition.

        ℓ = Σ_U log π(x'; x, z, y) + log p(z | x, y) − log q(z | x', x, y),  z ~ q,  U = unattached sites
        L_K = E[logsumexp_{k ≤ K} ℓ_k − log K],  L_1 = ELBO ≤ L_K ≤ log p(x' | x, y)

    The label says what the number is: "exact", of all test transitions; "L_64", the bound with the suite's largest K,
    of a random part of them that is the same for all simulators; "vlb", another bound. Scores of different labels are
    not ranked together: the slack of a bound grows with the use that latents are put to. The interval resamples
    ensembles of test cases.

    Extras: the same in nats and bits a site (÷ H·W, the paper's scale); "bound_1", … for every K, of the same
    transitions; transitions, their number; gap, where the ground truth's likelihood is exact: its mean less the
    simulator's over the same transitions, an estimate of the KL divergence from the truth to the simulator where
    this one's is exact too, of no less than it where it is a bound, and gap_low and gap_high, the ends of its interval;
    of a model with latents how many there are, how many are active (a KL above ACTIVE nats) and their KL in all;
    annealed, the bound by annealed importance sampling of some of the transitions, annealed_transitions, their number,
    and annealed_bound, the value over these alone; guided, the bound a site along guided unrolls, which is comparable
    with the published −0.0428 and with nothing else. Items: nats by test transition, trajectory by trajectory, NaN
    where none was evaluated. Timmer et al. 2024 (arXiv 2405.16608), section 4; Burda et al. 2016 (arXiv 1509.00519).
    """

    direction = "max"
    unit = "nats/transition"
    items_by = "transition"
    needs = frozenset({"likelihood"})
    columns = (
        ("gap", "gap to truth"),
        ("bound_1", "L_1"),
        ("nats_per_site", "nats/site"),
        ("transitions", "transitions"),
    )
    params: ELBOParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        likelihood = evidence.likelihood
        if likelihood is None:
            raise ValueError("elbo needs a likelihood")
        trajectory, _ = reference.transitions()
        chosen = np.arange(len(trajectory)) if likelihood.transitions is None else likelihood.transitions
        ensemble = ensemble_of(reference)[trajectory[chosen]]
        value = float(likelihood.nats.mean())
        a_site = value / reference.domain.sites
        extras = {"nats_per_site": a_site, "bits_per_site": a_site / math.log(2), "transitions": float(len(chosen))}
        extras |= {f"bound_{k}": float(nats.mean()) for k, nats in sorted(likelihood.bounds.items())}
        extras |= _latents(likelihood) | _annealed(likelihood)
        if likelihood.guided is not None:
            extras["guided"] = float(likelihood.guided.mean())
        interval = bootstrap_mean(likelihood.nats, ensemble, self.params.resamples, rng)
        if likelihood.truth is not None:
            extras |= gap(likelihood.truth - likelihood.nats, ensemble, self.params.resamples, rng)
        items = np.full(len(trajectory), np.nan)
        items[chosen] = likelihood.nats
        return Score(value, interval, items, extras, label=likelihood.label)


def gap(
    differences: NDArray[np.float64], ensemble: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> dict[str, float]:
    """The mean of the truth's log-likelihoods less the simulator's, float64[b], and the ends of its 95 % interval."""
    interval = bootstrap_mean(differences, ensemble, resamples, rng)
    ends = {} if interval is None else dict(zip(("gap_low", "gap_high"), interval, strict=True))
    return {"gap": float(differences.mean())} | ends


def _latents(likelihood: Likelihood) -> dict[str, float]:
    """The number of latents, of active ones, and their KL in all; nothing without latents."""
    if likelihood.latents is None:
        return {}
    kl = likelihood.latents
    return {"latents": float(kl.size), "latents_active": float((kl > ACTIVE).sum()), "kl": float(kl.sum())}


def _annealed(likelihood: Likelihood) -> dict[str, float]:
    """The bound by annealed importance sampling, beside the other on the same transitions; nothing where not done."""
    if likelihood.annealed is None:
        return {}
    return {
        "annealed": float(likelihood.annealed.mean()),
        "annealed_bound": float(likelihood.nats[likelihood.annealed_of].mean()),
        "annealed_transitions": float(likelihood.annealed.size),
    }


SPEC = metric_spec(ELBO, ELBOParams, "teacher-forced log-likelihood of test transitions: exact, or a bound, L_64")
