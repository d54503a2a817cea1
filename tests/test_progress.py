"""How long still: what is said of a run's rest is what its parts so far took."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nsbench.commands.display import progress
from nsbench.commands.display.progress import Clock, PlainProgress, progress_display
from nsbench.components.events import Notice, RunStarted, StageFinished, StageProgress, StageStarted, TrialFinished
from nsbench.components.rows import TrialResult


@pytest.fixture
def now(monkeypatch):
    """A clock that tests set."""
    time = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


PENDING = {"a": "data", "b": "model", "c": "model", "d": "evidence"}


def started(key, stage="model"):
    return StageStarted("t", stage, key, f"fit {key}")


def test_a_stages_rest_follows_its_rate_and_the_runs_rest_counts_each_pending_artifact_once(now):
    clock = Clock()
    clock.hear(RunStarted("s", "i", ("t",), PENDING))
    clock.hear(started("a", "data"))
    clock.hear(StageFinished("t", "data", "a", "data", False, 2.0))
    assert clock.stage_left("t") is None
    clock.hear(started("b"))
    clock.hear(StageProgress("t", "model", 100, 1000, "transitions"))  # after a resumed checkpoint
    now[0] += 10
    clock.hear(StageProgress("t", "model", 200, 1000, "transitions"))
    assert clock.stage_left("t") == pytest.approx(80)
    assert clock.run_left() == pytest.approx(80 + 90)  # and one more fit like this one; of "d" nothing is known


def test_an_artifact_made_for_somebody_else_is_pending_no_more(now):
    clock = Clock()
    clock.hear(RunStarted("s", "i", ("t",), PENDING))
    clock.hear(StageStarted("an anchor", "evidence", "d", "rollouts"))
    assert "d" not in clock.pending


def test_plain_lines_say_what_how_far_and_how_long(now):
    text = io.StringIO()
    display = progress_display(Console(file=text))
    assert isinstance(display, PlainProgress)
    display(RunStarted("snow", "i", ("t",), {"b": "model"}))
    display(started("b"))
    display(StageProgress("t", "model", 0, 1000, "transitions"))
    now[0] += 20
    display(StageProgress("t", "model", 500, 1000, "transitions"))
    display(StageFinished("t", "model", "b", "fit b", False, 40.0))
    display(Notice("look"))
    display(TrialFinished(TrialResult("d/t/r0", "d", "t", 0, "failed", {}, error="on fire")))
    lines = [line.split(maxsplit=2)[2] for line in text.getvalue().splitlines()]
    assert lines == [
        "snow: 1 trials, 1 artifacts to make",
        "fit b: 500 of 1,000 transitions, 20 s left; whole run about 20 s more",
        "fit b: 40 s",
        "note: look",
        "[1/1] d/t/r0: failed: on fire",
    ]
