"""Runs in MLflow: one experiment for each suite, in it one flat run for each trial.

The content of a run, by name:

    params   simulator, dataset, replicate, and those of the record: sim.*, data.*
    metrics  score/<metric> and its _low, _high, _floor, _noise_free, _climatology, _persistence, _skill, and
             the metric's extras for tables, score/<metric>.<extra>; its other extras,
             extra/<metric>.<extra>; cost/*; training curves by step, under the names that they were logged with;
             lead/<metric>, and lead/<metric>.<name>, scores by lead time, a step being a frame;
             declared/*, the costs of rollouts made elsewhere, as their makers declare them
    tags     nsbench.trial, nsbench.status, nsbench.error, nsbench.<metric>.unit, .label and .absent, and
             those of the record; nsbench.primary, the name of the suite's primary metric; nsbench.outcome, the digest
             of the result; nsbench.outside on rollouts made elsewhere; nsbench.superseded on the run of an earlier
             outcome of its trial
    files    tables/scores.json, images/* by step, and those of the record

Every trial can be logged from its record alone, at any time. MLflow, slow to import, is imported when there
is something to log.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from nsbench.components.rows import Status
from nsbench.tracking.content import (
    CURRENT_RUNS,
    OUTCOME,
    SCORES_TABLE,
    DataSplit,
    Point,
    TrialRecord,
    metrics_of,
    outcome_digest,
    run_name,
    scores_table,
    tags_of,
)
from nsbench.tracking.names import in_alphabet

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

_BATCH = 100  # MLflow takes 1000 metrics, but only 100 params or tags at once


def open_run(client: Any, experiment_id: str, trial: str, started: float) -> str:
    """Open a run for a trial, with the parameters that the trial's name holds; returns the run's id."""
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
    params = {"dataset": dataset, "simulator": simulator, "replicate": replicate.removeprefix("r")}
    run_id = str(run.info.run_id)
    client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()], synchronous=True)
    return run_id


def log_trial(
    client: Any,
    run: str,
    record: TrialRecord,
    *,
    logged: Collection[tuple[str, int]] = (),
) -> None:
    """Log a trial into the run that was opened for it.

    logged: (name, step) of the curve points that the run has already. Logging the same record into the same run again
    changes nothing.
    """
    from mlflow.entities import Param, RunTag

    result, at = record.result, int(record.finished * 1000)
    numbers = metrics_of(result, record.cost)
    points = [(name, value, 0) for name, value in numbers.items()]
    points += [point for point in record.curves if (point[0], point[2]) not in logged]
    log_points(client, run, points, at)
    for params in _batches(record.params.items()):
        client.log_batch(
            run, params=[Param(in_alphabet(name), _text(value)) for name, value in params], synchronous=True
        )
    for tags in _batches((dict(record.tags) | tags_of(result)).items()):
        client.log_batch(run, tags=[RunTag(in_alphabet(name), value) for name, value in tags], synchronous=True)
    _log_data(client, run, record.data)
    extra = {"error.txt": result.error.encode()} if result.error else {}
    if result.scores:
        extra[SCORES_TABLE] = json.dumps(scores_table(result)).encode()
    _log_artifacts(client, run, dict(record.artifacts) | extra)
    for name, value in _shown(record).items():
        client.set_tag(run, name, value)
    client.set_tag(run, OUTCOME, outcome_digest(result))  # the last word: all before it is there
    client.set_terminated(run, _RUN_STATUS[result.status], at)


def _shown(record: TrialRecord) -> dict[str, str]:
    """Tags by which MLflow's interface knows which artifacts are tables, and that there are images by step."""
    tables = [{"path": SCORES_TABLE, "type": "table"}] if record.result.scores else []
    tags = {"mlflow.loggedArtifacts": json.dumps(tables)} if tables else {}
    images = any(name.startswith("images/") for name in record.artifacts)
    return tags | ({"mlflow.loggedImages": "true"} if images else {})


def find_run(client: Any, experiment_id: str, trial: str, outcome: str) -> str | None:
    """The id of a run that shows this outcome of a trial already; None if there is none."""
    condition = f"tags.`nsbench.trial` = '{trial}' AND tags.`{OUTCOME}` = '{outcome}' AND {CURRENT_RUNS}"
    runs = client.search_runs([experiment_id], filter_string=condition, max_results=1)
    return str(runs[0].info.run_id) if runs else None


def log_points(client: Any, run_id: str, points: Iterable[Point], at: int) -> None:
    """Log metrics by step. at: milliseconds since 1970."""
    from mlflow.entities import Metric

    for batch in _batches(points, 1000):
        metrics = [Metric(in_alphabet(name), value, at, step) for name, value, step in batch]
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
    """Mark the run of an earlier outcome as superseded, and close it if it is still open."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        return  # the run is gone, so there is nothing to mark
    if run.info.lifecycle_stage == "deleted":
        return
    client.set_tag(run_id, "nsbench.superseded", "true")
    if run.info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")
