"""Diagnostic: collapse to the identity, rollouts in which nothing attaches any more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate, share
from nsbench_metrics.shared.comparison import rollouts_by_ensemble, sums_by_ensemble
from nsbench_metrics.shared.lead_times import last_lead
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import require_numbers


class IdentityCollapseParams(Params):
    """The time after which a rollout counts as deadlocked."""

    patience: int = Field(5, ge=1, description="last transitions in which nothing attaches in a deadlocked rollout")
    resamples: int = fields.resamples()


@dataclass(frozen=True, eq=False)
class Stillness:
    """Transitions of n trajectories before the stop rule, those in which nothing attaches, and whether it ends so.

    transitions, still: int64[n]; deadlocked: bool[n].
    """

    transitions: NDArray[np.int64]
    still: NDArray[np.int64]
    deadlocked: NDArray[np.bool_]


def stillness(trajectories: Trajectories, last: int, patience: int) -> Stillness:
    """Stillness of trajectories: transitions in which nothing attaches, until the stop rule holds.

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
        require_numbers(reference.domain)
        last = last_lead(reference)
        simulated, truth = (stillness(t, last, self.params.patience) for t in (evidence.rollouts, reference))
        if not simulated.transitions.any() or not truth.transitions.any():
            raise NotApplicable("every start state meets the stop rule already")
        index = rollouts_by_ensemble(evidence, reference)
        still, transitions = (sums_by_ensemble(counts, index) for counts in (simulated.still, simulated.transitions))
        value, interval = estimate(share(still, transitions), len(index), self.params.resamples, rng, within=(0.0, 1.0))
        return Score(
            value,
            interval,
            items=simulated.still / np.maximum(simulated.transitions, 1),
            extras={
                "deadlocked": float(simulated.deadlocked.mean()),
                "truth": float(truth.still.sum() / truth.transitions.sum()),
                "truth_deadlocked": float(truth.deadlocked.mean()),
            },
        )


SPEC = metric_spec(
    IdentityCollapse,
    IdentityCollapseParams,
    "diagnostic: transitions in which nothing attaches, rollouts that are deadlocked",
)
