"""The anchors: what stands beside a score and gives it its scale.

Which ones a row wants is said here, and how their values get beside its scores; who makes them, and when, is for others
to say. The ground truth is a trial of its own, a null model a recipe; both are scored as everything is.
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
    """An anchor that a row wants: who it is, and its scores by the metrics concerned."""

    name: Anchor
    plan: Trial | NullPlan
    scores: tuple[ScorePlan, ...]


def wanted_anchors(plan: Plan, candidate: Candidate, scores: Sequence[ScoreRow]) -> Iterator[WantedAnchor]:
    """What is wanted beside a row. scores: the row's own, one a metric of the suite.

    A null model has neither likelihood nor costs, so metrics that need those are not asked of one.
    """
    anchors = plan.anchors[candidate.data.name, candidate.replicate]
    for name, anchor in anchors.all().items():
        is_null = isinstance(anchor, NullPlan)
        metrics = [k for k, score in enumerate(scores) if score.anchored and (score.rollouts_only or not is_null)]
        if metrics:
            yield WantedAnchor(name, anchor, tuple(anchor.scores[k] for k in metrics))


def beside_anchors(
    scores: Sequence[ScoreRow], anchors: Sequence[WantedAnchor], read: Callable[[ScorePlan], ScoreRow | None]
) -> tuple[ScoreRow, ...]:
    """The scores with their anchors' values beside them. read: an anchor's score; None where there is none."""
    values: dict[str, dict[str, Any]] = {score.metric: {} for score in scores}
    for anchor in anchors:
        for metric in anchor.scores:
            row = read(metric)
            values[metric.name][anchor.name] = row.value if row is not None else None
    return tuple(replace(score, **values[score.metric]) for score in scores)
