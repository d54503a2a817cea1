"""What `nsbench new` writes runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from nsbench.commands.new import CannotMake, contents, new_package
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.testing.check import check
from test_cli import nsbench, surroundings

ROOT = Path(__file__).parents[1]
KINDS = ("simulator", "dataset", "metric")
SHORT = {
    "simulator": ["datasets[0].params.train=24", "datasets[0].params.test={parameters: 4, repeats: 2}"],
    "dataset": [],
    "metric": ["datasets[0].params.train=24", "datasets[0].params.test={parameters: 4, repeats: 2}"],
}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Writes a package and returns (its folder, a registry that has its module as a plugin's file)."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)

    def make(kind):
        folder = new_package(kind, f"fresh_{kind}", tmp_path, Registry())
        return folder, Registry(entry_points(group="nsbench"), files=[folder / f"fresh_{kind}.py"])

    yield make
    for name in set(sys.modules) - known:
        if name.startswith("fresh_"):
            del sys.modules[name]


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow if k != KINDS[0] else ()) for k in KINDS])
def test_a_new_package_conforms_and_its_suite_runs(packages, kind, tmp_path, one_thread):
    folder, registry = packages(kind)
    name = folder.name
    assert len((folder / f"{name}.py").read_text().splitlines()) <= 25
    report = check(kind, name, registry=registry)
    assert report.conforms, "\n".join(report.lines())
    short = ["budget.transitions=32", "protocol.horizon=6", *SHORT[kind]]
    plan = make_plan(read_suite(folder / "suite.yaml", registry, short), registry)
    outcome = run(Session(plan, registry, Workspace(tmp_path / "out")))
    assert [row.error for row in outcome.rows] == [""] * len(plan.trials)
    used = {trial.part.name for trial in plan.trials} | {score.part.name for score in plan.trials[0].scores}
    assert name in used | {data.part.name for data in plan.data.values()}


@pytest.mark.slow
@pytest.mark.parametrize("states", ["labels", "fields"])
def test_a_new_simulator_of_other_states_conforms_and_its_suite_runs(tmp_path, monkeypatch, states, one_thread):
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"fresh_{states}"
    folder = new_package("simulator", name, tmp_path, Registry(), states)
    registry = Registry(entry_points(group="nsbench"), files=[folder / f"{name}.py"])
    assert len((folder / f"{name}.py").read_text().splitlines()) <= 25
    report = check("simulator", name, on={"labels": "grains", "fields": "spinodal"}[states], registry=registry)
    assert report.conforms, "\n".join(report.lines())
    plan = make_plan(read_suite(folder / "suite.yaml", registry, ["budget.transitions=32"]), registry)
    outcome = run(Session(plan, registry, Workspace(tmp_path / "out")))
    assert [row.error for row in outcome.rows] == [""] * len(plan.trials)
    del sys.modules[name]


def test_a_new_packages_own_test_passes_and_its_suite_is_planned(packages, tmp_path):
    folder, _ = packages("simulator")
    environment = surroundings(tmp_path / "out") | {"NSBENCH_PLUGINS": str(folder / f"{folder.name}.py")}
    pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
    done = subprocess.run(pytest_run, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    done = nsbench("plan", folder / "suite.yaml", "--plugin", folder / f"{folder.name}.py", workspace=tmp_path / "out")
    assert (done.returncode, done.stdout.splitlines()[-1].split(",")[0]) == (0, "7 trials")


def test_the_command_writes_the_package_and_says_how_to_go_on(tmp_path):
    done = nsbench("new", "metric", "my_score", "--to", tmp_path / "deep" / "down")
    folder = tmp_path / "deep" / "down" / "my_score"
    assert done.stdout.splitlines() == [
        f"{folder}: README.md, my_score.py, pyproject.toml, suite.yaml, test_my_score.py",
        "next:",
        f"  pip install {folder}",
        "  nsbench check my_score",
        f"  nsbench run {folder / 'suite.yaml'}",
    ]
    assert "class MyScore(Metric):" in (folder / "my_score.py").read_text()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["my_score"]
    again = nsbench("new", "metric", "my_score", "--to", tmp_path / "deep" / "down")
    assert (again.returncode, again.stderr) == (2, f"{folder} is there already; nothing is overwritten\n")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("simulator", "My-Model", "cannot be a module's name"),
        ("simulator", "../evil", "cannot be a module's name"),
        ("simulator", "class", "cannot be a module's name"),
        ("simulator", "cgne", "there is a simulator 'cgne' already (plugin cgne, nsbench"),
        ("metric", "ewd", "there is a metric 'ewd' already (plugin metrics, nsbench"),
        ("dataset", "random", "there is a module 'random' already"),
        ("dataset", "nsbench_lca", "there is a module 'nsbench_lca' already"),
    ],
)
def test_a_name_that_is_taken_or_none_is_refused(tmp_path, kind, name, message):
    with pytest.raises(CannotMake) as error:
        new_package(kind, name, tmp_path, Registry())
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_readmes_simulator_is_the_one_that_new_writes():
    readme = (ROOT / "README.md").read_text()
    assert readme.split("```python\n")[1].split("```")[0] == contents("simulator", "frontier")["frontier.py"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_names_its_entry_point_and_its_module(kind):
    import tomllib

    files = contents(kind, "mine")
    assert sorted(files) == ["README.md", "mine.py", "pyproject.toml", "suite.yaml", "test_mine.py"]
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["entry-points"]["nsbench"] == {"mine": "mine"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"] == ["mine.py"]
    assert "$" not in "".join(files.values()).replace("$schema=schema.json", "")
