"""Diagnostic: attached sites that melt, which growth cannot do."""

from __future__ import annotations

from nsbench.components.component import Params
from nsbench.trajectories.domain import Domain
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.violations import Counts, Mask, Violations, sites


class MeltingParams(Params):
    """The state in which a site has attached."""

    threshold: float = fields.threshold()
    resamples: int = fields.resamples()


def melted(before: Mask, now: Mask) -> Mask:
    """Sites that were attached and are not any more, bool[n, H, W]."""
    return before & ~now


class Melting(Violations):
    """Share of attached sites that are not attached in the next frame.

    Extras: rollouts, the share of rollouts in which any site melts. Items: share by rollout.
    """

    params: MeltingParams

    def counted(self, before: Mask, now: Mask, domain: Domain) -> dict[str, Counts]:
        return {"wrong": sites(melted(before, now)), "all": sites(before)}


SPEC = metric_spec(Melting, MeltingParams, "diagnostic: attached sites that melt")
