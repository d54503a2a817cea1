"""Do the latents do anything? Two ways to fail: the posterior says nothing, or the decoder does not listen."""

from __future__ import annotations

import numpy as np

from nsbench.components.evidence import Evidence, LatentUse
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.bootstrap import bootstrap_mean
from nsbench_metrics.diagnostic_params import LatentNeglectParams, PosteriorCollapseParams


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
        interval = interval_of_mean(use.kl, use, self.params.resamples, rng)
        return Score(float(use.kl.mean()), interval, use.latents, extras)


class LatentNeglect(Metric):
    """Sites that decide otherwise when z is drawn from the prior again, x and y held; mean over test transitions.

    0: the decoder does not listen to z. A site decides for its likelier state. Extras: redrawn_share, the value over
    the number of sites that truly change; redrawn_probability, Σ |π − π'| over sites, which sees what stays below ½;
    shuffled and shuffled_probability, the same when z is that of another transition: where they are large and the value
    is small, z tells x and y again and leaves nothing to chance; changed, sites that truly change; information_bound,
    nats, the KL: the mutual information of z and x' given x and y is at most that. Items: sites by transition.
    """

    direction = "max"
    unit = "sites/transition"
    needs = frozenset({"likelihood"})
    columns = (("shuffled", "z shuffled"), ("changed", "sites that change"))
    anchored = False
    params: LatentNeglectParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        use = latent_use(evidence)
        value, changed = float(use.redrawn.mean()), float(use.changed.mean())
        names = ("redrawn_probability", "shuffled", "shuffled_probability")
        extras = {name: float(getattr(use, name).mean()) for name in names}
        extras |= {"changed": changed, "information_bound": float(use.kl.mean())}
        if changed > 0:
            extras["redrawn_share"] = value / changed
        return Score(value, interval_of_mean(use.redrawn, use, self.params.resamples, rng), use.redrawn, extras)


def latent_use(evidence: Evidence) -> LatentUse:
    """What the evidence says of latents. Raises NotApplicable where there is nothing."""
    if evidence.latent_use is None:
        raise NotApplicable("the simulator has no latents")
    return evidence.latent_use


def interval_of_mean(
    values: np.ndarray, use: LatentUse, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """95 % interval, resampling test trajectories."""
    group = np.unique(use.trajectory, return_inverse=True)[1]
    return bootstrap_mean(values, group.astype(np.int64), resamples, rng)
