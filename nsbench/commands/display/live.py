"""The progress of a run as moving bars, for terminals."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from nsbench.commands.display.estimate import Estimate
from nsbench.commands.display.screen import shown
from nsbench.commands.display.words import Validation, stage_line, trial_line
from nsbench.components.events import (
    CurvePoint,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StagePostponed,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.names import printable
from nsbench.quantities import duration

_TELLING_SECONDS = 0.5
"""Seconds of work above which a finished stage gets a line of its own."""


class LiveProgress:
    """A display of bars: one for the run, by the time that it needs, and one for each running stage; above them a line
    for each finished stage."""

    def __init__(self, console: Console) -> None:
        self._estimate, self._validation = Estimate(), Validation()
        self._began = time.monotonic()
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
        )
        self._run = self._bars.add_task("run", total=1, left="")
        self._stages: dict[str, TaskID] = {}  # by trial
        self._ended = self._trials = 0
        self._share = 0.0

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        self._estimate.hear(event)
        if isinstance(event, RunStarted):
            self._trials = len(event.trials)
            self._bars.update(self._run, description=printable(event.suite))
        elif isinstance(event, StageStarted):
            self._close_stage(event.trial)
            self._stages[event.trial] = self._bars.add_task(printable(event.what), total=None, left="")
        elif isinstance(event, CurvePoint):
            self._validation.hear(event)
        elif isinstance(event, StageProgress) and event.trial in self._stages:
            bar = self._stages[event.trial]
            self._bars.update(bar, completed=event.done, total=event.total, left=self._stage_left(event))
        elif isinstance(event, StagePostponed):
            self._close_stage(event.trial)
        elif isinstance(event, StageFinished) and not event.hit:
            self._close_stage(event.trial)
            if event.seconds > _TELLING_SECONDS:
                self._say(("✓", "green"), stage_line(event))
        elif isinstance(event, TrialFinished):
            self._ended += 1
            self._close_stage(event.result.trial)
            if event.result.status != "ok":
                self._say(("✗", "red"), trial_line(event, self._ended, self._trials))
        elif isinstance(event, Notice):
            self._say(("note:", "yellow"), event.message)
        elif isinstance(event, RunFinished):
            for trial in list(self._stages):
                self._close_stage(trial)
        self._show_run()

    def _show_run(self) -> None:
        """The bar of the run is the part of its time that is over; it never goes back."""
        elapsed, left = time.monotonic() - self._began, self._estimate.run_left()
        if left is not None and elapsed:
            self._share = max(self._share, elapsed / (elapsed + left))
        rest = f", about {duration(left)} left" if left is not None else ""
        text = f"{self._ended} of {self._trials} trials, {duration(elapsed)} so far{rest}"
        self._bars.update(self._run, completed=self._share, left=text)

    def _stage_left(self, event: StageProgress) -> str:
        seconds = self._estimate.stage_left(event.trial)
        left = f", {duration(seconds)} left" if seconds is not None else ""
        metric = printable(self._validation.text(event.trial))
        return f"{event.done:,} of {event.total:,} {printable(event.unit)}{left}{metric}"

    def _close_stage(self, trial: str) -> None:
        self._validation.forget(trial)
        if trial in self._stages:
            self._bars.remove_task(self._stages.pop(trial))

    def _say(self, mark: tuple[str, str], text: str) -> None:
        self._console.print(Text.assemble(mark, " ", shown(text)))
