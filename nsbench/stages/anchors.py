"""What stands beside a score that no trial of the run made: those of the ground truth and of the null models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from nsbench.components.events import Notice
from nsbench.results.rows import ScoreRow
from nsbench.stages.score import score, score_null
from nsbench.stages.workshop import Bench
from nsbench.suite.planner import DataPlan, NullPlan, Plan, ScorePlan, Trial


class Scored(Protocol):
    """What anchors need to know of a trial."""

    @property
    def id(self) -> str: ...
    @property
    def data(self) -> DataPlan: ...
    @property
    def replicate(self) -> int: ...


class AnchorScores:
    """The scores of the ground truth itself and of the null models, which stand beside everybody else's."""

    def __init__(self, plan: Plan, bench: Bench) -> None:
        self._plan = plan
        self._bench = bench
        self._known: dict[str, ScoreRow | None] = {}

    def beside(self, trial: Scored, metric: int, own: ScoreRow) -> ScoreRow:
        """A score with those of the anchors of the same metric beside it."""
        anchors = self._plan.anchors[trial.data.name, trial.replicate]
        if not own.anchored:
            return own
        nulls = anchors.nulls if own.rollouts_only else {}
        return replace(
            own,
            floor=self._value(anchors.floor, metric),
            noise_free=self._value(anchors.noise_free, metric),
            climatology=self._null(trial, nulls.get("climatology"), metric),
            persistence=self._null(trial, nulls.get("persistence"), metric),
        )

    def _value(self, anchor: Trial | None, metric: int) -> float | None:
        if anchor is None:
            return None
        plan = anchor.scores[metric]
        return self._once(plan, anchor.id, lambda: score(self._bench, anchor, plan))

    def _null(self, trial: Scored, null: NullPlan | None, metric: int) -> float | None:
        if null is None:
            return None
        plan = null.scores[metric]
        return self._once(plan, null.null, lambda: score_null(self._bench, trial.id, null, plan))

    def _once(self, plan: ScorePlan, name: str, make: Callable[[], ScoreRow]) -> float | None:
        if plan.key.digest not in self._known:
            self._known[plan.key.digest] = self._made(name, make)
        known = self._known[plan.key.digest]
        return known.value if known else None

    def _made(self, name: str, make: Callable[[], ScoreRow]) -> ScoreRow | None:
        try:
            return make()
        except Exception as error:
            self._bench.emit(Notice(f"no anchor from {name}: {type(error).__name__}: {error}"))
            return None
