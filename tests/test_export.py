"""`nsbench export`: what is written reads back, whole or not at all, and a suite runs on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import nsbench
from nsbench.commands import main as cli
from nsbench.suite.seeds import data_seed, generator

ROOT = Path(__file__).parents[1]
SPLITS = ("train", "val", "test")
SMALL = {"size": 16, "train": 5, "val": 2, "test": {"parameters": 2, "repeats": 2}}
SETTINGS = [part for name, value in SMALL.items() for part in ("--set", f"{name}={json.dumps(value)}")]


def command(*arguments):
    return CliRunner().invoke(cli.main, list(map(str, arguments)))


def truth(split):
    return nsbench.load("dataset", "lca", **SMALL).prepare(split, generator(data_seed(0, split, "lca")))


@pytest.mark.parametrize("name", ["npz", "well", "cgne"])
def test_what_is_exported_is_read_back_by_the_lines_that_are_printed(tmp_path, name):
    done = command("export", "lca", "--format", name, "--to", tmp_path / "out", *SETTINGS)
    assert done.exit_code == 0, done.output
    first, *lines = done.stdout.splitlines()
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert first == f"{tmp_path / 'out'}: {len(files)} files, 11 trajectories, {size:,} bytes"
    (use,) = yaml.safe_load("\n".join(lines))["datasets"]
    assert (use["use"], use["as"]) == ("trajectories", "lca")
    dataset = nsbench.load("dataset", "trajectories", **use["params"])
    for split in SPLITS:
        before, after = truth(split), dataset.prepare(split, np.random.default_rng(0))
        np.testing.assert_array_equal(after.arrival, before.arrival)
        np.testing.assert_array_equal(after.lengths, before.lengths)
        np.testing.assert_array_equal(after.params, before.params)
    assert os.listdir(tmp_path) == ["out"]


def test_a_suites_dataset_is_taken_from_its_store(tmp_path):
    suite = tmp_path / "suite.yaml"
    params = {"use": "lca", "as": "tiny", "params": SMALL}
    simulators = {"simulators": [{"use": "lca"}], "metrics": ["ewd"], "budget": {"transitions": 0}}
    suite.write_text(yaml.safe_dump({"name": "tiny", "seed": 4, "datasets": [params]} | simulators))
    workspace = ["--workspace", tmp_path / "space"]
    arguments = ["export", "tiny", "--suite", suite, "--format", "cgne", "--split", "test", *workspace]
    done = command(*arguments, "--to", tmp_path / "one")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1:] == ["a suite reads it back when train, val and test are all there"]
    (manifest,) = (tmp_path / "space" / "store" / "data").glob("*/manifest.json")
    fields = json.loads(manifest.read_text())["fields"]
    assert (fields["split"], fields["seed"]) == ("test", data_seed(4, "test", "lca"))
    reseeded = command(*arguments, "--to", tmp_path / "two", "--set", "seed=5")
    assert reseeded.exit_code == 0, reseeded.output
    crystals = {name: sorted(p.name for p in (tmp_path / name / "test").iterdir()) for name in ("one", "two")}
    assert crystals["one"] != crystals["two"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lcaa", "--format", "npz"], "no dataset 'lcaa'; did you mean 'lca'?"),
        (["lca", "--format", "nzp"], "no format 'nzp'; did you mean 'npz'?"),
        (["lca", "--format", "npz", "--set", "size=3"], "--set size=3: size: must be >= 8, got 3"),
        (["lca", "--format", "npz", "--set", "sizes=16"], "--set sizes=16: sizes: unknown key; did you mean 'size'?"),
        (["snow", "--format", "npz", "--suite", "suites/smoke.yaml"], "has no dataset 'snow'; did you mean 'snow16'?"),
        (["lca", "--format", "npz", "--suite", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["trajectories", "--format", "npz"], "path: is missing"),
        (
            ["trajectories", "--format", "npz", "--set", "path=nowhere", "--set", "format=well"],
            "nowhere: no such file or folder",
        ),
    ],
)
def test_a_call_that_is_wrong_exits_2_with_the_reason(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    done = command("export", *arguments, "--to", tmp_path / "out", "--workspace", tmp_path / "space")
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "kept").write_text("mine")
    for target in (tmp_path, tmp_path / "kept"):
        done = command("export", "lca", "--format", "npz", "--to", target, *SETTINGS)
        assert (done.exit_code, done.stderr) == (2, f"{target}: is there already; nothing is overwritten\n")
    assert (tmp_path / "kept").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert command("export", "lca", "--format", "npz", "--to", tmp_path / "empty", *SETTINGS).exit_code == 0


def test_what_a_format_cannot_hold_is_not_half_written(tmp_path):
    assert command("export", "lca", "--format", "npz", "--to", tmp_path / "one", *SETTINGS).exit_code == 0
    source = ["trajectories", "--set", f"path={tmp_path / 'one'}", "--set", "format=npz"]
    done = command("export", *source, "--format", "cgne", "--to", tmp_path / "two")
    assert done.exit_code == 2
    assert "cgne holds the masses of crystals, which only the lca can grow again, not 'trajectories'" in done.stderr
    assert os.listdir(tmp_path) == ["one"]


def test_crystals_that_do_not_grow_again_as_they_did_are_not_written(tmp_path, monkeypatch):
    from nsbench_lca import regrow

    monkeypatch.setattr(regrow, "growth_seed", lambda *arguments: 1)
    done = command("export", "lca", "--format", "cgne", "--to", tmp_path / "out", *SETTINGS)
    assert done.exit_code == 2
    assert "crystal 0 of train does not grow again as it did" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_suite_runs_on_files_and_again_after_they_moved(tmp_path):
    """From the command line, with the toy plugin installed as a distribution of its own."""
    info = tmp_path / "toy-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[nsbench]\ntoy = toy\n")
    surroundings = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "tests")]),
        "NSBENCH_WORKSPACE": str(tmp_path / "space"),
        "COLUMNS": "200",
    }

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "nsbench", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=surroundings,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    lines = run("export", "line", "--format", "well", "--to", "files").splitlines()[1:]
    suite = tmp_path / "files.yaml"
    rest = (
        "name: files\nsimulators: [{use: coin}, {use: learner}]\nmetrics: [length, elbo, wall_clock]\n"
        "protocol: {stride: 1, horizon: 6, bounds: null}\nbudget: {transitions: 100}\n"
    )
    suite.write_text("\n".join(lines) + "\n" + rest)
    table = run("run", suite, "--no-tracking")
    assert ["line", "coin", "learner"] in [line.split()[:3] for line in table.splitlines()]
    (tmp_path / "files").rename(tmp_path / "moved")
    assert "0 misses" in run("plan", suite, "--set", "datasets[0].params.path=moved")
