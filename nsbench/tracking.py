"""The MLflow mirror: one experiment a suite, one flat run a trial.

What a run holds, by name:

    params   simulator, dataset, replicate, and what the record brings: sim.*, data.*
    metrics  score/<metric> and its _low, _high, _floor, _noise_free, _skill; extra/<metric>.<extra>;
             cost/*; training curves by step under the names that they were logged with
    tags     nsbench.trial, nsbench.status, nsbench.error, nsbench.<metric>.unit, .label and .absent, and
             what the record brings; nsbench.superseded on the run of an earlier outcome of its trial

The mirror shows results and keeps none: every trial can be logged from its record alone, at any time.
MLflow, slow to import, is imported when there is something to log.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from nsbench.components import Cost
from nsbench.events import CurvePoint, Event, RunFinished, RunStarted, StageProgress, StageStarted, TrialFinished
from nsbench.files import write_whole
from nsbench.results import ScoreRow, Status, TrialResult

Point = tuple[str, float, int]
"""(name, value, step) of a training curve."""

_T = TypeVar("_T")
_RUN_STATUS: dict[Status, str] = {"ok": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
CURRENT_RUNS = "tags.`nsbench.superseded` IS NULL"
"""MLflow's filter for the runs that show the latest outcomes of their trials."""

VIEW = "nsbench"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""Tag of an experiment by which MLflow's interface finds the columns to show; internal to MLflow 3."""

_BATCH = 100  # MLflow takes 1000 metrics, but only 100 params or tags at once


@dataclass(frozen=True)
class DataSplit:
    """A split of a dataset: its digest, not its data. profile: JSON, e.g. domain and counts."""

    name: str
    split: str
    digest: str
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRecord:
    """All that is logged of a trial.

    started, finished: seconds since 1970. params: flat, see ``flatten``. artifacts: content by file name,
    folders in the name allowed ("figures/ewd.png").
    """

    result: TrialResult
    started: float
    finished: float
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: tuple[DataSplit, ...] = ()
    cost: Cost | None = None
    curves: tuple[Point, ...] = ()
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Destination:
    """Where runs go.

    uri        as MLflow takes it.
    label      the same for files and messages: without a password, and for the workspace's own database
               without the workspace's place, so that a workspace can move.
    artifacts  where the files of a new experiment go; None where a server decides.
    database   the file that must be there for anything to be tracked; None where that cannot be seen.
    """

    uri: str
    label: str
    artifacts: Path | None = None
    database: Path | None = None


def destination(workspace: Path, uri: str | None = None) -> Destination:
    """The server at `uri`, else at MLFLOW_TRACKING_URI, else the workspace's SQLite database."""
    workspace = workspace.absolute()
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        database = workspace / "mlflow.db"
        return Destination(f"sqlite:///{database}", database.name, workspace / "mlartifacts", database)
    parts = urlsplit(uri)
    label = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    served = parts.scheme in ("http", "https", "databricks") or uri == "databricks"
    return Destination(uri, label, None if served else workspace / "mlartifacts")


def flatten(prefix: str, params: Mapping[str, Any]) -> dict[str, object]:
    """Nested parameters under dotted names: flatten("sim", {"a": {"b": 1}}) is {"sim.a.b": 1}."""
    flat: dict[str, object] = {}
    for name, value in params.items():
        flat |= flatten(f"{prefix}.{name}", value) if isinstance(value, Mapping) else {f"{prefix}.{name}": value}
    return flat


def run_name(trial: str) -> str:
    """ "cgne-r0" for the trial "snow32/cgne/r0"."""
    return "-".join(trial.split("/")[1:])


def metrics_of(result: TrialResult, cost: Cost | None = None) -> dict[str, float]:
    """Every number of a result under its name in MLflow; what is unknown is left out."""
    found: dict[str, float | None] = {}
    for row in result.scores:
        name, (low, high) = f"score/{row.metric}", row.interval or (None, None)
        found |= {name: row.value, f"{name}_low": low, f"{name}_high": high}
        found |= {f"{name}_floor": row.floor, f"{name}_noise_free": row.noise_free, f"{name}_skill": row.skill}
        found |= {f"extra/{row.metric}.{extra}": value for extra, value in row.extras.items()}
    for name, value in asdict(cost).items() if cost else ():
        if not isinstance(value, str):
            found[f"cost/{name.replace('_seconds', '_s')}"] = value
    return {name: float(value) for name, value in found.items() if value is not None}


def tags_of(result: TrialResult) -> dict[str, str]:
    """What a result says in words."""
    tags = {"nsbench.trial": result.trial, "nsbench.status": result.status}
    if result.error:
        tags["nsbench.error"] = result.error.strip().splitlines()[-1]
    for row in result.scores:
        words = {"unit": row.unit, "label": row.label, "absent": row.absent}
        tags |= {f"nsbench.{row.metric}.{name}": word for name, word in words.items() if word}
    tags["mlflow.note.content"] = describe(result)  # the run page's description
    return tags


def describe(result: TrialResult) -> str:
    """A result as a small Markdown table."""
    if result.error:
        return f"**{result.status}**\n\n```\n{result.error.strip()[-4000:]}\n```\n"
    lines = ["| metric | value | 95 % interval | floor | noise-free | unit |", "| --- | --- | --- | --- | --- | --- |"]
    for row in result.scores:
        metric = f"{row.metric} ({row.label})" if row.label else row.metric
        cells = [metric, _number(row.value) or row.absent, _interval(row), _number(row.floor), _number(row.noise_free)]
        lines.append(f"| {' | '.join([*cells, row.unit])} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _interval(row: ScoreRow) -> str:
    return f"{row.interval[0]:.4g} to {row.interval[1]:.4g}" if row.interval else ""


def leaderboard(results: Iterable[TrialResult]) -> dict[str, Any]:
    """What MLflow's table of runs shows: the scores and what stands beside them, by the first metric."""
    rows = {row.metric: row for result in results for row in result.scores}
    names: list[str] = []
    for row in rows.values():
        anchors = [f"score/{row.metric}_floor"] if row.floor is not None else []
        names += [f"score/{row.metric}", *anchors, *(f"extra/{row.metric}.{extra}" for extra, _ in row.columns)]
    view: dict[str, Any] = {"searchFilter": CURRENT_RUNS, "startTime": "ALL", "lifecycleFilter": "Active"}
    view["selectedColumns"] = [f"metrics.`{name}`" for name in names]
    for row in list(rows.values())[:1]:
        view |= {"orderByKey": f"metrics.`score/{row.metric}`", "orderByAsc": row.direction == "min"}
    return view


def outcome_digest(result: TrialResult) -> str:
    """Equal for results that say the same, whenever and however fast they were made."""
    row = asdict(result)
    outcome = [row[name] for name in ("trial", "status", "keys", "scores")]
    return sha256(json.dumps(outcome, sort_keys=True).encode()).hexdigest()


def connect(target: Destination, suite: str, lock: Path) -> tuple[Any, str]:
    """An MlflowClient and the suite's experiment, made if it is not there.

    lock: a file; processes that share it set up a new database one after another.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # A mirror must not hold up the run: give up after seconds, not minutes, unless the user says otherwise.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with _locked(lock):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=target.uri)
        return client, _experiment(client, suite, target.artifacts)


def _experiment(client: Any, name: str, artifacts: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifacts is None else artifacts.as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for models, not for LLMs
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # on a server, somebody else may have been faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def open_run(client: Any, experiment_id: str, trial: str, started: float) -> str:
    """A running run for a trial, with what its name says."""
    from mlflow.entities import Param

    tags = {
        "nsbench.trial": trial,
        "nsbench.status": "running",
        "mlflow.source.name": "nsbench",
        "mlflow.source.type": "LOCAL",
    }
    run = client.create_run(experiment_id, int(started * 1000), tags, run_name(trial))
    dataset, _, rest = trial.partition("/")
    simulator, _, replicate = rest.rpartition("/")
    known = {"dataset": dataset, "simulator": simulator, "replicate": replicate.removeprefix("r")}
    run_id = str(run.info.run_id)
    client.log_batch(run_id, params=[Param(name, value) for name, value in known.items()], synchronous=True)
    return run_id


def log_trial(
    client: Any,
    experiment_id: str,
    record: TrialRecord,
    *,
    run_id: str | None = None,
    logged: Collection[tuple[str, int]] = (),
) -> str:
    """Log a trial and return the id of its run.

    run_id: a run that was opened for it; a new one if None. logged: (name, step) of the curve points that
    it has already. Logging the same record into the same run again changes nothing.
    """
    from mlflow.entities import Param, RunTag

    result, at = record.result, int(record.finished * 1000)
    run = run_id or open_run(client, experiment_id, result.trial, record.started)
    numbers = metrics_of(result, record.cost)
    points = [(name, value, 0) for name, value in numbers.items()]
    points += [point for point in record.curves if (point[0], point[2]) not in logged]
    log_points(client, run, points, at)
    for params in _batches(record.params.items()):
        client.log_batch(run, params=[Param(name, _text(value)) for name, value in params], synchronous=True)
    for tags in _batches((dict(record.tags) | tags_of(result)).items()):
        client.log_batch(run, tags=[RunTag(name, value) for name, value in tags], synchronous=True)
    _log_data(client, run, record.data)
    error = {"error.txt": result.error.encode()} if result.error else {}
    _log_artifacts(client, run, dict(record.artifacts) | error)
    client.set_terminated(run, _RUN_STATUS[result.status], at)
    return run


def log_points(client: Any, run_id: str, points: Iterable[Point], at: int) -> None:
    """Metrics by step; at: milliseconds since 1970."""
    from mlflow.entities import Metric

    for batch in _batches(points, 1000):
        metrics = [Metric(name, value, at, step) for name, value, step in batch]
        client.log_batch(run_id, metrics=metrics, synchronous=True)


def _log_data(client: Any, run_id: str, splits: tuple[DataSplit, ...]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=split.name,
                digest=split.digest[:16],  # MLflow takes 36, its tables show fewer; the source has it all
                source_type="nsbench",
                source=json.dumps({"store": f"data/{split.digest}"}),
                profile=json.dumps(split.profile),
            ),
            [InputTag("mlflow.data.context", split.split)],
        )
        for split in splits
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


def _log_artifacts(client: Any, run_id: str, artifacts: Mapping[str, bytes]) -> None:
    with TemporaryDirectory(prefix="nsbench-") as folder:
        for name, content in artifacts.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if artifacts:
            client.log_artifacts(run_id, folder)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _batches(items: Iterable[_T], size: int = _BATCH) -> Iterator[list[_T]]:
    listed = list(items)
    yield from (listed[start : start + size] for start in range(0, len(listed), size))


@dataclass(frozen=True)
class Tracked:
    """The run that shows a trial. outcome: the digest of the result, "" while it runs; replaces: runs of
    earlier outcomes, not yet marked as such."""

    run: str
    outcome: str
    replaces: tuple[str, ...] = ()


class Ledger:
    """Which trials are tracked where, {destination: {trial: run}} in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, label: str, trial: str) -> Tracked | None:
        entry = self._read().get(label, {}).get(trial)
        return Tracked(entry["run"], entry["outcome"], tuple(entry["replaces"])) if entry else None

    def put(self, label: str, trial: str, entry: Tracked) -> None:
        with _locked(self.path.with_suffix(".lock")):
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


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of that file, waiting for it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class _Live:
    """A run that is open: points not sent yet, and which were sent."""

    run: str
    waiting: list[Point] = field(default_factory=list)
    sent: set[tuple[str, int]] = field(default_factory=set)
    flushed: float = field(default_factory=time.monotonic)


class Tracker:
    """Mirrors the events of a run to MLflow.

    A trial's run is opened when something is made for it, follows its training curves, and is completed
    from its record. A result that is tracked already is skipped without importing MLflow. When MLflow
    fails, `notify` is told once and the run goes on; what was missed is tried again with every trial.
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
        """record: reads the store when a trial has finished. ledger: the file that says what is tracked."""
        self.destination = destination(workspace, uri)
        self._lock = workspace / "mlflow.lock"
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
                self._finished[result.trial] = self._missed[result.trial] = result
                self._catch_up()
            case RunFinished():
                self._catch_up()
                for trial in list(self._live):
                    self._guard(self._kill, trial)
                self._guard(self._arrange)

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do it unless MLflow is away. Whatever fails here must cost the mirror only, never the run."""
        if self._away:
            return
        try:
            action(*arguments)
        except Exception as error:
            self._away = True
            if not self._told:
                self._told = True
                self._notify(
                    f"MLflow at {self.destination.label} fails: {_first_line(error)}. The run goes on without it; "
                    f"`nsbench track {self._suite}` uploads the results later."
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
            record = self._record(result)
            client, experiment = self._client()
            run_id, logged = (live.run, live.sent) if live else (None, set())
            run = log_trial(client, experiment, record, run_id=run_id, logged=logged)
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
        """Choose what the experiment's table shows, if anything was logged."""
        if self._connection is not None:
            client, experiment = self._connection
            client.set_experiment_tag(experiment, VIEW_TAG, json.dumps(leaderboard(self._finished.values())))


def supersede(client: Any, run_id: str) -> None:
    """Mark the run of an earlier outcome; one that was never closed is closed."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        return  # gone, so it shows nothing that would have to be marked
    if run.info.lifecycle_stage == "deleted":
        return
    client.set_tag(run_id, "nsbench.superseded", "true")
    if run.info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
