"""The anchors: scores of the ground truth and of null models, which stand beside a score and give it its scale.

This module says which anchors a row wants, and puts their values beside the row's scores; when they are made is decided
in nsbench/running/schedule.py. The ground truth is a trial of its own, a null model a recipe; both are scored as every
simulator is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nsbench.components.metric import Anchor
from nsbench.components.rows import ScoreRow
from nsbench.suite.trials import Candidate, NullPlan, Plan, ScorePlan, Trial


@dataclass(frozen=True)
class WantedAnchor:
    """An anchor that a row wants: its name, its plan, and its scores by the metrics concerned."""

    name: Anchor
    plan: Trial | NullPlan
    scores: tuple[ScorePlan, ...]


def wanted_anchors(plan: Plan, candidate: Candidate, scores: Sequence[ScoreRow]) -> Iterator[WantedAnchor]:
    """The anchors that a row wants. scores: the row's own, one a metric of the suite.

    A null model has neither likelihood nor costs, so it is not scored by metrics that need those.
    """
    anchors = plan.anchors[candidate.data.name, candidate.replicate]
    for name, anchor in anchors.all().items():
        is_null = isinstance(anchor, NullPlan)
        indices = [k for k, score in enumerate(scores) if score.anchored and (score.rollouts_only or not is_null)]
        if indices:
            yield WantedAnchor(name, anchor, tuple(anchor.scores[k] for k in indices))


def anchored_rows(
    scores: Sequence[ScoreRow], anchors: Sequence[WantedAnchor], read: Callable[[ScorePlan], ScoreRow | None]
) -> tuple[ScoreRow, ...]:
    """The scores with the values of their anchors. read: returns an anchor's score, or None where there is none."""
    values: dict[str, dict[str, Any]] = {score.metric: {} for score in scores}
    for anchor in anchors:
        for plan in anchor.scores:
            row = read(plan)
            values[plan.name][anchor.name] = row.value if row is not None else None
    return tuple(replace(score, **values[score.metric]) for score in scores)
