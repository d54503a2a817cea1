"""Where a run's time goes: what went on side by side counts once in wall time, and each for itself in busy time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from phases import Span, busy, rates, spans, wall


def event(at, name, trial, kind="", key="", what="", **facts):
    return {"at": at, "event": name, "trial": trial, "kind": kind, "key": key, "what": what, **facts}


def piece(trial, kind, key, begin, end, what="", last="StageFinished"):
    """The two events of a stage."""
    return [
        event(begin, "StageStarted", trial, kind, key, what),
        event(end, last, trial, kind, key, what, hit=False),
    ]


def test_each_stage_is_a_span_and_costs_are_the_second_part_of_their_evidence():
    events = [
        *piece("d/train-data", "data", "d", 0, 2),
        *piece("a", "model", "m", 2, 12, "fit of a"),
        *piece("a", "evidence", "e", 12, 15, last="StagePostponed"),
        *piece("a", "evidence", "e", 20, 21),
        event(30, "StageFinished", "a", "evidence", "e", hit=True),  # the scoring job finds it
        *piece("a", "score", "s", 34, 34),  # made before it is announced
    ]
    assert spans(events) == [
        Span("prepare", 0, 2),
        Span("fit of a", 2, 12),
        Span("simulate", 12, 15),
        Span("timing", 20, 21),
        Span("scoring", 30, 34),
    ]


def test_a_trial_that_fails_ends_what_it_was_at():
    begun = event(1, "StageStarted", "a", "model", "m", "fit of a")
    assert spans([begun, {"at": 4, "event": "TrialFinished", "trial": "a"}]) == [Span("fit of a", 1, 4)]


@pytest.mark.parametrize(
    ("pieces", "seconds", "worked"),
    [
        ([], 0, 0),
        ([(0, 3)], 3, 3),
        ([(0, 3), (1, 2)], 3, 4),
        ([(5, 6), (0, 3), (2, 4)], 5, 6),
        ([(0, 1), (1, 2)], 2, 2),
    ],
)
def test_wall_time_is_the_union_and_busy_time_the_sum(pieces, seconds, worked):
    work = [Span("fit", begin, end) for begin, end in pieces]
    assert (wall(work), busy(work)) == (seconds, worked)


def test_a_rate_is_of_all_fits_together_within_the_windows():
    def report(at, trial, done):
        return event(at, "StageProgress", trial, "model", done=done)

    events = [report(t, "a", 10 * t) for t in range(10)] + [report(t, "b", 4 * t) for t in range(10)]
    assert rates(events, [(1, 4), (6, 9)]) == 14
    halved = [*events, *(report(t, "a", 100 + 2 * t) for t in range(10, 20))]
    assert rates(halved, [(11, 18)]) == 2
    assert rates(events, [(30, 40)]) != rates(events, [(30, 40)])  # no number
