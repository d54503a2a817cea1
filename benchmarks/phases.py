"""The phases of a run, from the timeline that timeline.py wrote: what was at work from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]

NAMES = {"data": "prepare", "evidence": "simulate", "score": "scoring"}


@dataclass(frozen=True)
class Span:
    """A piece of work of one process, in seconds of the timeline's clock."""

    phase: str
    begin: float
    end: float


def spans(events: Sequence[Event]) -> list[Span]:
    """The work of a run, piece by piece. A score is made before it is announced, so it begins where the last piece of
    its trial has ended; costs are the second piece of evidence that was postponed."""
    open_: dict[str, tuple[str, float]] = {}  # trial -> (phase, begin)
    last: dict[str, float] = {}
    postponed: set[str] = set()
    found = []
    for event in events:
        at, trial, kind = event["at"], event.get("trial", ""), event.get("kind", "")
        if event["event"] == "StageStarted":
            phase = event["what"] if kind == "model" else NAMES[kind]
            phase = "timing" if event["key"] in postponed else phase
            open_[trial] = phase, last.get(trial, at) if kind == "score" else at
        elif event["event"] in ("StageFinished", "StagePostponed", "TrialFinished"):
            if not event.get("hit") and trial in open_:
                found.append(Span(open_[trial][0], open_[trial][1], at))
                del open_[trial]
            if event["event"] == "StagePostponed":
                postponed.add(event["key"])
        if trial:
            last[trial] = at
    return found


def busy(work: Iterable[Span]) -> float:
    """Seconds of work, added up over what went on side by side."""
    return sum(span.end - span.begin for span in work)


def wall(work: Iterable[Span]) -> float:
    """Seconds in which any of the work went on."""
    seconds, until = 0.0, float("-inf")
    for span in sorted(work, key=lambda span: span.begin):
        seconds += max(0.0, span.end - max(span.begin, until))
        until = max(until, span.end)
    return seconds


def rates(events: Sequence[Event], windows: Iterable[tuple[float, float]]) -> float:
    """Transitions a second of all fits together, over the windows (begin, end) in which a fit reported twice."""
    done = seconds = 0.0
    for begin, end in windows:
        reports: dict[str, list[Event]] = {}
        for event in events:
            if event["event"] == "StageProgress" and event["kind"] == "model" and begin <= event["at"] <= end:
                reports.setdefault(event["trial"], []).append(event)
        whole = [one for one in reports.values() if len(one) > 1]
        if whole:
            done += sum((one[-1]["done"] - one[0]["done"]) / (one[-1]["at"] - one[0]["at"]) for one in whole)
            seconds += 1
    return done / seconds if seconds else float("nan")
