"""What MLflow holds: one experiment a suite, one flat run a trial.

What a run holds, by name:

    params   simulator, dataset, replicate, and what the record brings: sim.*, data.*
    metrics  score/<metric> and its _low, _high, _floor, _noise_free, _climatology, _persistence, _skill, and
             the extras that it wants in tables, score/<metric>.<extra>; its other extras,
             extra/<metric>.<extra>; cost/*; training curves by step under the names that they were logged with
             what the makers of rollouts from outside declare of their costs: declared/*
    tags     nsbench.trial, nsbench.status, nsbench.error, nsbench.<metric>.unit, .label and .absent, and
             what the record brings; nsbench.outcome, the digest of the result; nsbench.outside on rollouts made
             elsewhere; nsbench.superseded on the run of an earlier outcome of its trial
    files    tables/scores.json, images/* by step, and what the record brings

Every trial can be logged from its record alone, at any time. MLflow, slow to import, is imported when there
is something to log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from nsbench.components.component import Cost
from nsbench.results.rows import ANCHORS, DECLARED, ScoreRow, Status, TrialResult
from nsbench.store.files import locked

Point = tuple[str, float, int]
"""(name, value, step) of a training curve."""

_T = TypeVar("_T")
_RUN_STATUS: dict[Status, str] = {
    "ok": "FINISHED",
    "failed": "FAILED",
    "diverged": "FAILED",
    "timeout": "FAILED",
    "oom": "FAILED",
    "killed": "KILLED",
    "skipped": "KILLED",
    "interrupted": "KILLED",
}
CURRENT_RUNS = "tags.`nsbench.superseded` IS NULL"
"""MLflow's filter for the runs that show the latest outcomes of their trials."""

OUTCOME = "nsbench.outcome"
"""Tag with the digest of the result that a run shows, set when all of it is there."""

_TABLE = "tables/scores.json"

_NOTE = """\
One run a trial of an nsbench suite: a simulator on a dataset, once. `score/<metric>` is the value; beside it stand
`_low` and `_high` (95 %), `_floor` (the ground truth against itself, redrawn) and `_skill` (1 at the floor, 0 at the
metric's own zero). `nsbench ui` prints the address of the leaderboard.
"""
"""The description of a new experiment."""

IMAGES = "rollouts/frames"
"""Under which name pictures of rollouts are logged by step."""

OUTSIDE = "rollouts made elsewhere, checked and scored here"

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

    def without_password(self, text: str) -> str:
        """A message without what the URI says before its "@"."""
        user, at, _ = urlsplit(self.uri).netloc.rpartition("@")
        return text.replace(user + at, "") if user else text


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
        name, (low, high) = score_name(row), row.interval or (None, None)
        found |= {name: row.value, f"{name}_low": low, f"{name}_high": high}
        found |= {f"{name}_{anchor}": getattr(row, anchor) for anchor in ANCHORS}
        found[f"{name}_skill"] = row.skill
        found |= {extra_name(row, extra): value for extra, value in row.extras.items()}
    for name, value in asdict(cost).items() if cost else ():
        if not isinstance(value, str):
            found[f"{DECLARED if result.outside else 'cost'}/{name.replace('_seconds', '_s')}"] = value
    return {name: float(value) for name, value in found.items() if value is not None}


def score_name(row: ScoreRow) -> str:
    """What its maker declares stands apart, so that no column ranks it with what was measured here."""
    return f"{DECLARED if row.label == DECLARED else 'score'}/{row.metric}"


def extra_name(row: ScoreRow, extra: str) -> str:
    """Extras that a metric wants in tables stand beside its score, where MLflow's alphabet puts them."""
    shown = extra in [name for name, _ in row.columns]
    return f"{score_name(row)}.{extra}" if shown or row.label == DECLARED else f"extra/{row.metric}.{extra}"


def tags_of(result: TrialResult) -> dict[str, str]:
    """What a result says in words."""
    tags = {"nsbench.trial": result.trial, "nsbench.status": result.status}
    if result.outside:
        tags["nsbench.outside"] = OUTSIDE
    if result.error:
        tags["nsbench.error"] = result.error.strip().splitlines()[-1]
    for row in result.scores:
        words = {"unit": row.unit, "label": row.label, "absent": row.absent}
        tags |= {f"nsbench.{row.metric}.{name}": word for name, word in words.items() if word}
    tags["mlflow.note.content"] = describe(result)  # the run page's description
    return tags


def image_artifacts(name: str, step: int, png: bytes, thumbnail: bytes) -> dict[str, bytes]:
    """An image by step, named as MLflow's log_image names it, so that the interface shows it on a slider.

    That function makes the names up by chance and by the clock; here the content names them, and what is logged
    twice is there once. Internal to MLflow 3.
    """
    stem = f"images/{name.replace('/', '~')}+step+{step}+timestamp+0+{UUID(bytes=sha256(png).digest()[:16])}"
    return {f"{stem}.png": png, f"{stem}+compressed.webp": thumbnail}


def scores_table(result: TrialResult) -> dict[str, Any]:
    """All scores as one table to read, in the layout that MLflow's interface shows: columns, and data row by row."""
    plain = ("metric", "value", *ANCHORS, "skill", "unit", "direction", "label", "absent")
    rows = []
    for row in result.scores:
        metric, value, *others = (getattr(row, name) for name in plain)
        cells = [metric, value, *(row.interval or (None, None)), *others]
        rows.append([float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in cells])
    return {"columns": [*plain[:2], "low", "high", *plain[2:]], "data": rows}


def describe(result: TrialResult) -> str:
    """A result in Markdown, a line a metric."""
    if result.error:
        return f"**{result.status}**\n\n```\n{result.error.strip()[-4000:]}\n```\n"
    return "\n".join(_sentence(row) for row in result.scores)


def _sentence(row: ScoreRow) -> str:
    name = f"- **{row.metric}**" + (f" ({row.label})" if row.label else "")
    if row.value is None:
        return f"{name}: none, {row.absent}"
    interval = f" ({row.interval[0]:.4g} to {row.interval[1]:.4g})" if row.interval else ""
    anchors = {anchor.replace("_", "-"): getattr(row, anchor) for anchor in ANCHORS}
    beside = "".join(f"; {anchor} {value:.4g}" for anchor, value in anchors.items() if value is not None)
    return f"{name}: {row.value:.4g}{interval} {row.unit}{beside}"


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
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the display is the run's own
    with locked(lock):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=target.uri)
        return client, _experiment(client, suite, target.artifacts)


def _experiment(client: Any, name: str, artifacts: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifacts is None else artifacts.as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for models, not for LLMs
        tags["mlflow.note.content"] = _NOTE
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
    extra = {"error.txt": result.error.encode()} if result.error else {}
    if result.scores:
        extra[_TABLE] = json.dumps(scores_table(result)).encode()
    _log_artifacts(client, run, dict(record.artifacts) | extra)
    for name, value in _shown(record).items():
        client.set_tag(run, name, value)
    client.set_tag(run, OUTCOME, outcome_digest(result))  # the last word: all before it is there
    client.set_terminated(run, _RUN_STATUS[result.status], at)
    return run


def _shown(record: TrialRecord) -> dict[str, str]:
    """Tags by which MLflow's interface knows which artifacts are tables, and that there are images by step."""
    tables = [{"path": _TABLE, "type": "table"}] if record.result.scores else []
    tags = {"mlflow.loggedArtifacts": json.dumps(tables)} if tables else {}
    images = any(name.startswith("images/") for name in record.artifacts)
    return tags | ({"mlflow.loggedImages": "true"} if images else {})


def find_run(client: Any, experiment_id: str, trial: str, outcome: str) -> str | None:
    """The run that shows this outcome of a trial already, whoever logged it; None where there is none."""
    wanted = f"tags.`nsbench.trial` = '{trial}' AND tags.`{OUTCOME}` = '{outcome}' AND {CURRENT_RUNS}"
    found = client.search_runs([experiment_id], filter_string=wanted, max_results=1)
    return str(found[0].info.run_id) if found else None


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
