"""A number can be made again, and what it was made with is written down."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

import toy
from nsbench.commands.display.screen import say
from nsbench.commands.fresh import NothingStored, make_again
from nsbench.commands.main import main
from nsbench.commands.trial import AmbiguousTrial, describe_trial, find_suite
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.outcomes.file import load
from nsbench.report.tables import notes, plain, results_tables
from nsbench.stages.score import DRAWN_FILES
from nsbench.stages.simulate import MEASURED_FILES, cost_hardware
from nsbench.store import environment as environments
from nsbench.store.checkout import git_state
from nsbench.store.environment import environment, hardware, provenance
from nsbench.store.key import digest_of
from nsbench.store.manifest import read_manifest
from nsbench.store.store import Store
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session, open_session
from nsbench.suite.trials import UnknownTrial

pytestmark = pytest.mark.usefixtures("quick_disk")

TRIAL = "line/learner/r0"


@pytest.fixture
def console():
    return Console(record=True, width=200, force_terminal=False)


@pytest.fixture
def ran(bench, write_suite, registry):
    bench()
    bench.plan = make_plan(read_suite(write_suite(), registry), registry)
    return bench


def again(ran, registry, console, trial=TRIAL):
    session = Session(ran.plan, registry, ran.workspace).only([trial])
    return make_again(session, session.plan.trials[0], console)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("trial", [TRIAL, "line/truth/r0"])
def test_a_trial_made_again_is_the_same_bit_by_bit_and_the_store_is_left_as_it_was(ran, registry, console, trial):
    before, fits = contents(ran.workspace.root), toy.Learner.fits
    assert again(ran, registry, console, trial) == 0
    assert contents(ran.workspace.root) == before
    assert toy.Learner.fits == fits + (trial == TRIAL)
    text = console.export_text()
    assert "every score is the same, bit by bit" in text
    assert "wall_clock: " in text
    assert "measured, not computed" in text


def test_where_something_else_comes_out_it_is_named_and_the_stored_stays(ran, registry, console, monkeypatch):
    """A simulator that takes another random number than its generator gives."""
    before = contents(ran.workspace.store)
    rollout = toy.Coin.rollout
    monkeypatch.setattr(
        toy.Coin, "rollout", lambda self, start, steps, rng: rollout(self, start, steps, (rng.random(), rng)[1])
    )
    assert again(ran, registry, console) == 1
    text = console.export_text()
    assert "model: the same" in text
    assert "evidence: differs in rollouts.h5" in text
    assert "length: extras.simulated: " in text
    assert f"{TRIAL}: not the same: length" in text
    assert contents(ran.workspace.store) == before


def test_what_differs_between_the_machines_is_named_where_the_numbers_do(ran, registry, console, monkeypatch):
    monkeypatch.setattr(environments, "environment", lambda: environment() | {"processor": "abacus"})
    monkeypatch.setattr(
        toy.Coin, "rollout", lambda self, start, steps, rng: toy.toss(start.params, start.domain, 6, rng, 0.5)
    )
    assert again(ran, registry, console) == 1
    assert "where the stored evidence was made: processor: abacus here, " in console.export_text()


def test_there_must_be_something_to_compare_with(bench, write_suite, registry, console):
    bench.plan = make_plan(read_suite(write_suite(), registry), registry)
    with pytest.raises(NothingStored, match="the store holds no length, elbo, wall_clock of line/learner/r0"):
        again(bench, registry, console)


def test_a_fit_that_fails_the_second_time_leaves_nothing_behind(ran, registry, console, monkeypatch):
    def fit(self, train, val, ctx):
        raise RuntimeError("the loss is on fire")

    before = contents(ran.workspace.store)
    monkeypatch.setattr(toy.Learner, "fit", fit)
    assert again(ran, registry, console) == 1
    assert "failed when it was made again: RuntimeError: the loss is on fire" in console.export_text()
    assert "Traceback" in ran.workspace.log("line", f"{TRIAL}/fresh").read_text()
    assert contents(ran.workspace.store) == before
    assert list((ran.workspace.store / "drafts").iterdir()) == []


def test_an_interruption_is_no_answer(ran, registry, console, monkeypatch):
    def fit(self, train, val, ctx):
        raise KeyboardInterrupt

    monkeypatch.setattr(toy.Learner, "fit", fit)
    assert again(ran, registry, console) == 130
    assert list((ran.workspace.store / "drafts").iterdir()) == []


def info(ran, registry, console, suite=None, *overrides):
    path = suite or find_suite(ran.workspace, TRIAL)
    session = open_session(path, ran.workspace.root, overrides, registry)
    say(console, *describe_trial(session, session.only([TRIAL]).plan.trials[0], path, overrides))
    return console.export_text()


def test_info_names_every_key_seed_number_and_command(ran, registry, console):
    text = info(ran, registry, console)
    trial = ran.plan.only([TRIAL]).trials[0]
    row = next(row for row in load(ran.workspace.results("line")) if row.trial == TRIAL)
    for name, key in row.keys.items():
        assert re.search(rf"  {name} +{key}  ", text)
    for seed in (trial.fit_seed, trial.simulate_seed, trial.data.seeds["train"], trial.scores[0].seed):
        assert json.dumps(seed) in text
    assert f"  length: {row.scores[0].value!r} sites" in text
    assert f"--only {TRIAL} --fresh" in text
    assert "'" + str(ran.workspace.run("line") / "suite.yaml") + "'" in text  # the workspace's name holds a space
    assert "here and now: the same" in text
    assert "costs on " in text
    for part in ("dataset line", "simulator learner", "metric length"):
        assert f"  {part}, from " in text
    assert trial.part.source in text


def test_the_command_that_info_prints_makes_the_number_again(ran, registry, console, monkeypatch):
    """Word for word, through a shell's eyes."""
    import shlex

    monkeypatch.setattr("nsbench.commands.options.installed", lambda: registry)
    line = next(line for line in info(ran, registry, console).splitlines() if line.strip().endswith("--fresh"))
    words = shlex.split(line)
    assert words[0] == "nsbench"
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, result.output
    assert "every score is the same, bit by bit" in result.output


def test_info_says_what_is_not_there_any_more_and_what_has_changed(ran, registry, console, write_suite):
    text = info(ran, registry, console, write_suite(), "budget.transitions=50")
    assert (
        "the result above came from other keys of model, evidence, score/length, score/elbo, score/wall_clock" in text
    )
    assert text.count("not in the store") == 5


def test_info_names_what_differs_from_here_and_now(ran, registry, console, monkeypatch):
    monkeypatch.setattr(environments, "environment", lambda: environment() | {"python": "2.7"})
    assert f"python: 2.7 here, {environment()['python']} in the store" in info(ran, registry, console)


def test_a_trial_that_nobody_ran_is_not_found_and_the_nearest_is_named(ran):
    with pytest.raises(UnknownTrial, match=r"no results of trial 'line/lerner/r0'.*did you mean 'line/learner/r0'"):
        find_suite(ran.workspace, "line/lerner/r0")


def test_a_trial_of_two_suites_must_be_told_apart(ran):
    from conftest import SUITE

    ran(SUITE.replace("name: line", "name: other"))
    with pytest.raises(AmbiguousTrial, match=r"in more than one suite: say which with --suite"):
        find_suite(ran.workspace, TRIAL)


def test_only_some_trials(ran, registry):
    assert [trial.id for trial in ran.plan.only([TRIAL]).trials] == [TRIAL]
    with pytest.raises(UnknownTrial, match="did you mean 'line/learner/r0'"):
        ran.plan.only(["line/learner/r1"])


def test_a_part_of_a_suite_leaves_the_results_and_the_report_of_the_whole(ran, registry, console):
    from nsbench.commands.run import run_suite

    report = ran.workspace.run("line") / "report.md"
    run_suite(Session(ran.plan, registry, ran.workspace), console, tracked=False)
    before = report.read_text(), ran.workspace.results("line").read_text()
    assert (
        run_suite(Session(ran.plan.only([TRIAL]), registry, ran.workspace), console, tracked=False, only_part=True) == 0
    )
    assert (report.read_text(), ran.workspace.results("line").read_text()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "suites/smoke.yaml", "--fresh"], "--fresh needs --only TRIAL"),
        (["run", "suites/smoke.yaml", "--only", "snow16/cgne-lapto/r0"], "did you mean 'snow16/cgne-laptop/r0'"),
        (["info", "trial", "snow16/cgne-laptop/r0"], "no results of trial 'snow16/cgne-laptop/r0'"),
        (["info", "cgne", "snow16/cgne-laptop/r0"], "the word trial and an identity"),
        (["cache", "prune", "--older-than", "30"], "an age is a number of hours, days or weeks"),
    ],
)
def test_a_wrong_call_is_explained(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    result = CliRunner().invoke(main, [*words, "--workspace", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


# Environments


def test_every_artifact_tells_where_and_by_which_code_it_was_made(ran):
    manifests = [read_manifest(path.parent) for path in ran.workspace.store.glob("*/*/manifest.json")]
    assert len({m["stage"] for m in manifests}) == 4
    for manifest in manifests:
        recorded = manifest["environment"]
        assert {"python", "processor", "cores", "gpus", "cuda_driver", "packages", "code"} <= recorded.keys()
        assert recorded["code"].keys() >= {"nsbench", "lca", "cgne", "metrics"}
        assert manifest["facts"]["threads"] >= 1


def test_the_commit_of_a_checkout_is_told_and_whether_it_was_edited(tmp_path):
    def git(*words):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    assert git_state(tmp_path) == ""
    (tmp_path / "plugin.py").write_text("one")
    git("add", "plugin.py")
    git("commit", "-qm", "one")
    git_state.cache_clear()
    assert git_state(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "plugin.py").write_text("two")
    git_state.cache_clear()
    assert git_state(tmp_path) == git("rev-parse", "HEAD") + ", edited"


def test_a_checkout_cannot_have_its_own_programs_run(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "evil").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "evil").chmod(0o755)
    with (tmp_path / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {tmp_path}/evil\n\thooksPath = {tmp_path}\n")
    (tmp_path / "file").write_text("x")
    subprocess.run(["git", "-C", tmp_path, "-c", "core.fsmonitor=false", "add", "file"], check=True)
    subprocess.run(
        ["git", "-C", tmp_path, "-c", "core.fsmonitor=false", "-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"],
        check=True,
    )  # fmt: skip
    git_state.cache_clear()
    assert git_state(tmp_path)
    assert not (tmp_path / "ran").exists()


COMMIT = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false", "commit", "-qm", "x"]


@pytest.fixture
def checkout(tmp_path):
    """A commit of one file, to which a filter, a difference program and a monitor belong that would leave a trace."""
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("x\n")
    (tmp_path / ".gitattributes").write_text("file filter=ev=il diff=evil\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, *COMMIT], check=True)
    trace = f"touch '{tmp_path}/ran'; cat"
    with (tmp_path / ".git" / "config").open("a") as config:
        for name in ("ev=il", "evil"):
            config.write(f'[filter "{name}"]\n\tclean = "{trace}"\n\tsmudge = "{trace}"\n\trequired = true\n')
        config.write(f'[diff "evil"]\n\ttextconv = "{trace}"\n[core]\n\tfsmonitor = "{trace}"\n')
    git_state.cache_clear()
    return tmp_path


def touched(file, text):
    """Write a file with a time that git has not seen, so that it has to read it."""
    file.write_text(text)
    os.utime(file, (1, 1))


@pytest.mark.parametrize(("text", "state"), [("x\n", ""), ("y\n", ", edited")])
def test_no_filter_of_a_checkout_is_run(checkout, text, state):
    touched(checkout / "file", text)
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert git_state(checkout) == commit.stdout.strip() + state
    assert not (checkout / "ran").exists()
    subprocess.run(["git", "-C", checkout, "status", "--porcelain"], capture_output=True, check=True)
    assert (checkout / "ran").exists()  # the filter is one that git would run


def test_a_linked_worktree_is_compared_with_its_own_index(tmp_path):
    git = ["git", "-C", str(tmp_path / "main")]
    (tmp_path / "main").mkdir()
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "main" / "file").write_text("x\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, *COMMIT], check=True)
    subprocess.run([*git, "worktree", "add", "-q", str(tmp_path / "linked")], check=True)
    git_state.cache_clear()
    assert re.fullmatch("[0-9a-f]{40}", git_state(tmp_path / "linked"))
    (tmp_path / "linked" / "file").write_text("longer\n")
    git_state.cache_clear()
    assert git_state(tmp_path / "linked").endswith(", edited")
    assert re.fullmatch("[0-9a-f]{40}", git_state(tmp_path / "main"))


def test_what_git_cannot_compare_is_not_called_unedited(checkout):
    commit = git_state(checkout)
    (checkout / ".git" / "index").write_bytes(b"no index")
    git_state.cache_clear()
    assert git_state(checkout) == f"{commit}, not compared"


def test_nothing_heavy_is_imported_to_tell_where_one_is():
    code = "import sys; from nsbench.store.environment import environment, provenance; provenance(); environment(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "mlflow", "numba", "nsbench_lca"} & set(done.stdout.split())
    assert provenance()["nsbench"].startswith("nsbench ")


def row(simulator, where, value=1.0, costs=True):
    score = ScoreRow("wall_clock", "ms", "min", value, anchored=False, costs=costs)
    return TrialResult(f"d/{simulator}/r0", "d", simulator, 0, "ok", {}, (score,), hardware=where)


def test_costs_of_one_machine_are_not_marked():
    rows = [row("a", "CPU 1"), row("b", "CPU 1")]
    assert "‡" not in plain(results_tables(rows)[0])
    assert not any("‡" in note for note in notes(rows))


def test_costs_of_another_machine_are_marked_and_said():
    rows = [row("a", "CPU 1"), row("b", "GPU"), row("c", "CPU 1"), row("d", "")]
    table = plain(results_tables(rows)[0]).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["a", "b ‡", "c", "d ‡"]
    note = next(note for note in notes(rows) if note.startswith("‡"))
    assert "CPU 1: on GPU; unknown hardware." in note


@pytest.mark.parametrize(
    "rows", [[row("a", "CPU"), row("b", "GPU", costs=False)], [row("a", "CPU"), row("b", "GPU", None)]]
)
def test_only_costs_are_marked(rows):
    assert "‡" not in plain(results_tables(rows)[0])


def test_hardware_in_words():
    assert hardware({"processor": "EPYC"}, "cpu") == "EPYC"
    assert hardware({"processor": "EPYC", "gpus": ["H200", "H200"]}, "cuda") == "H200"
    assert hardware({}, "cuda") == "unknown GPU"


def test_a_row_tells_what_its_costs_were_measured_on(ran):
    rows = load(ran.workspace.results("line"))
    assert {result.hardware for result in rows} == {environment()["processor"]}
    assert TrialResult.from_json(rows[0].to_json()) == rows[0]
    older = json.loads(rows[0].to_json())
    del older["hardware"]
    assert TrialResult.from_json(json.dumps(older)) == replace(rows[0], hardware="")


def test_a_fit_on_another_machine_is_told(ran):
    """The model's manifest, consistently, of a machine with another processor."""
    trial = ran.plan.only([TRIAL]).trials[0]
    store = Store(ran.workspace.store)
    assert cost_hardware(store, trial) == environment()["processor"]
    manifest = store.path(trial.model) / "manifest.json"
    content = read_manifest(manifest.parent)
    content["environment"]["processor"] = "abacus"
    manifest.write_text(json.dumps(content | {"digest": digest_of(content)}))
    assert cost_hardware(store, trial) == f"{environment()['processor']}, fitted on abacus"
    shutil.rmtree(store.path(trial.evidence))
    assert cost_hardware(store, trial) == ""


def test_only_what_is_measured_is_a_cost(ran):
    costs = {score.metric: score.costs for score in load(ran.workspace.results("line"))[0].scores}
    assert costs == {"length": False, "elbo": False, "wall_clock": True}


def test_measured_files_are_the_only_ones_that_may_differ():
    assert {"cost.json", "figure.png"} == MEASURED_FILES | DRAWN_FILES
