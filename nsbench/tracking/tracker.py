"""The tracker: a listener that has a run mirrored in MLflow by a thread of its own, and never waits for MLflow.

Results are in results.jsonl, so nothing is lost when MLflow is slow or away: what it lacks, `nsbench track` uploads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from threading import Event as Signal
from threading import Thread

from nsbench.components.events import (
    CurvePoint,
    Event,
    RunFinished,
    RunStarted,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.components.rows import TrialResult
from nsbench.tracking.content import TrialRecord
from nsbench.tracking.destination import Destination, destination, quiet
from nsbench.tracking.ledger import Ledger
from nsbench.tracking.mirror import Mirror

PATIENCE = 30.0
"""Seconds that the end of a run waits for a server; for the workspace's own database it waits until all is there."""

BRIEF = 5.0
"""Seconds that it waits where the server could not be reached before, or the user has interrupted the run."""

DEADLINE = 120.0
"""Seconds that one trial may take to be logged, however little by little MLflow answers. Nothing is logged after it."""

_WAITING = 10_000
"""Events in the queue above which training curves are not followed: the record of a trial has them all."""


class Tracker:
    """A listener that mirrors the events of a run in MLflow (nsbench/tracking/mirror.py), in a thread.

    `notify` is called with what a person should know, always by the thread that tells the events. The thread is a
    daemon: one that waits for MLflow holds up neither the run nor the end of the program.
    """

    def __init__(
        self,
        workspace: Path,
        suite: str,
        record: Callable[[TrialResult], TrialRecord],
        *,
        ledger: Path,
        target: Destination | None = None,
        notify: Callable[[str], None] = lambda message: None,
        flush_seconds: float = 5.0,
        patience: float = PATIENCE,
        deadline: float = DEADLINE,
        primary: str = "",
    ) -> None:
        """record: makes a row's record from the store. ledger: the file that lists the tracked trials.

        target: where runs are logged; at MLFLOW_TRACKING_URI, or in the workspace's own database, if not given.
        primary: the metric that comes first in the experiment's table.
        """
        quiet()
        self.destination = destination(workspace) if target is None else target
        self._workspace, self._notify = workspace, notify
        self._patience, self._deadline = patience, deadline
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._mirror = Mirror(
            self.destination,
            suite,
            record,
            ledger=Ledger(ledger),
            lock=workspace / "mlflow.lock",
            notify=self._messages.put,
            flush_seconds=flush_seconds,
            primary=primary,
        )
        self._queue: SimpleQueue[Event | Signal] = SimpleQueue()
        self._thread: Thread | None = None
        self._over = False
        self._trials: frozenset[str] = frozenset()  # anchors that are no trials of the suite get no run
        self._finished: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._trials = frozenset(event.trials)
            case StageStarted(trial) | CurvePoint(trial) | StageProgress(trial) if trial in self._trials:
                if self._queue.qsize() < _WAITING:
                    self._post(event)
            case TrialFinished(result):
                self._finished.add(result.trial)
                self._post(event)
            case RunFinished():
                self._close(math.inf if self.destination.database else self._patience, brief=event.interrupted)
        self._check()

    def log(self, rows: Iterable[TrialResult]) -> None:
        """Log finished rows, and wait for it; those that are tracked already are skipped."""
        for row in rows:
            self(TrialFinished(row))
        self._close(math.inf)
        self._check()

    def settle(self, seconds: float = math.inf) -> bool:
        """Wait until all that was told so far is logged; returns False after `seconds`, Ctrl-C, or the deadline."""
        done, until = Signal(), time.monotonic() + seconds
        self._post(done)
        try:
            while not done.wait(0.02):
                self._check()
                brief = self._mirror.away and seconds < math.inf
                if self._over or time.monotonic() > (min(until, until - seconds + BRIEF) if brief else until):
                    return False
        except KeyboardInterrupt:
            return False
        return True

    @property
    def where(self) -> str:
        """The destination's label, or the command that shows the workspace's own database."""
        if self.destination.database is None:
            return self.destination.label
        return f"nsbench ui --workspace {self._workspace}"

    def _post(self, event: Event | Signal) -> None:
        if self._over:
            return
        self._queue.put(event)
        if self._thread is None:
            self._thread = Thread(target=self._work, name="nsbench-mlflow", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """The thread: what was told, in order. A signal in the queue is set once all before it is done."""
        while not self._over:
            event = self._queue.get()
            if isinstance(event, Signal):
                event.set()
            elif isinstance(event, RunFinished):
                self._mirror.close()
            else:
                self._mirror.hear(event)

    def _close(self, seconds: float, *, brief: bool = False) -> None:
        """Have the mirror closed, and wait for it; then the mirror is over."""
        if self._thread is None:
            return
        self._post(RunFinished("", "", 0.0, interrupted=brief))
        if not self.settle(min(seconds, BRIEF) if brief else seconds):
            self._give_up("the run does not wait for it any longer")
        self._check()

    def _check(self) -> None:
        """Pass on what the thread has to say, and give it up if one trial has taken it too long."""
        while not self._messages.empty():
            self._notify(self._messages.get())
        if self._thread is not None and not self._thread.is_alive():
            self._give_up("its thread has ended")
        began = self._mirror.began
        if not self._over and began is not None and time.monotonic() - began > self._deadline:
            self._give_up(f"a trial took longer than {self._deadline:.0f} s")

    def _give_up(self, reason: str) -> None:
        """Leave the thread to itself, and say what is not logged."""
        if self._over:
            return
        self._over = True
        self._mirror.abandon()
        left = len(self._finished - self._mirror.settled)
        self._notify(
            f"MLflow at {self.destination.label}: {reason}; {left:,} finished trials are not there yet. "
            "`nsbench track SUITE.yaml` uploads them."
        )
