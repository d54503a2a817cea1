"""The tracker: a listener that mirrors a run in MLflow, and keeps no result of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
from nsbench.store.files import write_whole
from nsbench.store.locks import locked_if_possible
from nsbench.tracking.content import Point, TrialRecord, outcome_digest
from nsbench.tracking.destination import connect, destination
from nsbench.tracking.runs import find_run, log_points, log_trial, open_run, supersede
from nsbench.tracking.view import VIEW_TAG, leaderboard


@dataclass(frozen=True)
class Tracked:
    """The run that shows a trial.

    outcome: the digest of the result, "" while the trial runs. replaces: runs of earlier outcomes, not yet marked
    as superseded.
    """

    run: str
    outcome: str
    replaces: tuple[str, ...] = ()


class Ledger:
    """A list of the tracked trials, {destination: {trial: run}} in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, label: str, trial: str) -> Tracked | None:
        """The run of a trial at a destination; None if it is not tracked there."""
        entry = self._read().get(label, {}).get(trial)
        return Tracked(entry["run"], entry["outcome"], tuple(entry["replaces"])) if entry else None

    def put(self, label: str, trial: str, entry: Tracked) -> None:
        """Store the run of a trial at a destination."""
        with locked_if_possible(self.path.with_suffix(".lock")):
            table = self._read()
            table.setdefault(label, {})[trial] = asdict(entry)
            write_whole(self.path, json.dumps(table, indent=1))

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self.path.exists():
            return {}
        try:
            table: dict[str, dict[str, Any]] = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; without this file all trials are logged again") from error
        return table


@dataclass
class _Live:
    """An open run. waiting: points that are not sent yet. sent: (name, step) of those that are."""

    run: str
    waiting: list[Point] = field(default_factory=list)
    sent: set[tuple[str, int]] = field(default_factory=set)
    flushed: float = field(default_factory=time.monotonic)


class Tracker:
    """A listener that mirrors the events of a run in MLflow.

    A trial's run is opened when its first stage starts, follows its training curves, and is completed from its
    record. A result that is tracked already is skipped without importing MLflow. When MLflow fails, `notify` is
    called once and the run goes on; results that were missed are tried again with every trial.
    """

    def __init__(
        self,
        workspace: Path,
        suite: str,
        record: Callable[[TrialResult], TrialRecord],
        *,
        ledger: Path,
        uri: str | None = None,
        notify: Callable[[str], None] = lambda message: None,
        flush_seconds: float = 5.0,
    ) -> None:
        """record: makes a row's record from the store. ledger: the file that lists the tracked trials."""
        self.destination = destination(workspace, uri)
        self._workspace, self._lock = workspace, workspace / "mlflow.lock"
        self._suite, self._record, self._ledger = suite, record, Ledger(ledger)
        self._notify, self._flush_seconds = notify, flush_seconds
        self._connection: tuple[Any, str] | None = None
        self._trials: frozenset[str] = frozenset()  # anchors that are no trials of the suite get no run
        self._live: dict[str, _Live] = {}
        self._finished: dict[str, TrialResult] = {}
        self._missed: dict[str, TrialResult] = {}
        self._away = self._told = False

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._trials = frozenset(event.trials)
            case StageStarted(trial) if trial in self._trials:
                self._guard(self._open, trial)
            case CurvePoint(trial, name, value, step) if trial in self._trials:
                self._guard(self._point, trial, (name, value, step))
            case StageProgress(trial):
                self._guard(self._flush, trial)
            case TrialFinished(result):
                self._take(result)
            case RunFinished():
                self._close()

    def log(self, rows: Iterable[TrialResult]) -> None:
        """Log finished rows; those that are tracked already are skipped."""
        for row in rows:
            self._take(row)
        self._close()

    @property
    def where(self) -> str:
        """The destination's label, or the command that shows the workspace's own database."""
        if self.destination.database is None:
            return self.destination.label
        return f"nsbench ui --workspace {self._workspace}"

    def _take(self, row: TrialResult) -> None:
        self._finished[row.trial] = self._missed[row.trial] = row
        self._catch_up()

    def _close(self) -> None:
        """Try the missed results once more, end the runs of trials without a result, and arrange the table."""
        self._catch_up()
        for trial in list(self._live):
            self._guard(self._kill, trial)
        self._guard(self._arrange)

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Perform an action unless MLflow is away. An error in it costs the mirror only, never the run."""
        if self._away:
            return
        try:
            action(*arguments)
        except Exception as error:
            self._away = True
            if not self._told:
                self._told = True
                reason = self.destination.without_password(_first_line(error))
                self._notify(
                    f"MLflow at {self.destination.label} fails: {reason}. The run goes on without it; "
                    "`nsbench track SUITE.yaml` uploads the results later."
                )

    def _client(self) -> tuple[Any, str]:
        if self._connection is None:
            self._connection = connect(self.destination, self._suite, self._lock)
        return self._connection

    def _open(self, trial: str) -> None:
        if trial in self._live:
            return
        client, experiment = self._client()
        run = open_run(client, experiment, trial, time.time())
        self._live[trial] = _Live(run)
        self._ledger.put(self.destination.label, trial, Tracked(run, "", self._earlier(trial, run)))

    def _earlier(self, trial: str, run: str) -> tuple[str, ...]:
        old = self._ledger.get(self.destination.label, trial)
        return () if old is None else tuple(dict.fromkeys(r for r in (*old.replaces, old.run) if r != run))

    def _point(self, trial: str, point: Point) -> None:
        self._open(trial)
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

    def _catch_up(self) -> None:
        self._away = False
        for trial in list(self._missed):
            self._guard(self._finish, trial)

    def _finish(self, trial: str) -> None:
        result, live = self._missed[trial], self._live.get(trial)
        outcome = outcome_digest(result)
        if live is not None or not self._is_tracked(trial, outcome):
            self._flush(trial, now=True)
            client, experiment = self._client()
            run = None if live else find_run(client, experiment, trial, outcome)
            if run is None:
                run_id, logged = (live.run, live.sent) if live else (None, set())
                run = log_trial(client, experiment, self._record(result), run_id=run_id, logged=logged)
            for earlier in self._earlier(trial, run):
                supersede(client, earlier)
            self._ledger.put(self.destination.label, trial, Tracked(run, outcome))
            self._live.pop(trial, None)
        del self._missed[trial]

    def _is_tracked(self, trial: str, outcome: str) -> bool:
        database = self.destination.database
        entry = self._ledger.get(self.destination.label, trial)
        return entry is not None and entry.outcome == outcome and (database is None or database.exists())

    def _kill(self, trial: str) -> None:
        """Close the run of a trial that was cut short without a result."""
        self._flush(trial, now=True)
        client, run = self._client()[0], self._live.pop(trial).run
        client.set_tag(run, "nsbench.status", "interrupted")
        client.set_terminated(run, "KILLED")

    def _arrange(self) -> None:
        """Set the view of the experiment's table, if anything was logged."""
        view = leaderboard(self._finished.values())
        if self._connection is not None and view:
            client, experiment = self._connection
            client.set_experiment_tag(experiment, VIEW_TAG, json.dumps(view))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
