"""Diagnostic: posteriors that are the prior, so that latents say nothing."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.latent_use import interval_of_mean, latent_use
from nsbench_metrics.shared.spec import metric_spec


class PosteriorCollapseParams(Params):
    """The variance with which a latent counts as active."""

    active: float = Field(0.01, gt=0, description="variance of its posterior's mean above which a latent is active")
    resamples: int = fields.resamples()


class PosteriorCollapse(Metric):
    """KL(q(z | x', x, y) ‖ p(z | x, y)), nats a transition, mean over up to 256 test transitions.

    0: the posterior is the prior, and z knows nothing of what happens next. Extras: latents, their number; active,
    how many have a variance over transitions of (E_q z − E_p z) / σ_p above ``active``, and active_share. With a
    standard normal prior that is the variance of the posterior's mean of Burda et al. 2016 (arXiv 1509.00519),
    appendix C; with a conditional prior what x and y tell is taken out, which the posterior's mean alone would not be.
    Items: KL by latent.
    """

    direction = "max"
    unit = "nats/transition"
    needs = frozenset({"likelihood"})
    columns = (("active_share", "active latents"),)
    anchored = False
    params: PosteriorCollapseParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        use = latent_use(evidence)
        active = int((use.spread > self.params.active).sum())
        extras = {"latents": use.spread.size, "active": active, "active_share": active / use.spread.size}
        interval = interval_of_mean(use.kl, use, reference, self.params.resamples, rng)
        return Score(float(use.kl.mean()), interval, use.latents, extras)


SPEC = metric_spec(
    PosteriorCollapse,
    PosteriorCollapseParams,
    "diagnostic: KL of the posterior from the prior, share of active latents",
)
