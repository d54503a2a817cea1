"""Rollouts made elsewhere stand beside the suite's own, with the same scores for the same rollouts."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import toy
from conftest import SUITE
from nsbench.commands import options
from nsbench.commands.cache import _needed, prune
from nsbench.commands.run import run_suite
from nsbench.commands.score import score_file
from nsbench.commands.track import track_suite
from nsbench.components.dataset import UnreadableData
from nsbench.components.events import StageFinished
from nsbench.errors import Refusal
from nsbench.outcomes import file as results
from nsbench.outcomes.stored import placed
from nsbench.stages.prepare import prepare
from nsbench.stages.workshop import workshop_of
from nsbench.store.inventory import artifacts, prunable
from nsbench.store.workspace import Workspace
from nsbench.submissions.cases import cases_digest
from nsbench.submissions.scoring import CannotScore, Entry, submit
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.tracking.content import metrics_of, tags_of

ROOT = Path(__file__).parents[1]
TEXT = SUITE.replace("metrics: [length, elbo, wall_clock]", "metrics: [length, ewd, elbo, wall_clock, crps]")


class Desk:
    """A workspace, a suite, and what a person does with them."""

    def __init__(self, root, write_suite, registry):
        self.workspace, self.registry, self._write = Workspace(root / "work space"), registry, write_suite
        self.output = ""

    def plan(self, *overrides, text=TEXT):
        return make_plan(read_suite(self._write(text), self.registry, overrides), self.registry)

    def session(self, *overrides, **text):
        return Session(self.plan(*overrides, **text), self.registry, self.workspace)

    def run(self, *overrides, **text):
        return self._do(run_suite, self.session(*overrides, **text), tracked=False)

    def score(self, path, name, *overrides, dataset=None, replicate=0, **text):
        session = self.session(*overrides, **text)
        return self._do(score_file, session, path, Entry(name, dataset, replicate), target=None)

    def rows(self, name="line"):
        return {row.trial: row for row in results.load(self.workspace.results(name))}

    def test_data(self):
        session = self.session()
        return prepare(workshop_of(session), "t", next(iter(session.plan.data.values())), "test")

    def evidence(self, trial):
        """The rollouts that the harness itself made."""
        from nsbench.trajectories.hdf5 import read_trajectories

        key = self.rows()[trial].keys["evidence"]
        return read_trajectories(self.workspace.store / "evidence" / key / "rollouts.h5", self.test_data().domain)

    def _do(self, what, session, *arguments, **named):
        console = Console(file=io.StringIO(), width=200)
        code = what(session, *arguments, **named, console=console)
        self.output = console.file.getvalue()
        return code


@pytest.fixture(scope="module")
def finished(tmp_path_factory, registry):
    """A workspace in which the suite has been run."""
    folder = tmp_path_factory.mktemp("finished")

    def write_suite(text):
        (folder / "suite.yaml").write_text(text)
        return folder / "suite.yaml"

    assert Desk(folder, write_suite, registry).run() == 0
    return folder / "work space"


@pytest.fixture
def desk(tmp_path, write_suite, registry, finished):
    """A desk where the suite has been run already."""
    shutil.copytree(finished, tmp_path / "work space")
    return Desk(tmp_path, write_suite, registry)


def write(path, trajectories, desk, nats=None, cost=None):
    """As docs/scoring.md has it, with h5py alone."""
    with h5py.File(path, "w") as file:
        file.attrs["cases"] = cases_digest(desk.test_data().start(), desk.plan().suite.protocol)
        file["arrival"], file["lengths"] = trajectories.arrival, trajectories.lengths
        if nats is not None:
            file["likelihood/nats"] = nats
            file["likelihood"].attrs["kind"] = "exact"
        if cost is not None:
            file.create_group("cost").attrs.update(cost)
    return path


def values(row):
    return {score.metric: score.value for score in row.scores}


COST = {"ms_per_trajectory": 2.5, "ms_per_trajectory_alone": 4.0, "batch": 64, "threads": 8, "device": "cuda"}


def test_the_same_rollouts_get_the_same_scores_to_the_last_bit(desk, tmp_path):
    """Those of the ground truth, which the harness made and scored, handed in as a file."""
    path = write(tmp_path / "again.h5", desk.evidence("line/truth/r0"), desk)
    assert desk.score(path, "again") == 0
    own, again = desk.rows()["line/truth/r0"], desk.rows()["line/again/r0"]
    same = ("length", "ewd", "crps")
    assert [s for s in again.scores if s.metric in same] == [s for s in own.scores if s.metric in same]
    absent = {s.metric: s.absent for s in again.scores if s.value is None and s.metric != "crps"}
    assert absent == {
        "elbo": "no likelihood came with the rollouts",
        "wall_clock": "no costs were declared with the rollouts",
    }


def test_they_stand_in_the_table_marked_and_survive_another_run(desk, tmp_path):
    desk.score(write(tmp_path / "a.h5", desk.evidence("line/learner/r0"), desk), "mine")
    head, rule, *_ = desk.output[desk.output.index("\nline  ") + 1 :].splitlines()
    assert re.split(r"\s{2,}", head)[:4] == ["line", "learner", "mine †", "truth"]
    assert set(rule) == {"─"}
    assert "†: rollouts made elsewhere" in desk.output
    table = desk.output[desk.output.index(head) :].split("results:")[0]
    before = desk.workspace.results("line").read_bytes()
    assert desk.run() == 0
    assert desk.output.split("results:")[0].endswith(table)
    assert desk.workspace.results("line").read_bytes() == before
    assert "mine †" in (desk.workspace.run("line") / "report.md").read_text()
    assert desk.rows()["line/mine/r0"].outside


def test_a_metric_that_the_suite_gets_later_is_scored_by_the_next_run(desk, tmp_path):
    few = TEXT.replace("[length, ewd, elbo, wall_clock, crps]", "[length]")
    desk.score(write(tmp_path / "a.h5", desk.evidence("line/truth/r0"), desk), "mine", text=few)
    desk.run()
    row = desk.rows()["line/mine/r0"]
    assert values(row)["ewd"] == values(desk.rows()["line/truth/r0"])["ewd"]


@pytest.mark.slow
def test_rollouts_for_another_protocol_are_not_shown_and_that_is_said(desk, tmp_path):
    desk.score(write(tmp_path / "a.h5", desk.evidence("line/truth/r0"), desk), "mine")
    desk.run("protocol.horizon=4")
    assert "mine †" not in desk.output
    assert "line/mine/r0: these rollouts, made elsewhere, are of other test cases or another protocol" in desk.output
    assert placed(desk.session("protocol.horizon=4"), desk.rows()["line/mine/r0"]) is None
    desk.run()
    assert "mine †" in desk.output


def test_another_file_under_the_same_name_takes_its_place(desk, tmp_path):
    for trial in ("line/learner/r0", "line/truth/r0"):
        desk.score(write(tmp_path / "a.h5", desk.evidence(trial), desk), "mine")
    assert values(desk.rows()["line/mine/r0"])["ewd"] == values(desk.rows()["line/truth/r0"])["ewd"]
    assert desk.output.count("mine †") == 1


def test_likelihoods_are_scored_and_declared_costs_are_ranked_with_nothing(desk, tmp_path):
    truth = desk.test_data()
    rho = truth.params[truth.transitions()[0], 0]
    heads = toy.length(truth.at(*truth.transitions())) < toy.length(
        truth.at(truth.transitions()[0], truth.transitions()[1] + 1)
    )
    nats = np.where(heads, np.log(rho), np.log(1 - rho))
    desk.score(write(tmp_path / "a.h5", desk.evidence("line/truth/r0"), desk, nats, COST), "mine")
    own, mine = desk.rows()["line/truth/r0"], desk.rows()["line/mine/r0"]
    assert values(mine)["elbo"] == values(own)["elbo"]
    clock = next(s for s in mine.scores if s.metric == "wall_clock")
    assert (clock.value, clock.label, "ratio" in clock.extras) == (2.5, "declared", False)
    assert next(s for s in own.scores if s.metric == "wall_clock").label == ""
    numbers = metrics_of(mine)
    assert numbers["declared/wall_clock"] == 2.5
    assert not [name for name in numbers if name.startswith(("score/wall_clock", "extra/wall_clock"))]
    assert tags_of(mine)["nsbench.outside"]
    assert "nsbench.outside" not in tags_of(own)


def test_nothing_is_kept_of_a_file_that_is_wrong(desk, tmp_path):
    good = desk.evidence("line/truth/r0")
    path = write(tmp_path / "a.h5", good.select(slice(0, 3)), desk)
    before = sorted(desk.workspace.root.rglob("*"))
    with pytest.raises(UnreadableData, match=r"a\.h5: /lengths: must be int32\[24\], is \[3\]"):
        desk.score(path, "mine")
    assert sorted(desk.workspace.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "truth"}, "'truth' is a simulator of suite 'line': choose another name"),
        ({"name": "a/b"}, "names are letters"),
        ({"name": "floor"}, "tables call the ground truth, or a null model, 'floor'"),
        ({"name": "Noise-free"}, "tables call the ground truth, or a null model, 'Noise-free'"),
        ({"name": "mine", "dataset": "lin"}, "no dataset 'lin'; did you mean 'line'"),
        ({"name": "mine", "replicate": 1}, "the suite has replicates 0 to 0, got 1"),
    ],
)
def test_a_place_that_cannot_be_is_refused(desk, tmp_path, given, message):
    with pytest.raises(CannotScore, match=message):
        desk.score(tmp_path / "none.h5", given.pop("name"), **given)


def test_rollouts_that_left_the_store_are_asked_for_again(desk, tmp_path):
    few = TEXT.replace("[length, ewd, elbo, wall_clock, crps]", "[length]")
    desk.score(write(tmp_path / "a.h5", desk.evidence("line/truth/r0"), desk), "mine", text=few)
    shutil.rmtree(desk.workspace.store / "evidence" / desk.rows()["line/mine/r0"].keys["evidence"])
    before = desk.rows()["line/mine/r0"]
    assert desk.run() == 1
    assert "its rollouts are no longer in the store: score the file again" in desk.output
    assert desk.rows()["line/mine/r0"] == before, "what was scored once stays in the results"


def test_rollouts_made_elsewhere_are_removed_only_by_name(desk, tmp_path, monkeypatch, registry):
    monkeypatch.setattr(options, "installed", lambda: registry)
    desk.score(write(tmp_path / "a.h5", desk.evidence("line/truth/r0"), desk), "mine")
    before, suite = desk.rows(), tmp_path / "kept.yaml"
    suite.write_text(TEXT)
    evidence = desk.workspace.store / "evidence" / before["line/mine/r0"].keys["evidence"]
    (entry,) = (e for e in artifacts(desk.workspace) if e.taken_in)
    assert entry.folder == evidence
    assert entry.what == "rollouts made elsewhere"
    scores = {key for name, key in before["line/mine/r0"].keys.items() if name.startswith("score/")}
    old = time.time() - 99 * 86_400
    for manifest in desk.workspace.store.glob("*/*/manifest.json"):
        os.utime(manifest, (old, old))
    kept = _needed([suite], desk.workspace)
    for pruning in (prunable(desk.workspace, keep=kept), prunable(desk.workspace, older_than=86_400.0)):
        gone = {entry.key for entry, _ in pruning.removed}
        assert evidence.name not in gone
    assert not scores & {entry.key for entry, _ in prunable(desk.workspace, keep=kept).removed}
    assert desk._do(prune, desk.workspace, older_than="30d", keep=[suite], yes=True) == 0
    assert desk.run() == 0
    assert desk.rows() == before
    with pytest.raises(Refusal, match="'ffff' names no rollouts made elsewhere"):
        desk._do(prune, desk.workspace, older_than=None, keep=[], submissions=["ffff"], yes=True)
    assert desk._do(prune, desk.workspace, older_than=None, keep=[], submissions=[evidence.name[:12]], yes=True) == 0
    assert not evidence.exists()


def test_mlflow_gets_a_run_like_the_others(desk, tmp_path, monkeypatch, empty_database):
    from mlflow import MlflowClient

    shutil.copy(empty_database, desk.workspace.root / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = write(tmp_path / "a.h5", desk.evidence("line/learner/r0"), desk, cost=COST | {"machine": "a lab"})
    desk.score(path, "mine")
    for _ in range(2):
        assert desk._do(track_suite, desk.session(), uri=None) == 0
    client = MlflowClient(f"sqlite:///{desk.workspace.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("line")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["learner-r0", "mine-r0", "truth-r0"]
    mine = runs["mine-r0"]
    assert mine.data.metrics["score/ewd"] == runs["learner-r0"].data.metrics["score/ewd"]
    assert mine.data.metrics["declared/ms_per_trajectory"] == 2.5
    assert not [name for name in mine.data.metrics if name.startswith("cost/")]
    assert mine.data.tags["nsbench.machine"] == "a lab"
    assert {f.path for f in client.list_artifacts(mine.info.run_id)} >= {"rollouts.gif", "suite.yaml"}
    assert [e.tags[0].value for e in mine.inputs.dataset_inputs] == ["test"]


SMALL = """\
extends: {root}/suites/smoke.yaml
name: small
datasets:
  - {{use: lca, as: snow16, params: {{size: 16, sigma: 0.01, train: 24, val: 8, test: {{parameters: 6, repeats: 2}}}}}}
simulators: [{{use: lca, as: floor}}]
metrics: [ewd]
protocol: {{horizon: 12, members: 2}}
"""


def example():
    """The program in docs/scoring.md, word for word."""
    return (ROOT / "docs" / "scoring.md").read_text().split("```python\n")[1].split("```")[0]


@pytest.mark.slow
def test_the_documented_example_needs_h5py_alone_and_is_scored_without_any_simulator(tmp_path, monkeypatch):
    """export-cases, the program of docs/scoring.md, score: as a user types them."""
    from nsbench.commands.main import main

    (tmp_path / "small.yaml").write_text(SMALL.format(root=ROOT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSBENCH_WORKSPACE", str(tmp_path / "w"))

    def nsbench(*arguments):
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    def last_row():
        return json.loads((tmp_path / "w" / "runs" / "small" / "results.jsonl").read_text().splitlines()[-1])

    assert nsbench("run", "small.yaml", "--no-tracking").exit_code == 0
    done = nsbench("export-cases", "small.yaml", "--truth", "truth.h5")
    assert done.stdout.startswith("snow16-cases.h5: 12 cases of snow16, 2 rollouts of each wanted, at most 12 frames")
    (tmp_path / "example.py").write_text(example())
    without = "import sys; sys.modules['nsbench'] = None; exec(open('example.py').read())"
    subprocess.run([sys.executable, "-c", without], check=True)

    command = ["score", "rollouts.h5", "--suite", "small.yaml", "--as", "frontier", "--no-tracking"]
    code = (
        f"import sys\nfrom nsbench.commands.main import main\ntry: main({command})\n"
        "except SystemExit as end: code = end.code\n"
        "print('\\n' + ' '.join(sys.modules))\nsys.exit(code)"
    )
    wide = os.environ | {"COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=wide)
    assert "frontier †" in done.stdout
    modules = done.stdout.splitlines()[-1].split()
    banned = {"mlflow", "nsbench_lca.simulator", "nsbench_cgne.simulator", "nsbench_pns.simulator"}
    assert [name for name in modules if name in banned or name.startswith("nsbench.neural")] == []
    ewd = next(score for score in last_row()["scores"] if score["metric"] == "ewd")
    assert [last_row()[key] for key in ("trial", "outside", "status")] == ["snow16/frontier/r0", True, "ok"]
    assert ewd["value"] > ewd["floor"]

    done = nsbench("export-cases", "small.yaml")
    assert (done.exit_code, done.stderr) == (2, "snow16-cases.h5: is there already; nothing is overwritten\n")
    seer = ["score", "truth.h5", "--suite", "small.yaml", "--as", "seer", "--no-tracking"]
    done = nsbench(*seer)
    assert (done.exit_code, done.stderr) == (2, "truth.h5: /params: must be float64[24, 8], is [12, 8]\n")
    assert nsbench(*seer, "--set", "protocol.members=1").exit_code == 0
    assert last_row()["scores"][0]["value"] == 0  # the truth is at no distance from itself


def test_scoring_announces_what_it_makes(desk, tmp_path):
    """The stages are those of any trial: plugins hear of them."""
    session, events = desk.session(), []
    path = write(tmp_path / "a.h5", desk.evidence("line/truth/r0"), desk)
    for hit in (False, True):
        submit(session, path, Entry("mine"), [events.append])
        taken_in = [e for e in events if isinstance(e, StageFinished) and e.kind == "evidence"][-1]
        assert (taken_in.trial, taken_in.what, taken_in.hit) == ("line/mine/r0", "rollouts of mine", hit)
