"""MLflow costs a run nothing: not when it is away, silent, slow or of another mind; `track` brings what is missing."""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import toy
from mlflow_servers import choosy, drip, raw_server, silent
from nsbench.commands.track import track_suite
from nsbench.components.metric import Score
from nsbench.outcomes.file import load
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.tracking.destination import destination
from nsbench.tracking.names import in_alphabet
from nsbench.tracking.record import recorder
from nsbench.tracking.tracker import Tracker

PATIENCE = 2.0
"""Seconds that a run of these tests waits for MLflow at its end."""

ROOM = 20.0
"""Seconds by which a run on a busy machine may differ from another."""

TRIALS = {"line/truth/r0", "line/learner/r0"}

pytestmark = pytest.mark.usefixtures("quick_disk", "few_retries")


@pytest.fixture
def few_retries(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


@pytest.fixture(scope="module", autouse=True)
def _imported():
    import mlflow.tracking  # noqa: F401  its seconds are not the server's


@pytest.fixture
def session(tmp_path, write_suite, registry, empty_database):
    """The toy suite in a workspace whose database is there."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir()
    shutil.copy(empty_database, workspace.root)
    suite = read_suite(write_suite(metrics="metrics: [length, elbo]"), registry)
    return Session(make_plan(suite, registry), registry, workspace)


def tracked(session, uri, **options):
    """(outcome, what was said, seconds) of a run that is mirrored at an address."""
    said = []
    options = {"patience": PATIENCE} | options
    ledger = session.workspace.run("line") / "tracked.json"
    record = recorder(session, "i1")
    target = destination(session.workspace.root, uri)
    tracker = Tracker(
        session.workspace.root, "line", record, ledger=ledger, target=target, notify=said.append, **options
    )
    before = time.monotonic()
    outcome = run(session, [tracker])
    return outcome, said, time.monotonic() - before


def test_scores_by_lead_time_are_curves_whose_steps_are_frames(session, monkeypatch):
    score = toy.Length.score

    def with_curves(self, *arguments):
        return replace(score(self, *arguments), by_lead={"value": np.array([0.5, 2.0]), "bias": np.array([-1.0])})

    monkeypatch.setattr(toy.Length, "score", with_curves)
    run(session)
    row = next(row for row in load(session.results) if row.trial == "line/truth/r0")
    curves = recorder(session, "i1")(row).curves
    assert [point for point in curves if point[0].startswith("lead/")] == [
        ("lead/length", 0.5, 1),
        ("lead/length", 2.0, 2),
        ("lead/length.bias", -1.0, 1),
    ]


def uploads_all(session, capsys):
    """Whether `nsbench track` gets every result into the workspace's own database."""
    from mlflow import MlflowClient

    code = track_suite(session, Console(width=200))
    client = MlflowClient(destination(session.workspace.root).uri)
    experiment = client.get_experiment_by_name("line")
    runs = client.search_runs([experiment.experiment_id])
    assert code == 0, capsys.readouterr().out
    return {r.data.tags["nsbench.trial"] for r in runs if r.info.status == "FINISHED"} == TRIALS


def is_whole(session, outcome):
    return outcome.exit_code == 0 and {row.trial for row in load(session.results)} == TRIALS


def test_a_server_that_refuses_connections(session, capsys):
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    outcome, said, seconds = tracked(session, f"http://127.0.0.1:{port}")
    assert is_whole(session, outcome)
    assert (len(said), "nsbench track" in said[0]) == (1, True)
    assert seconds < PATIENCE + ROOM
    assert uploads_all(session, capsys)


def test_a_server_that_never_answers(session, capsys):
    """A run waits for it once, at its end, however many trials there are."""
    with raw_server(silent) as uri:
        outcome, said, seconds = tracked(session, uri)
    assert is_whole(session, outcome)
    assert any("2 finished trials are not there yet" in message for message in said)
    assert seconds < PATIENCE + ROOM
    assert uploads_all(session, capsys)


def test_a_server_that_drips(session, capsys):
    """No read takes long, so that MLflow's own timeout never strikes; the whole has a deadline."""
    with raw_server(drip) as uri:
        outcome, said, seconds = tracked(session, uri, patience=60.0, deadline=1.0)
    assert is_whole(session, outcome)
    assert any("longer than 1 s" in message for message in said)
    assert seconds < 1.0 + ROOM
    assert uploads_all(session, capsys)


def test_track_gives_a_dripping_server_up_too(session):
    run(session)
    said = []
    with raw_server(drip) as uri:
        ledger = session.workspace.run("line") / "tracked.json"
        record = recorder(session, "i1")
        root, target = session.workspace.root, destination(session.workspace.root, uri)
        tracker = Tracker(root, "line", record, ledger=ledger, target=target, notify=said.append, deadline=1.0)
        before = time.monotonic()
        tracker.log(load(session.results))
    assert time.monotonic() - before < 1.0 + ROOM
    assert "2 finished trials are not there yet" in said[-1]


@pytest.mark.parametrize(
    ("status", "wants"),
    [
        (500, lambda trial, body: trial == "line/truth/r0" and "tags" in body),
        (400, lambda trial, body: any(m["key"] == "score/elbo" for m in body.get("metrics", ())) and "truth" in trial),
    ],
    ids=["500 for one run", "400 for one metric"],
)
def test_a_trial_that_is_refused_stops_no_other(session, tmp_path, capsys, status, wants):
    with choosy(tmp_path, lambda trial, body: status if trial and wants(trial, body) else None) as server:
        outcome, said, seconds = tracked(session, server.uri, patience=60.0)
        assert server.complete() == TRIALS - {"line/truth/r0"}
    assert is_whole(session, outcome)
    assert [message.partition(" ")[0] for message in said] == ["line/truth/r0"]
    assert seconds < ROOM
    assert uploads_all(session, capsys)


def test_names_outside_of_mlflows_alphabet_are_written_in_it(session, monkeypatch, capsys):
    """Two that would be written alike stay two, and the same name is written alike in every trial."""

    def score(self, evidence, reference, rng):
        return Score(1.0, extras={"share above 95%": 2.0, "share above 95?": 3.0, "../up": 4.0})

    monkeypatch.setattr(toy.Length, "score", score)
    outcome, said, _ = tracked(session, None)
    assert is_whole(session, outcome)
    assert said == []
    from mlflow import MlflowClient

    client = MlflowClient(destination(session.workspace.root).uri)
    runs = client.search_runs([client.get_experiment_by_name("line").experiment_id])
    extras = [{k: v for k, v in r.data.metrics.items() if k.startswith("extra/length")} for r in runs]
    assert len(extras) == 2
    assert extras[0] == extras[1]
    assert sorted(extras[0].values()) == [2.0, 3.0, 4.0]


def test_the_alphabet_is_mlflows_own():
    """Every name is taken, those that MLflow takes as they are."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag

    def takes(name):
        try:
            _validate_metric(name, 1.0, 0, 0)
            _validate_param(name, "1")
            _validate_tag(name, "1")
        except MlflowException:
            return False
        return True

    names = ["score/ewd", "a b", "größe", "a:b", "", ".", "..", "a//b", "/a", "../a", "a/./b", "a/", "a\n", "x" * 251]
    names += ["95%", "95?", "a\0b", "loss[0]", "\ud800", "[/]", "///", "a/../../b"]
    for name in names:
        assert takes(in_alphabet(name)), name
        assert (in_alphabet(name) == name) == (takes(name) and "\n" not in name), name
    assert len({in_alphabet(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["q?x", "50%20x", "a#b c", "zürich"])
def test_the_database_is_in_its_workspace_whatever_the_path_holds(
    tmp_path, write_suite, registry, name, empty_database
):
    folder = tmp_path / name / "workspace"
    folder.mkdir(parents=True)
    shutil.copy(empty_database, folder)
    before = {path.name for path in tmp_path.iterdir()}
    workspace = Workspace(folder)
    suite = read_suite(write_suite(metrics="metrics: [length]"), registry)
    session = Session(make_plan(suite, registry), registry, workspace)
    _, said, _ = tracked(session, None)
    assert said == []
    assert {path.name for path in tmp_path.iterdir()} == before | {"suite.yaml"}  # nothing beside it
    from mlflow import MlflowClient

    client = MlflowClient(destination(folder).uri)
    runs = client.search_runs([client.get_experiment_by_name("line").experiment_id])
    assert {r.data.tags["nsbench.trial"] for r in runs} == TRIALS
    assert len(list((folder / "mlartifacts").rglob("suite.yaml"))) == 2
