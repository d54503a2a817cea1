"""How long still: what is said of a run's rest is what its parts so far took."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nsbench.commands.display import estimate as module
from nsbench.commands.display.estimate import Estimate
from nsbench.commands.display.lines import PlainProgress
from nsbench.commands.display.progress import progress_display
from nsbench.components.events import (
    CurvePoint,
    ExpectedStage,
    Notice,
    RunStarted,
    StageFinished,
    StagePostponed,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.components.rows import TrialResult


@pytest.fixture
def now(monkeypatch):
    """A clock that tests set."""
    time = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: time[0])
    return time


STAGES = (
    ExpectedStage("t", "data", "a", "data/train"),
    ExpectedStage("t", "model", "b", "model of x", 1000.0),
    ExpectedStage("t", "evidence", "e", "evidence of x", 300.0, "b"),
    ExpectedStage("t", "score", "s", "score/ewd"),
    ExpectedStage("u", "model", "c", "model of y", 1000.0),
    ExpectedStage("u", "evidence", "f", "evidence of y", 300.0, "c"),
    ExpectedStage("u", "score", "r", "score/ewd"),
)


def started(key, stage="model", trial="t"):
    return StageStarted(trial, stage, key, f"fit {key}")


def begun():
    return RunStarted("s", "i", ("t", "u"), {stage.key: stage.kind for stage in STAGES}, STAGES)


def test_a_stages_rest_follows_its_rate_and_the_runs_rest_counts_each_pending_artifact_once(now):
    estimate = Estimate()
    estimate.hear(begun())
    assert estimate.run_left() is None
    estimate.hear(started("a", "data"))
    estimate.hear(StageFinished("t", "data", "a", "data", False, 2.0))
    assert estimate.stage_left("t") is None
    estimate.hear(started("b"))
    estimate.hear(StageProgress("t", "model", 100, 1000, "transitions"))  # after a resumed checkpoint
    now[0] += 10
    estimate.hear(StageProgress("t", "model", 200, 1000, "transitions"))
    assert estimate.stage_left("t") == pytest.approx(80)
    # ten transitions a second: this fit, one like it, and the evidence of both; of scores nothing is known
    assert estimate.run_left() == pytest.approx(80 + 100 + 30 + 30)


def test_an_artifact_made_for_somebody_else_is_pending_no_more():
    estimate = Estimate()
    estimate.hear(begun())
    estimate.hear(StageStarted("an anchor", "evidence", "e", "rollouts"))
    assert "e" not in estimate.pending


class Play:
    """A run that is played by a clock: (seconds, what happens), with the seconds that stages truly take.

    jobs: how many stages run side by side. Fits report every second; scores are announced when they are made.
    """

    def __init__(self, now, jobs, seconds):
        self.now, self.jobs, self.seconds = now, jobs, seconds
        self.estimate, self.errors = Estimate(), []
        self.estimate.hear(begun())

    def run(self):
        """Play it to its end; the estimates at each second, with the time at which they were made."""
        queue = [stage for stage in STAGES if stage.kind != "score"]
        self.work(queue, self.jobs)
        if self.jobs > 1:
            for stage in (stage for stage in STAGES if stage.kind == "evidence"):
                self.step([stage], {stage.key: 0.25 * self.seconds[stage.key]})
        for stage in (stage for stage in STAGES if stage.kind == "score"):
            self.estimate.hear(StageFinished(stage.trial, "evidence", "any", "rollouts", True, 0.0))
            self.pause(self.seconds[stage.key])
            self.estimate.hear(StageStarted(stage.trial, "score", stage.key, stage.like))
            self.estimate.hear(StageFinished(stage.trial, "score", stage.key, stage.like, False, 0.0))
        end = self.now[0]
        return [(at, left, end - at) for at, left in self.errors if left is not None]

    def work(self, queue, jobs):
        trials = [[stage for stage in queue if stage.trial == trial] for trial in ("t", "u")]
        lanes = [trials] if jobs == 1 else [[trial] for trial in trials]
        plans = [[stage for trial in lane for stage in trial] for lane in lanes]
        left = [0.0] * len(plans)
        current = [None] * len(plans)
        while any(plans) or any(current):
            for k, plan in enumerate(plans):
                if current[k] is None and plan:
                    current[k] = plan.pop(0)
                    whole = self.seconds[current[k].key]
                    left[k] = whole * (0.75 if current[k].kind == "evidence" and jobs > 1 else 1.0)
                    self.estimate.hear(started(current[k].key, current[k].kind, current[k].trial))
            self.pause(1.0)
            for k, stage in enumerate(current):
                if stage is None:
                    continue
                left[k] -= 1.0
                self.report(stage, left[k])
                if left[k] <= 0:
                    current[k] = None
                    if stage.kind == "evidence" and jobs > 1:
                        self.estimate.hear(StagePostponed(stage.trial, stage.kind, stage.key, stage.like))
                    else:
                        self.finish(stage)

    def step(self, stages, seconds):
        for stage in stages:
            self.estimate.hear(started(stage.key, stage.kind, stage.trial))
            self.pause(seconds[stage.key])
            self.finish(stage)

    def finish(self, stage):
        seconds = self.seconds[stage.key] * (0.25 if stage.kind == "evidence" and self.jobs > 1 else 1.0)
        self.estimate.hear(StageFinished(stage.trial, stage.kind, stage.key, stage.like, False, seconds))

    def report(self, stage, left):
        if stage.kind == "model":
            done = round(1000 * (1 - left / self.seconds[stage.key]))
            self.estimate.hear(StageProgress(stage.trial, "model", done, 1000, "transitions"))

    def pause(self, seconds):
        for _ in range(round(seconds)):
            self.now[0] += 1.0
            self.errors.append((self.now[0], self.estimate.run_left()))


SLOW_AND_FAST = {"a": 3, "b": 300, "e": 80, "s": 8, "c": 200, "f": 60, "r": 8}
SLOW_EVIDENCE = {"a": 3, "b": 300, "e": 480, "s": 8, "c": 250, "f": 400, "r": 8}
ALIKE = {"a": 3, "b": 300, "e": 80, "s": 8, "c": 270, "f": 90, "r": 8}


@pytest.mark.parametrize(("jobs", "seconds"), [(1, ALIKE), (2, SLOW_AND_FAST)])
def test_what_is_left_is_right_within_fifteen_percent_of_the_run(now, jobs, seconds):
    """Two fits, evidence that costs what its work says, give or take a tenth, and scores.

    One after the other, nothing tells how fast the second fit is before it has begun.
    """
    began = now[0]
    estimates = Play(now, jobs, seconds).run()
    whole = now[0] - began
    late = [(left, truth) for at, left, truth in estimates if at - began > 0.25 * whole]
    assert len(late) > 100
    assert max(abs(left - truth) for left, truth in late) < 0.15 * whole


def test_evidence_that_takes_more_than_its_work_says_is_expected_to_go_on_so(now):
    """Six times here, as if a frame had many evaluations: when the first is made, the other's is known, and both costs."""
    estimates = Play(now, 2, SLOW_EVIDENCE).run()
    late = [(left, truth) for at, left, truth in estimates if truth < 300]
    assert max(abs(left - truth) for left, truth in late) < 40


def test_plain_lines_say_what_how_far_and_how_long(now):
    text = io.StringIO()
    display = progress_display(Console(file=text))
    assert isinstance(display, PlainProgress)
    stage = ExpectedStage("t", "model", "b", "model of x", 1000.0)
    display(RunStarted("snow", "i", ("t",), {"b": "model"}, (stage,)))
    display(started("b"))
    display(StageProgress("t", "model", 0, 1000, "transitions"))
    now[0] += 20
    display(CurvePoint("t", "train/loss", 20.0, 100))
    display(CurvePoint("t", "val/elbo", -18.5, 100))
    display(CurvePoint("t", "val/elbo", -17.0, 400))
    display(StageProgress("t", "model", 500, 1000, "transitions"))
    display(StageFinished("t", "model", "b", "fit b", False, 40.0))
    display(Notice("look"))
    display(TrialFinished(TrialResult("d/t/r0", "d", "t", 0, "failed", {}, error="on fire")))
    lines = [line.split(maxsplit=2)[2] for line in text.getvalue().splitlines()]
    assert lines == [
        "snow: 1 trials, 1 artifacts to make",
        "fit b: 500 of 1,000 transitions, val/elbo -17 after -18.5; about 20 s left",
        "fit b: 40 s",
        "note: look",
        "[1/1] d/t/r0: failed: on fire",
    ]
