"""An estimate of the time that a run still needs.

A running fit is expected to keep its rate. A fit to come is expected to have the rate of an earlier one of the same
simulator, else the mean of those seen; the evidence of a simulator to take what its work is at the rate of its fit,
as many times as evidence has taken so far; and every other stage what stages like it took in this run. With these,
the run is played to its end: as many stages side by side as there were at most so far, costs one by one, then scores.
What is not met yet and has no rate counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from nsbench.components.events import (
    Event,
    ExpectedStage,
    RunStarted,
    StageFinished,
    StagePostponed,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.store.key import ArtifactKind

COSTS = 0.3
"""The time that costs take, as a part of what the rest of the evidence took, until some have been measured."""


@dataclass
class Running:
    """A stage that is running: when it began, and how far it was at the first report and is now."""

    kind: ArtifactKind
    what: str = ""
    since: float = 0.0
    key: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    first_done: int | None = None
    first_at: float = 0.0
    last_at: float = 0.0

    def hear(self, event: StageProgress) -> None:
        """Take note of the stage's progress."""
        self.last_at = time.monotonic()
        if self.first_done is None:
            self.first_done, self.first_at = event.done, self.last_at
        self.done, self.total, self.unit = event.done, event.total, event.unit

    def rate(self) -> float | None:
        """Units a second between the first report and the last; None while that is not known."""
        if self.first_done is None or self.done <= self.first_done:
            return None
        return (self.done - self.first_done) / max(1e-9, self.last_at - self.first_at)

    def left(self) -> float | None:
        """Seconds until the stage has done all that it reports, at its own rate; None while that is not known."""
        rate = self.rate()
        return None if rate is None else (self.total - self.done) / rate


@dataclass
class Estimate:
    """What a run has before it, what runs, and what stages took so far."""

    pending: dict[str, ExpectedStage] = field(default_factory=dict)  # by key
    running: dict[str, Running] = field(default_factory=dict)  # by trial
    _known: dict[str, ExpectedStage] = field(default_factory=dict)  # by key, all that were pending once
    _took: dict[str, list[float]] = field(default_factory=dict)  # seconds of stages that are alike
    _rates: dict[str, float] = field(default_factory=dict)  # transitions a second, of fits that are alike
    _postponed: dict[str, float] = field(default_factory=dict)  # seconds of evidence without its costs, by key
    _costs: list[tuple[float, float]] = field(default_factory=list)  # seconds of costs, and of the evidence before them
    _works: list[tuple[float, float]] = field(default_factory=list)  # seconds of evidence, and those that its work says
    _heard: dict[str, float] = field(default_factory=dict)  # when a stage of a trial last began or ended
    _lanes: int = 1

    def hear(self, event: Event) -> None:
        """Take note of an event of the run."""
        if isinstance(event, RunStarted):
            self.pending = {stage.key: stage for stage in event.expected}
            self._known = dict(self.pending)
        elif isinstance(event, StageStarted):
            began = self._began(event)
            self.running[event.trial] = Running(event.kind, event.what, began, event.key)
            self.pending.pop(event.key, None)
            self._lanes = max(self._lanes, len(self.running))
        elif isinstance(event, StageProgress) and event.trial in self.running:
            self.running[event.trial].hear(event)
            self._learn_rate(self.running[event.trial])
        elif isinstance(event, StagePostponed):
            stage = self.running.pop(event.trial, None)
            self._postponed[event.key] = time.monotonic() - stage.since if stage else 0.0
            self._learn(event.key, self._postponed[event.key])
        elif isinstance(event, StageFinished):
            self._finish(event)
        elif isinstance(event, TrialFinished):
            self._drop(event.result.trial)

    def stage_left(self, trial: str) -> float | None:
        """Seconds until a trial's running stage ends; None while its rate is not known."""
        return self.running[trial].left() if trial in self.running else None

    def run_left(self) -> float | None:
        """Seconds until the run ends; None while nothing is known of it."""
        if not (self._rates or self._took):
            return None
        running = {stage.key: self._left(stage) for stage in self.running.values()}
        scores = sum(self._seconds(stage) for stage in self.pending.values() if stage.kind == "score")
        if self._lanes == 1:
            return sum(running.values()) + scores + sum(self._seconds(stage) for stage in self._before_scores())
        keys = [*self.pending, *(running.keys() ^ self._postponed.keys())]  # in both: its costs are running
        costs = [stage for key in keys if (stage := self._known.get(key)) and stage.kind == "evidence"]
        alone = _ratio(self._costs, COSTS) * sum(self._postponed.get(s.key) or self._seconds(s) for s in costs)
        return self._side_by_side(running, self._before_scores()) + alone + scores / self._lanes

    def _before_scores(self) -> list[ExpectedStage]:
        return [stage for stage in self.pending.values() if stage.kind != "score"]

    def _side_by_side(self, running: Mapping[str, float], stages: Iterable[ExpectedStage]) -> float:
        """Seconds until all of them have ended, each begun where a lane is first free and its fit is there."""
        ends = dict(running)
        trials = {trial: running[stage.key] for trial, stage in self.running.items()}  # whose stages follow each other
        lanes = sorted([*running.values(), *[0.0] * max(0, self._lanes - len(running))])
        for stage in stages:
            before = trials.get(stage.trial, 0.0)
            lane = lanes.index(before) if before in lanes else 0
            lanes[lane] = max(lanes[lane], before, ends.get(stage.needs, 0.0)) + self._seconds(stage)
            trials[stage.trial] = ends[stage.key] = lanes[lane]
            lanes.sort()
        return max(lanes, default=0.0)

    def _began(self, event: StageStarted) -> float:
        """When the work of a stage began: a score is made before it is announced."""
        now = time.monotonic()
        began = self._heard.get(event.trial, now) if event.kind == "score" else now
        self._heard[event.trial] = now
        return began

    def _finish(self, event: StageFinished) -> None:
        """Take note of a stage that has ended, and of what it took."""
        self._heard[event.trial] = now = time.monotonic()
        running = self.running.pop(event.trial, None)
        self.pending.pop(event.key, None)
        if event.hit or event.key not in self._known:
            return
        if event.key in self._postponed:
            self._costs.append((event.seconds, self._postponed.pop(event.key)))
            return
        self._learn(event.key, now - running.since if running and event.kind == "score" else event.seconds)

    def _learn(self, key: str, seconds: float) -> None:
        """Take note of what a stage took, but for its costs."""
        if (stage := self._known.get(key)) is None:
            return
        self._took.setdefault(stage.like, []).append(seconds)
        if stage.kind == "evidence" and (expected := self._by_work(stage)):
            self._works.append((seconds, expected))

    def _learn_rate(self, stage: Running) -> None:
        rate = stage.rate()
        if stage.kind == "model" and stage.key in self._known and rate is not None:
            self._rates[self._known[stage.key].like] = rate

    def _left(self, stage: Running) -> float:
        """Seconds that a running stage still needs."""
        own, known = stage.left(), self._known.get(stage.key)
        if known is None or (stage.kind != "evidence" and own is not None):
            return own or 0.0
        before = self._postponed.get(stage.key)
        whole = self._seconds(known) if before is None else _ratio(self._costs, COSTS) * before
        return max(own or 0.0, whole - (time.monotonic() - stage.since), 0.0)  # likelihoods follow what it reports

    def _seconds(self, stage: ExpectedStage) -> float:
        """Seconds that a stage is expected to take from its beginning; 0 where nothing is known of its like."""
        if took := self._took.get(stage.like):
            return fmean(took)
        return self._by_work(stage) * (_ratio(self._works, 1.0) if stage.kind == "evidence" else 1.0)

    def _by_work(self, stage: ExpectedStage) -> float:
        """Seconds that a stage takes if its work is what the plan says; 0 where it says none or no rate is known."""
        fit = self._known.get(stage.needs, stage)
        rate = self._rates.get(fit.like) or (fmean(self._rates.values()) if self._rates else 0.0)
        return stage.work / rate if rate else 0.0

    def _drop(self, trial: str) -> None:
        """A trial has ended, perhaps badly: what it alone was to make is pending no more."""
        self.running.pop(trial, None)
        self.pending = {key: stage for key, stage in self.pending.items() if stage.trial != trial}


def _ratio(pairs: list[tuple[float, float]], unknown: float) -> float:
    """The sum of the first numbers over that of the second; `unknown` where that is nothing."""
    below = sum(second for _, second in pairs)
    return sum(first for first, _ in pairs) / below if below else unknown
