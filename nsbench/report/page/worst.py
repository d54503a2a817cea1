"""The cases in which simulators do worst, by the primary metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nsbench.outcomes.pairing import NoPairs
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Summary
from nsbench.suite.trials import Trial
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles

SIMULATORS = 4
"""The largest number of simulators whose worst case is shown."""


@dataclass(frozen=True)
class Worst:
    """The ensemble of cases that a simulator does worst in, by a metric. case: the first of them."""

    simulator: str
    case: int
    value: float


def worst_cases(
    stored: StoredResults, trials: Sequence[Trial], truth: Trajectories, summary: Summary
) -> Iterator[Worst]:
    """The worst case of each trial, of the first SIMULATORS; none where the primary metric has no value by ensemble."""
    firsts = [cases[0] for group in ensembles(truth, 1) for cases in group.cases]
    worst = np.argmax if summary.metrics[0].direction == "min" else np.argmin
    for trial in trials[:SIMULATORS]:
        row = next((score for score in stored.rows[trial.id].scores if score.metric == summary.primary), None)
        if row is None:
            continue
        try:
            values = stored.units(trial, row).values
        except NoPairs:
            continue
        if len(values) == len(firsts):
            k = int(worst(values))
            yield Worst(trial.simulator, int(firsts[k]), float(values[k]))
