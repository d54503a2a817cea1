"""Collapse to the identity: rollouts in which nothing attaches any more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.diagnostic_params import IdentityCollapseParams
from nsbench_metrics.leads import last_lead


@dataclass(frozen=True, eq=False)
class Stillness:
    """Of n trajectories: transitions before the stop rule, those in which nothing attaches, whether it ends so.

    transitions, still: int64[n]; deadlocked: bool[n].
    """

    transitions: NDArray[np.int64]
    still: NDArray[np.int64]
    deadlocked: NDArray[np.bool_]


def stillness(trajectories: Trajectories, last: int, patience: int) -> Stillness:
    """How often nothing attaches, until the stop rule holds.

    A trajectory that ends before it, and before frame `last`, counts as still from there to `last`. Deadlocked: the
    stop rule is never met, and nothing attaches in the last `patience` transitions (in all, if there are fewer).
    """
    n, stop = len(trajectories), trajectories.domain.stop_sites()
    until = np.maximum(trajectories.lengths - 1, last)
    transitions, still, waited = (np.zeros(n, np.int64) for _ in range(3))
    before = trajectories.frame(0).max(axis=1) > 0.5
    stopped = before[:, stop].any(axis=1)
    for t in range(1, int(until.max(initial=0)) + 1):
        now = trajectories.frame(t).max(axis=1) > 0.5
        going = ~stopped & (t <= until)
        nothing = going & ~(now & ~before).any(axis=(1, 2))
        transitions += going
        still += nothing
        waited = np.where(going, (waited + 1) * nothing, waited)
        stopped |= now[:, stop].any(axis=1)
        before = now
    deadlocked = ~stopped & (transitions > 0) & (waited >= np.minimum(patience, transitions))
    return Stillness(transitions, still, deadlocked)


class IdentityCollapse(Metric):
    """Share of a simulator's transitions in which nothing attaches, before the stop rule.

    Extras: deadlocked, the share of rollouts that never meet the stop rule and in whose last ``patience`` transitions
    nothing attaches; truth and truth_deadlocked, the same of the truth. Items: share by rollout.
    """

    direction = "min"
    unit = "share"
    zero = "persistence"
    columns = (("deadlocked", "deadlocked"),)
    params: IdentityCollapseParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        last = last_lead(reference)
        own, truth = (stillness(t, last, self.params.patience) for t in (evidence.rollouts, reference))
        if not own.transitions.any() or not truth.transitions.any():
            raise NotApplicable("every start state meets the stop rule already")
        found = [index for e in ensembles(reference, evidence.members) for index in e.rollouts]
        still = np.array([own.still[index].sum() for index in found])
        transitions = np.array([own.transitions[index].sum() for index in found])

        def share(times: NDArray[np.int64]) -> float:
            return float((still * times).sum() / max((transitions * times).sum(), 1))

        return Score(
            value=share(np.ones(len(found), np.int64)),
            interval=bootstrap_ensembles(share, len(found), self.params.resamples, rng),
            items=own.still / np.maximum(own.transitions, 1),
            extras={
                "deadlocked": float(own.deadlocked.mean()),
                "truth": float(truth.still.sum() / truth.transitions.sum()),
                "truth_deadlocked": float(truth.deadlocked.mean()),
            },
        )
