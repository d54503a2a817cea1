"""The MLflow mirror: what was logged reads back, a second time logs nothing, an absent server costs nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nsbench.components.events import CurvePoint, RunFinished, RunStarted, StageStarted, TrialFinished
from nsbench.components.evidence import Cost
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.tracking.content import (
    DataSplit,
    TrialRecord,
    flatten,
    image_artifacts,
    metrics_of,
    outcome_digest,
    scores_table,
)
from nsbench.tracking.destination import destination
from nsbench.tracking.runs import _shown
from nsbench.tracking.server import find_tables
from nsbench.tracking.tracker import Tracker
from nsbench.tracking.view import leaderboard

TRIAL = "snow32/cgne/r0"
CURVE = tuple(("train/loss", 1000.0 / (step + 1), step) for step in range(2500))
EWD = ScoreRow(
    "ewd",
    "sites",
    "min",
    12.6,
    (11.0, 14.0),
    floor=6.2,
    best_deterministic=23.0,
    extras={"bins": 16.0},
    columns=(("bins", "bins"),),
)
ELBO = ScoreRow("elbo", "nats/transition", "max", None, absent="it declares no likelihood")
RESULT = TrialResult(TRIAL, "snow32", "cgne", 0, "ok", {"model": "m1"}, (EWD, ELBO), seconds=3.0)
RECORD = TrialRecord(
    RESULT,
    started=1_700_000_000.0,
    finished=1_700_000_060.0,
    params=flatten("sim", {"width": 16, "decoder": {"dropout": None}}) | flatten("data", {"size": 32}),
    tags={"nsbench.suite_digest": "abc", "nsbench.plugin.nsbench_cgne": "0.1.0"},
    data=(DataSplit("snow32", "test", "0123456789abcdef" * 4, {"trajectories": 512}),),
    cost=Cost(40.0, 64, 55.0, threads=2, device="cpu", fit_seconds=100.0),
    curves=CURVE,
    artifacts={"rollouts.gif": b"GIF89a", "figures/ewd.png": b"PNG", "suite.yaml": b"name: snow\n"},
)
STARTED = RunStarted("snow", "i1", (TRIAL,))
FINISHED = RunFinished("snow", "i1", 1.0, interrupted=False)


def record(result):
    error = result.status != "ok"
    return replace(RECORD, result=result, curves=() if error else CURVE)


def tracker(workspace, **given):
    return Tracker(workspace, "snow", given.pop("record", record), ledger=workspace / "tracked.json", **given)


def play(listener, *events):
    for event in (STARTED, *events, FINISHED):
        listener(event)


def runs(workspace, **given):
    """All runs of the experiment, the latest first."""
    client = client_of(workspace)
    experiment = client.get_experiment_by_name("snow")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"], **given)


def client_of(workspace):
    from mlflow import MlflowClient

    return MlflowClient(destination(workspace).uri)


@pytest.fixture(autouse=True)
def _no_server_named(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def workspace(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workspace in which one trial was tracked from its record alone."""
    workspace = tmp_path_factory.mktemp("a workspace")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    play(tracker(workspace), TrialFinished(RESULT))
    return workspace


def test_what_was_logged_reads_back(finished):
    (run,) = runs(finished)
    assert (run.info.run_name, run.info.status) == ("cgne-r0", "FINISHED")
    assert run.info.end_time - run.info.start_time == 60_000
    params = {"simulator": "cgne", "dataset": "snow32", "replicate": "0"}
    assert run.data.params == params | {"sim.width": "16", "sim.decoder.dropout": "null", "data.size": "32"}
    assert run.data.metrics == metrics_of(RESULT, RECORD.cost) | {"train/loss": CURVE[-1][1]}
    assert run.data.metrics["score/ewd_skill"] == pytest.approx((23 - 12.6) / (23 - 6.2))
    assert "score/elbo" not in run.data.metrics
    tags = {name: value for name, value in run.data.tags.items() if name.startswith("nsbench.")}
    assert tags == dict(RECORD.tags) | {
        "nsbench.trial": TRIAL,
        "nsbench.status": "ok",
        "nsbench.ewd.unit": "sites",
        "nsbench.elbo.unit": "nats/transition",
        "nsbench.elbo.absent": "it declares no likelihood",
        "nsbench.outcome": outcome_digest(RESULT),
    }


def test_artifacts_read_back(finished):
    (run,) = runs(finished)
    folder = Path(client_of(finished).download_artifacts(run.info.run_id, ""))
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    table = json.loads(found.pop("tables/scores.json"))
    assert found == RECORD.artifacts
    ewd, elbo = (dict(zip(table["columns"], row, strict=True)) for row in table["data"])
    assert (ewd["metric"], ewd["value"], ewd["low"], ewd["floor"], ewd["direction"]) == ("ewd", 12.6, 11.0, 6.2, "min")
    assert (elbo["value"], elbo["absent"]) == (None, "it declares no likelihood")
    assert folder.is_relative_to(finished / "mlartifacts")


def test_dataset_is_named_by_its_digest(finished):
    (run,) = runs(finished)
    (entry,) = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("snow32", "0123456789abcdef")
    assert json.loads(entry.dataset.source) == {"store": f"data/{RECORD.data[0].digest}"}
    assert json.loads(entry.dataset.profile) == {"trajectories": 512}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "test")]


def test_experiment_opens_on_its_scores(finished):
    """The columns of the table of runs, sorted by the first metric in its own direction."""
    experiment = client_of(finished).get_experiment_by_name("snow")
    view = json.loads(experiment.tags["mlflow.sharedViewState.nsbench"])
    columns = [
        "score/ewd",
        "score/ewd_floor",
        "score/ewd_best_deterministic",
        "score/ewd_skill",
        "score/ewd.bins",
        "score/elbo",
    ]
    assert view["selectedColumns"] == [f"metrics.`{name}`" for name in columns]
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`score/ewd`", True)
    assert view["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "simulator"}]
    place = f"/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey=nsbench"
    assert find_tables(finished) == {"snow": place}


def test_the_primary_metric_has_the_first_columns_and_decides_the_order():
    view = leaderboard([replace(RESULT, scores=(EWD, replace(ELBO, value=-3.0)))], "elbo")
    assert view["selectedColumns"][:2] == ["metrics.`score/elbo`", "metrics.`score/ewd`"]
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`score/elbo`", False)
    assert view["compareRunCharts"][0]["metricKey"] == "score/elbo"


def test_images_by_step_are_named_as_mlflow_names_them(workspace):
    """Its own log_image is the reference; two of ours with one content are one file."""
    from PIL import Image

    client = client_of(workspace)
    run = client.create_run(client.create_experiment("images", (workspace / "a").as_uri())).info.run_id
    client.log_image(run, Image.new("RGB", (4, 4)), key="rollouts/frames", step=7)
    theirs = [file.path for file in client.list_artifacts(run, "images")]
    ours = image_artifacts("rollouts/frames", 7, b"png", b"webp")
    digits = r"\d+\+[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # the time and a UUID
    assert sorted(re.sub(digits, "*", name) for name in ours) == sorted(re.sub(digits, "*", name) for name in theirs)
    assert ours == image_artifacts("rollouts/frames", 7, b"png", b"webp")
    shown = set(client.get_run(run).data.tags)
    assert (
        shown & {"mlflow.loggedImages"}
        == set(_shown(replace(RECORD, artifacts=ours))) & {"mlflow.loggedImages"}
        != set()
    )


def test_tables_are_announced_as_mlflow_announces_them(workspace):
    client = client_of(workspace)
    run = client.create_run(client.create_experiment("tables", (workspace / "a").as_uri())).info.run_id
    client.log_table(run, {"metric": ["ewd"], "value": [1.0]}, "tables/scores.json")
    theirs = json.loads(Path(client.download_artifacts(run, "tables/scores.json")).read_text())
    assert theirs.keys() == scores_table(RESULT).keys()
    assert client.get_run(run).data.tags["mlflow.loggedArtifacts"] == _shown(RECORD)["mlflow.loggedArtifacts"]


def test_an_outcome_that_somebody_has_logged_is_not_logged_again(workspace):
    """A ledger that was lost, or a copy of the workspace: the server is asked first."""
    play(tracker(workspace), TrialFinished(RESULT))
    (workspace / "tracked.json").unlink()
    read = []
    play(tracker(workspace, record=lambda result: read.append(result)), TrialFinished(RESULT))
    assert (len(runs(workspace)), read) == (1, [])
    assert json.loads((workspace / "tracked.json").read_text())["mlflow.db"][TRIAL]["outcome"] == outcome_digest(RESULT)


def test_several_datasets_are_groups_of_their_own_and_no_scores_change_no_view(workspace):
    other = replace(RESULT, trial="snow64/cgne/r0", dataset="snow64")
    keys = leaderboard([RESULT, other])["groupBy"]["groupByKeys"]
    assert [key["groupByData"] for key in keys] == ["dataset", "simulator"]
    assert leaderboard([replace(RESULT, scores=())]) == {}


def test_buffered_curves_are_complete_and_logged_once(workspace):
    """1,700 points arrive live, in batches; the record brings all 2,500."""
    live = [CurvePoint(TRIAL, *point) for point in CURVE[:1700]]
    play(tracker(workspace), StageStarted(TRIAL, "model", "k", "fit"), *live, TrialFinished(RESULT))
    (run,) = runs(workspace)
    history = client_of(workspace).get_metric_history(run.info.run_id, "train/loss")
    assert sorted((point.step, point.value) for point in history) == [(step, value) for _, value, step in CURVE]


def test_curves_of_a_fit_can_be_seen_while_it_runs(workspace):
    listener = tracker(workspace, flush_seconds=0.0)
    for event in (STARTED, *(CurvePoint(TRIAL, *point) for point in CURVE[:3])):
        listener(event)
    assert listener.settle(60)
    (run,) = runs(workspace)
    assert (run.info.status, run.data.metrics) == ("RUNNING", {"train/loss": CURVE[2][1]})
    listener(FINISHED)  # without a result: the fit was cut short
    (run,) = runs(workspace)
    assert (run.info.status, run.data.tags["nsbench.status"]) == ("KILLED", "interrupted")


def test_failed_trial_shows_its_error(workspace):
    failed = replace(RESULT, status="failed", scores=(), error="Traceback\n  a line\nValueError: no such width")
    play(tracker(workspace), CurvePoint(TRIAL, "train/loss", 1.0, 0), TrialFinished(failed))
    (run,) = runs(workspace)
    assert (run.info.status, run.data.tags["nsbench.status"]) == ("FAILED", "failed")
    assert run.data.tags["nsbench.error"] == "ValueError: no such width"
    assert run.data.metrics["train/loss"] == 1.0
    error = client_of(workspace).download_artifacts(run.info.run_id, "error.txt")
    assert Path(error).read_text() == failed.error


def test_interrupted_trial_is_killed(workspace):
    play(tracker(workspace), TrialFinished(replace(RESULT, status="interrupted", scores=())))
    assert [run.info.status for run in runs(workspace)] == ["KILLED"]


def test_new_outcome_makes_a_new_run_and_marks_the_old_one(workspace):
    better = replace(RESULT, scores=(replace(EWD, value=9.0),))
    play(tracker(workspace), TrialFinished(RESULT))
    play(tracker(workspace), StageStarted(TRIAL, "model", "k", "fit"), TrialFinished(better))
    new, old = sorted(runs(workspace), key=lambda run: run.data.metrics["score/ewd"])
    assert old.data.tags["nsbench.superseded"] == "true"
    assert "nsbench.superseded" not in new.data.tags
    current = runs(workspace, filter_string="tags.`nsbench.superseded` IS NULL")
    assert [run.info.run_id for run in current] == [new.info.run_id]


def test_run_of_a_killed_process_is_closed_by_the_next(workspace):
    listener = tracker(workspace)
    for event in (STARTED, StageStarted(TRIAL, "model", "k", "fit")):
        listener(event)
    assert listener.settle(60)  # and then the machine goes down
    play(tracker(workspace), StageStarted(TRIAL, "model", "k", "fit"), TrialFinished(RESULT))
    assert sorted(run.info.status for run in runs(workspace)) == ["FINISHED", "KILLED"]


def test_anchors_that_are_no_trials_of_the_suite_get_no_run(tmp_path):
    play(tracker(tmp_path), StageStarted("snow32/lca/r0", "evidence", "k", "rollouts"))
    assert not (tmp_path / "mlflow.db").exists()


def test_outcome_ignores_time_and_nothing_else():
    assert outcome_digest(RESULT) == outcome_digest(replace(RESULT, seconds=9.0))
    assert outcome_digest(RESULT) != outcome_digest(replace(RESULT, keys={"model": "m2"}))
    assert outcome_digest(RESULT) != outcome_digest(replace(RESULT, scores=(replace(EWD, floor=6.3), ELBO)))


def test_second_identical_result_logs_nothing_and_imports_nothing(finished):
    before = {run.info.run_id: run.data for run in runs(finished)}
    script = f"""
import sys
from pathlib import Path
from nsbench.components.events import TrialFinished
from nsbench.components.rows import TrialResult
from nsbench.tracking.tracker import Tracker
def record(result): raise AssertionError("the store was read")
workspace = Path({str(finished)!r})
tracker = Tracker(workspace, "snow", record, ledger=workspace / "tracked.json", notify=sys.exit)
tracker(TrialFinished(TrialResult.from_json({RESULT.to_json()!r})))
from nsbench.components.events import RunFinished
tracker(RunFinished("snow", "i2", 1.0, False))
assert "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    after = {run.info.run_id: run.data for run in runs(finished)}
    assert before.keys() == after.keys()


def test_a_database_that_was_deleted_is_filled_again(tmp_path):
    play(tracker(tmp_path), TrialFinished(RESULT))
    (tmp_path / "mlflow.db").unlink()
    play(tracker(tmp_path), TrialFinished(RESULT))
    assert len(runs(tmp_path)) == 1


def test_unreachable_server_is_named_once_and_nothing_stops(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = []
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    listener = tracker(tmp_path, target=destination(tmp_path, uri), notify=said.append)
    curve = [CurvePoint(TRIAL, *point) for point in CURVE]
    before = time.monotonic()
    play(listener, StageStarted(TRIAL, "model", "k", "fit"), *curve, TrialFinished(RESULT))
    assert time.monotonic() - before < 60
    (message,) = said
    assert "nsbench track SUITE.yaml" in message
    assert "secret" not in message


def test_server_that_comes_back_gets_everything(workspace, monkeypatch):
    """The connection fails at first; later trials bring along what was missed."""
    from nsbench.tracking import mirror as tracking

    real, other = tracking.connect, "snow32/pns/r0"

    def refuse(*arguments):
        raise ConnectionError("nobody there")

    listener = tracker(workspace)
    listener(RunStarted("snow", "i1", (TRIAL, other)))
    monkeypatch.setattr(tracking, "connect", refuse)
    listener(TrialFinished(RESULT))
    assert listener.settle(60)
    monkeypatch.setattr(tracking, "connect", real)
    listener(TrialFinished(replace(RESULT, trial=other, simulator="pns")))
    listener(FINISHED)
    assert sorted(run.info.run_name for run in runs(workspace)) == ["cgne-r0", "pns-r0"]


def test_server_that_goes_away_in_the_middle_leaves_no_second_run(workspace, monkeypatch):
    from nsbench.tracking import runs as mlflow_runs

    real, said = mlflow_runs._log_artifacts, []

    def fail(*arguments):
        raise ConnectionError("gone")

    monkeypatch.setattr(mlflow_runs, "_log_artifacts", fail)
    listener = tracker(workspace, notify=said.append)
    for event in (STARTED, StageStarted(TRIAL, "model", "k", "fit"), TrialFinished(RESULT)):
        listener(event)
    assert listener.settle(60)
    monkeypatch.setattr(mlflow_runs, "_log_artifacts", real)
    listener(FINISHED)
    assert [run.info.status for run in runs(workspace)] == ["FINISHED"]
    assert len(said) == 1


@pytest.mark.slow
def test_two_processes_open_a_fresh_workspace_at_once(tmp_path):
    script = """
import sys
from pathlib import Path
from nsbench.tracking.destination import connect, destination
from nsbench.tracking.runs import open_run
workspace = Path(sys.argv[1])
client, experiment = connect(destination(workspace), "snow", workspace / "mlflow.lock")
open_run(client, experiment, f"snow32/{sys.argv[2]}/r0", 1.0)
"""
    children = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in ("a", "b")]
    assert [child.wait(60) for child in children] == [0, 0]
    assert sorted(run.info.run_name for run in runs(tmp_path)) == ["a-r0", "b-r0"]


def test_broken_ledger_is_named(tmp_path):
    (tmp_path / "tracked.json").write_text("{")
    said = []
    play(tracker(tmp_path, notify=said.append), TrialFinished(RESULT))
    assert len(said) == 1
    assert "tracked.json" in said[0]


def test_destination_of_a_server_keeps_its_password_to_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@tracking.example:8443/mlflow")
    target = destination(tmp_path)
    assert target.label == "https://tracking.example:8443/mlflow"
    assert target.artifacts is None
    assert destination(tmp_path, "sqlite:///elsewhere.db").artifacts == tmp_path / "mlartifacts"


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
