"""The progress of a run and the time left: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from nsbench.commands.display.screen import say, shown
from nsbench.components.events import (
    Event,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.names import printable
from nsbench.quantities import duration
from nsbench.store.key import ArtifactKind

PLAIN_SECONDS = 15
"""Seconds between plain lines about the progress of a long stage."""

_TELLING_SECONDS = 0.5
"""Seconds of work above which a finished stage gets a line of its own."""


@dataclass
class Running:
    """A stage that is running: when it began, and how far it was at the first report and is now."""

    kind: ArtifactKind
    what: str = ""
    since: float = 0.0
    done: int = 0
    total: int = 0
    first_done: int | None = None
    first_at: float = 0.0

    def hear(self, event: StageProgress) -> None:
        """Take note of the stage's progress."""
        if self.first_done is None:
            self.first_done, self.first_at = event.done, time.monotonic()
        self.done, self.total = event.done, event.total

    def left(self) -> float | None:
        """Seconds until the stage ends, from its own rate; None while that is not known."""
        if self.first_done is None or self.done <= self.first_done:
            return None
        rate = (self.done - self.first_done) / (time.monotonic() - self.first_at)
        return (self.total - self.done) / rate


@dataclass
class Clock:
    """An estimate of the time that the running stages, and the whole run, still need.

    A running stage is expected to keep its own rate. Each pending stage is expected to take what the slowest of
    its kind took, or is about to take, in this run; a kind not met yet is not counted. As many stages as run now
    are expected to run at once until the end.
    """

    pending: dict[str, ArtifactKind] = field(default_factory=dict)
    slowest: dict[ArtifactKind, float] = field(default_factory=lambda: defaultdict(float))
    running: dict[str, Running] = field(default_factory=dict)  # by trial

    def hear(self, event: Event) -> None:
        """Take note of an event of the run."""
        if isinstance(event, RunStarted):
            self.pending = dict(event.pending)
        elif isinstance(event, StageStarted):
            self.running[event.trial] = Running(event.kind, event.what, time.monotonic())
            self.pending.pop(event.key, None)
        elif isinstance(event, StageProgress) and event.trial in self.running:
            self.running[event.trial].hear(event)
        elif isinstance(event, StageFinished) and not event.hit:
            self.slowest[event.kind] = max(self.slowest[event.kind], event.seconds)
            self.running.pop(event.trial, None)
        elif isinstance(event, TrialFinished):
            self.running.pop(event.result.trial, None)

    def stage_left(self, trial: str) -> float | None:
        """Seconds until a trial's running stage ends; None while its rate is not known."""
        return self.running[trial].left() if trial in self.running else None

    def run_left(self) -> float | None:
        """Seconds until the run ends; None while nothing is known of it."""
        estimates = [(running, left) for running in self.running.values() if (left := running.left()) is not None]
        expected = dict(self.slowest)
        for running, left in estimates:
            whole = time.monotonic() - running.since + left
            expected[running.kind] = max(expected.get(running.kind, 0.0), whole)
        if not expected:
            return None
        work = sum(left for _, left in estimates) + sum(expected.get(stage, 0.0) for stage in self.pending.values())
        return work / max(1, len(self.running))


def stage_line(event: StageFinished) -> str:
    """A line about a finished stage and its duration."""
    return f"{event.what}: {duration(event.seconds)}"


def trial_line(event: TrialFinished, done: int, total: int) -> str:
    """A line about a finished trial, the `done`-th of `total`, and its error if it failed."""
    result = event.result
    text = f"[{done}/{total}] {result.trial}: {result.status}"
    return f"{text}: {result.error}" if result.error else text


class PlainProgress:
    """A display of a run in lines of text, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = Clock()
        self._began = self._last_line = time.monotonic()
        self._trials = self._ended = 0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: lines of text need no end."""

    def __call__(self, event: Event) -> None:
        self._clock.hear(event)
        if isinstance(event, RunStarted):
            self._trials = len(event.trials)
            self._say(f"{event.suite}: {len(event.trials)} trials, {len(event.pending)} artifacts to make")
        elif isinstance(event, StageStarted):
            self._last_line = time.monotonic()
        elif isinstance(event, StageProgress) and self._is_due(event):
            self._last_line = time.monotonic()
            stage = self._clock.running[event.trial].what
            self._say(f"{stage}: {event.done:,} of {event.total:,} {event.unit}{self._left(event.trial)}")
        elif isinstance(event, StageFinished) and not event.hit and event.seconds > _TELLING_SECONDS:
            self._say(stage_line(event))
        elif isinstance(event, TrialFinished):
            self._ended += 1
            self._say(trial_line(event, self._ended, self._trials))
        elif isinstance(event, Notice):
            self._say(f"note: {event.message}")

    def _is_due(self, event: StageProgress) -> bool:
        return event.trial in self._clock.running and time.monotonic() - self._last_line > PLAIN_SECONDS

    def _left(self, trial: str) -> str:
        stage, run = self._clock.stage_left(trial), self._clock.run_left()
        text = f", {duration(stage)} left" if stage is not None else ""
        return text + (f"; whole run about {duration(run)} more" if run is not None else "")

    def _say(self, text: str) -> None:
        elapsed = duration(time.monotonic() - self._began)
        say(self._console, f"{elapsed:>9}  {text}")


class LiveProgress:
    """A display of moving bars, one for the run and one for each running stage, with a line for each finished stage."""

    def __init__(self, console: Console) -> None:
        self._clock = Clock()
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

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        self._clock.hear(event)
        if isinstance(event, RunStarted):
            self._trials = len(event.trials)
            self._bars.update(self._run, description=printable(event.suite), total=len(event.trials))
        elif isinstance(event, StageStarted):
            self._close_stage(event.trial)
            self._stages[event.trial] = self._bars.add_task(printable(event.what), total=None, left="")
        elif isinstance(event, StageProgress) and event.trial in self._stages:
            bar = self._stages[event.trial]
            self._bars.update(bar, completed=event.done, total=event.total, left=self._stage_left(event))
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
        self._bars.update(self._run, completed=self._ended, left=self._run_left())

    def _run_left(self) -> str:
        seconds = self._clock.run_left()
        elapsed = duration(time.monotonic() - self._began)
        left = f", about {duration(seconds)} left" if seconds is not None else ""
        return f"{self._ended} of {self._trials} trials, {elapsed} so far{left}"

    def _stage_left(self, event: StageProgress) -> str:
        seconds = self._clock.stage_left(event.trial)
        left = f", {duration(seconds)} left" if seconds is not None else ""
        return f"{event.done:,} of {event.total:,} {printable(event.unit)}{left}"

    def _close_stage(self, trial: str) -> None:
        if trial in self._stages:
            self._bars.remove_task(self._stages.pop(trial))

    def _say(self, mark: tuple[str, str], text: str) -> None:
        self._console.print(Text.assemble(mark, " ", shown(text)))


def progress_display(console: Console) -> LiveProgress | PlainProgress:
    """A live display for a terminal, plain lines for any other console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
