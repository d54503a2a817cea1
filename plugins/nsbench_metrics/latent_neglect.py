"""Diagnostic: decoders that do not listen to latents."""

from __future__ import annotations

import numpy as np

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.latent_use import interval_of_mean, latent_use
from nsbench_metrics.shared.spec import metric_spec


class LatentNeglectParams(Params):
    """The precision of the interval."""

    resamples: int = fields.resamples()


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
        interval = interval_of_mean(use.redrawn, use, reference, self.params.resamples, rng)
        return Score(value, interval, use.redrawn, extras)


SPEC = metric_spec(LatentNeglect, LatentNeglectParams, "diagnostic: sites that decide otherwise when z is drawn again")
