"""The mirror of results in MLflow, one action after another: who calls it waits for MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nsbench.components.events import CurvePoint, Event, StageProgress, StageStarted, TrialFinished
from nsbench.components.rows import TrialResult
from nsbench.tracking.content import Point, TrialRecord, outcome_digest
from nsbench.tracking.destination import Destination, connect
from nsbench.tracking.ledger import Ledger, Tracked
from nsbench.tracking.runs import find_run, log_points, log_trial, open_run, supersede
from nsbench.tracking.view import VIEW_TAG, leaderboard

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds without a try after MLflow could not be reached; twice as many after each further failure."""

_NAMED = 5
"""The number of refused trials that are named one by one."""

_LONGEST_REASON = 300
"""Characters of an error that are told. It is cut after its secrets are out: half a password is not recognised."""


class Unreachable(Exception):
    """MLflow cannot be reached: no trial is at fault."""


class Abandoned(Exception):
    """Nobody waits for this mirror any more, so that it must change nothing."""


@dataclass
class _Live:
    """An open run. waiting: points that are not sent yet. sent: (name, step) of those that are."""

    run: str
    waiting: list[Point] = field(default_factory=list)
    sent: set[tuple[str, int]] = field(default_factory=set)
    flushed: float = field(default_factory=time.monotonic)


class Mirror:
    """A mirror of results in MLflow.

    A trial's run is opened when its first stage starts, follows its training curves, and is completed from its
    record. A result that is logged already is skipped without importing MLflow. A trial that MLflow refuses is named
    and left out, and the others go on. While MLflow cannot be reached nothing is tried, for longer each time; what
    was missed is tried with the next result after that, and at the end.

    began: when the action at work began, None between actions. settled: trials that are logged or were refused. away:
    whether MLflow could not be reached when it was last tried.
    """

    def __init__(
        self,
        target: Destination,
        suite: str,
        record: Callable[[TrialResult], TrialRecord],
        *,
        ledger: Ledger,
        lock: Path,
        notify: Callable[[str], None],
        flush_seconds: float,
        primary: str = "",
    ) -> None:
        """primary: the metric that comes first in the experiment's table."""
        self._target, self._suite, self._record, self._ledger, self._lock = target, suite, record, ledger, lock
        self._notify, self._flush_seconds, self._primary = notify, flush_seconds, primary
        self._connection: tuple[Any, str] | None = None
        self._live: dict[str, _Live] = {}
        self._mute: set[str] = set()  # trials whose curves MLflow refused while they ran
        self._finished: dict[str, TrialResult] = {}
        self._missed: dict[str, TrialResult] = {}
        self._refused = 0
        self._pause, self._away_until, self._told = _FIRST_PAUSE, 0.0, False
        self.away = False
        self._abandoned = False
        self.began: float | None = None
        self.settled: set[str] = set()

    def hear(self, event: Event) -> None:
        """Mirror an event. Errors of MLflow and of a trial's record are told, and cost nothing else."""
        match event:
            case StageStarted(trial):
                self._follow(trial, self._open, trial, time.time())
            case CurvePoint(trial, name, value, step):
                self._follow(trial, self._point, trial, (name, value, step))
            case StageProgress(trial):
                self._follow(trial, self._flush, trial)
            case TrialFinished(result):
                self._finished[result.trial] = self._missed[result.trial] = result
                self._catch_up()

    def close(self) -> None:
        """Try the missed results once more, end the runs of trials without a result, and arrange the table."""
        self._away_until = 0.0
        self._catch_up()
        for trial in list(self._live):
            self._follow(trial, self._kill, trial)
        self._try(self._arrange, self._tell_of_others)
        if self._refused > _NAMED:
            self._notify(f"MLflow at {self._target.label} refused {self._refused - _NAMED:,} more trials")

    def abandon(self) -> None:
        """From now on start nothing, and leave no trace of an action that comes back after all."""
        self._abandoned = True

    def _try(self, action: Callable[[], None], refused: Callable[[Exception], None]) -> None:
        """Perform an action unless MLflow is away. refused: told of an error that is not a matter of the connection."""
        if self._abandoned or time.monotonic() < self._away_until:
            return
        self.began = time.monotonic()
        try:
            action()
        except Abandoned:
            return
        except Exception as error:
            if is_away(error):
                self._go_away(error)
            else:
                refused(error)
        finally:
            self.began = None

    def _go_away(self, error: Exception) -> None:
        self.away, self._away_until = True, time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        if not self._told:
            self._told = True
            self._notify(
                f"MLflow at {self._target.label} fails: {self._reason(error)}. The run goes on without it; "
                "`nsbench track SUITE.yaml` uploads the results later."
            )

    def _follow(self, trial: str, action: Callable[..., None], *arguments: Any) -> None:
        """Perform an action on a trial that runs; if MLflow refuses, the trial is not followed: its end says why."""
        if trial not in self._mute:
            self._try(lambda: action(*arguments), lambda error: self._mute.add(trial))

    def _catch_up(self) -> None:
        for trial in list(self._missed):
            self._try(partial(self._finish, trial), partial(self._refuse, trial))

    def _refuse(self, trial: str, error: Exception) -> None:
        """Leave a trial out, and say why; its run, if it has one, has no outcome, and `track` replaces it."""
        del self._missed[trial]
        self.settled.add(trial)
        self._refused += 1
        if self._refused <= _NAMED:
            self._notify(
                f"{trial} is not in MLflow at {self._target.label}: {self._reason(error)}. "
                "`nsbench track SUITE.yaml` tries it again."
            )

    def _tell_of_others(self, error: Exception) -> None:
        self._notify(f"MLflow at {self._target.label} does not take the table's view: {self._reason(error)}")

    def _reason(self, error: Exception) -> str:
        return self._target.without_password(_first_line(error))[:_LONGEST_REASON]

    def _client(self) -> tuple[Any, str]:
        if self._connection is None:
            try:
                self._connection = connect(self._target, self._suite, self._lock, self._notify)
            except Exception as error:
                raise Unreachable(_first_line(error)) from error
        return self._connection

    def _open(self, trial: str, started: float) -> None:
        if trial in self._live:
            return
        client, experiment = self._client()
        run = open_run(client, experiment, trial, started)
        self._note(trial, Tracked(run, "", self._earlier(trial, run)))
        self._live[trial] = _Live(run)

    def _note(self, trial: str, entry: Tracked) -> None:
        if self._abandoned:
            raise Abandoned
        self._ledger.put(self._target.label, trial, entry)

    def _earlier(self, trial: str, run: str) -> tuple[str, ...]:
        old = self._ledger.get(self._target.label, trial)
        return () if old is None else tuple(dict.fromkeys(r for r in (*old.replaces, old.run) if r != run))

    def _point(self, trial: str, point: Point) -> None:
        self._open(trial, time.time())
        self._live[trial].waiting.append(point)
        self._flush(trial)

    def _flush(self, trial: str, *, now: bool = False) -> None:
        live = self._live.get(trial)
        if live is None or not live.waiting:
            return
        due = time.monotonic() - live.flushed >= self._flush_seconds or len(live.waiting) >= 1000
        if now or due:
            log_points(self._client()[0], live.run, live.waiting, int(time.time() * 1000))
            live.sent |= {(name, step) for name, _, step in live.waiting}
            live.waiting.clear()
            live.flushed = time.monotonic()

    def _finish(self, trial: str) -> None:
        result = self._missed[trial]
        outcome = outcome_digest(result)
        if trial in self._live or not self._is_tracked(trial, outcome):
            run = None if trial in self._live else find_run(*self._client(), trial, outcome)
            if run is None:
                run = self._complete(trial, self._record(result))
            for earlier in self._earlier(trial, run):
                supersede(self._client()[0], earlier)
            self._note(trial, Tracked(run, outcome))
            self._live.pop(trial, None)
        del self._missed[trial]
        self.settled.add(trial)
        self._pause, self.away = _FIRST_PAUSE, False

    def _complete(self, trial: str, record: TrialRecord) -> str:
        """Log a trial's record into its run; returns the run's id."""
        self._open(trial, record.started)
        self._flush(trial, now=True)
        live = self._live[trial]
        log_trial(self._client()[0], live.run, record, logged=live.sent)
        return live.run

    def _is_tracked(self, trial: str, outcome: str) -> bool:
        database = self._target.database
        entry = self._ledger.get(self._target.label, trial)
        return entry is not None and entry.outcome == outcome and (database is None or database.exists())

    def _kill(self, trial: str) -> None:
        """Close the run of a trial that was cut short without a result, or whose record was refused."""
        client, run = self._client()[0], self._live[trial].run
        if trial not in self._finished:
            self._flush(trial, now=True)
            client.set_tag(run, "nsbench.status", "interrupted")
        del self._live[trial]
        client.set_terminated(run, "KILLED")

    def _arrange(self) -> None:
        """Set the view of the experiment's table, if anything was logged."""
        view = leaderboard(self._finished.values(), self._primary)
        if self._connection is not None and view:
            client, experiment = self._connection
            client.set_experiment_tag(experiment, VIEW_TAG, json.dumps(view))


def is_away(error: BaseException | None) -> bool:
    """Whether an error means that MLflow cannot be reached; any other is a matter of the trial that met it.

    MLflow wraps errors of the connection; they are found by what each error was raised from.
    """
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    while error is not None:
        if isinstance(error, Unreachable | ConnectionError | TimeoutError | NoConnection | Timeout):
            return True
        error = error.__cause__ or error.__context__
    return False


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
