"""The progress of a run in lines of text, for logs and pipes."""

from __future__ import annotations

import time

from rich.console import Console

from nsbench.commands.display.estimate import Estimate
from nsbench.commands.display.screen import say
from nsbench.commands.display.words import Validation, stage_line, trial_line
from nsbench.components.events import (
    CurvePoint,
    Event,
    Notice,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.quantities import duration

LEAST_SECONDS, LINES = 15, 20
"""The least seconds between two lines about how far a run is, and how many such lines a run has, about."""

_TELLING_SECONDS = 5.0
"""Seconds of work above which a finished stage gets a line of its own."""


class PlainProgress:
    """A display of a run in lines of text: what has ended, and from time to time how far all that runs is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._estimate, self._validation = Estimate(), Validation()
        self._began = self._last_line = time.monotonic()
        self._trials = self._ended = 0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: lines of text need no end."""

    def __call__(self, event: Event) -> None:
        self._estimate.hear(event)
        if isinstance(event, RunStarted):
            self._trials = len(event.trials)
            self._say(f"{event.suite}: {len(event.trials)} trials, {len(event.pending)} artifacts to make")
        elif isinstance(event, StageStarted):
            self._validation.forget(event.trial)
        elif isinstance(event, CurvePoint):
            self._validation.hear(event)
        elif isinstance(event, StageProgress) and self._is_due():
            self._say_how_far()
        elif isinstance(event, StageFinished) and not event.hit and event.seconds > _TELLING_SECONDS:
            self._say(stage_line(event))
        elif isinstance(event, TrialFinished):
            self._ended += 1
            self._say(trial_line(event, self._ended, self._trials))
        elif isinstance(event, Notice):
            self._say(f"note: {event.message}")

    def _is_due(self) -> bool:
        now, left = time.monotonic(), self._estimate.run_left() or 0.0
        return now - self._last_line > max(LEAST_SECONDS, (now - self._began + left) / LINES)

    def _say_how_far(self) -> None:
        """A line about all stages that run and report how far they are, and the time that is left."""
        stages = [
            f"{stage.what}: {stage.done:,} of {stage.total:,} {stage.unit}{self._validation.text(trial)}"
            for trial, stage in self._estimate.running.items()
            if stage.total
        ]
        left = self._estimate.run_left()
        rest = [f"about {duration(left)} left"] if left is not None else []
        if stages:
            self._last_line = time.monotonic()
            self._say("; ".join([*stages, *rest]))

    def _say(self, text: str) -> None:
        elapsed = duration(time.monotonic() - self._began)
        say(self._console, f"{elapsed:>9}  {text}")
