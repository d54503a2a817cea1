"""A base class for shares of sites that do what growth cannot do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench_metrics.shared.bootstrap import estimate, share
from nsbench_metrics.shared.comparison import rollouts_by_ensemble, sums_by_ensemble
from nsbench_metrics.shared.states import require_numbers

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


class Violations(Metric):
    """The share of sites that do what growth cannot do, over all rollouts and frames.

    A metric says only which sites, in `counted`. Its parameters have `threshold` and `resamples`.
    """

    direction = "min"
    unit = "share"
    zero = "climatology"

    @abstractmethod
    def counted(self, before: Mask, now: Mask, domain: Domain) -> dict[str, Counts]:
        """Sites of one transition, int64[n] each: "wrong", "all" that could be, and by name further parts of these.

        before, now: bool[n, H, W], the attached sites of two frames.
        """

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        rollouts = evidence.rollouts
        require_numbers(rollouts.domain)
        sums: dict[str, Counts] = {}
        for valid, before, now in transitions(rollouts, self.params.threshold):
            for name, counts in self.counted(before, now, rollouts.domain).items():
                sums[name] = sums.get(name, 0) + counts * valid
        if not sums or not sums["all"].any():
            raise NotApplicable("nothing happens in any rollout")
        index = rollouts_by_ensemble(evidence, reference)
        wrong, whole = (sums_by_ensemble(sums[name], index) for name in ("wrong", "all"))
        value, interval = estimate(share(wrong, whole), len(index), self.params.resamples, rng, within=(0.0, 1.0))
        further = {name: float(c.sum() / sums["all"].sum()) for name, c in sums.items() if name not in ("wrong", "all")}
        return Score(
            value,
            interval,
            items=sums["wrong"] / np.maximum(sums["all"], 1),
            extras=further | {"rollouts": float((sums["wrong"] > 0).mean())},
        )


def transitions(trajectories: Trajectories, threshold: float) -> Iterator[tuple[Mask, Mask, Mask]]:
    """(not ended yet bool[n], attached sites bool[n, H, W] in frame t − 1, and in frame t), for every t."""
    before = trajectories.frame(0)[:, 0] > threshold
    for t in range(1, int(trajectories.lengths.max(initial=1))):
        now = trajectories.frame(t)[:, 0] > threshold
        yield trajectories.lengths > t, before, now
        before = now


def sites(mask: Mask) -> Counts:
    """The number of sites of each state, int64[n], in a mask bool[n, H, W]."""
    return mask.sum(axis=(1, 2), dtype=np.int64)
