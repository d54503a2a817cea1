"""The anchors: scores of the ground truth and of null models, which stand beside a score and give it its scale.

This module says which anchors a row wants, and puts their values beside the row's scores; when they are made is decided
in nsbench/running/schedule.py. The ground truth is a trial of its own, drawn several times; a null model has rollouts
alone. All are scored as every simulator is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from nsbench.components.metric import Anchor
from nsbench.components.rows import ScoreRow
from nsbench.suite.trials import Candidate, NullPlan, Plan, ScorePlan, Trial


@dataclass(frozen=True)
class WantedAnchor:
    """An anchor that a row wants: its name, its plan, and its scores by the metrics concerned.

    again: which further draw of the truth it is; 0 for all others.
    """

    name: Anchor
    plan: Trial | NullPlan
    scores: tuple[ScorePlan, ...]
    again: int = 0

    @property
    def id(self) -> str:
        """The anchor's name, other than that of every other one."""
        return f"{self.name}-{self.again + 1}" if self.again else self.name


def wanted_anchors(plan: Plan, candidate: Candidate, scores: Sequence[ScoreRow]) -> Iterator[WantedAnchor]:
    """The anchors that a row wants. scores: the row's own, one a metric of the suite.

    A null model has neither likelihood nor costs, so it is not scored by metrics that need those.
    """
    anchors = plan.anchors[candidate.data.name, candidate.replicate]
    names: Counter[Anchor] = Counter()
    for name, anchor in anchors.all():
        is_null = isinstance(anchor, NullPlan)
        indices = [k for k, score in enumerate(scores) if score.anchored and (score.rollouts_only or not is_null)]
        if indices:
            yield WantedAnchor(name, anchor, tuple(anchor.scores[k] for k in indices), names[name])
        names[name] += 1


def anchored_rows(
    scores: Sequence[ScoreRow], anchors: Sequence[WantedAnchor], read: Callable[[ScorePlan], ScoreRow | None]
) -> tuple[ScoreRow, ...]:
    """The scores with the values of their anchors. read: returns an anchor's score, or None where there is none."""
    values: dict[str, dict[Anchor, list[float]]] = {score.metric: {} for score in scores}
    for anchor in anchors:
        for plan in anchor.scores:
            row = read(plan)
            if row is not None and row.value is not None:
                values[plan.name].setdefault(anchor.name, []).append(row.value)
    return tuple(_anchored(score, values[score.metric]) for score in scores)


def _anchored(score: ScoreRow, values: Mapping[Anchor, Sequence[float]]) -> ScoreRow:
    """The score with the mean of each anchor's values, and the deviation of the floor's."""
    means: dict[str, Any] = {name: fmean(draws) for name, draws in values.items()}
    draws = values.get("floor", ())
    return replace(score, **means, floor_deviation=stdev(draws) if len(draws) > 1 else None)
