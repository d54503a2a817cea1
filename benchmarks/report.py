"""How long `nsbench report` takes, and how large its page is, with made-up results of many trials.

    python benchmarks/report.py [--simulators 250] [--replicates 4] [--format html]

A suite like suites/snow.yaml, with the simulators multiplied, in a workspace of its own: the test data is real, the
rollouts are truths under other parameters, the scores random around each other, with items as their metrics have them.
The report is then made by the command itself, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.outcomes import file as results
from nsbench.registry.registry import installed
from nsbench.stages.prepare import prepare
from nsbench.stages.workshop import workshop_of
from nsbench.store import store
from nsbench.store.key import Key
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.suite.trials import Plan, ScorePlan, Trial
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.hdf5 import write_trajectories

SNOW = Path(__file__).parents[1] / "suites" / "snow.yaml"
BINS, LEADS = 16, 26
NO_ITEMS = {"spread_skill", "rank_histogram", "coverage", "frechet_descriptors"}


@dataclass(frozen=True)
class Measured:
    seconds: float
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulators", type=int, default=250)
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--format", default="html", choices=["html", "md", "latex", "csv"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        suite = make_workspace(Path(folder), chosen.simulators, chosen.replicates)
        found = measure(Path(folder), suite, chosen.format)
    trials = chosen.simulators * chosen.replicates
    print(f"{trials:,} trials, {chosen.format}: {found.seconds:.2f} s, {found.size:,} bytes")


def measure(folder: Path, suite: Path, format_name: str = "html") -> Measured:
    """The best of three calls of the command."""
    to, seconds = folder / f"report.{format_name}", []
    command = [sys.executable, "-m", "nsbench", "report", str(suite), "--workspace", str(folder / "ws")]
    for _ in range(3):
        before = time.perf_counter()
        subprocess.run([*command, "--format", format_name, "--to", str(to)], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - before)
    return Measured(min(seconds), to.stat().st_size)


def make_workspace(folder: Path, simulators: int, replicates: int) -> Path:
    """A workspace with finished trials; returns the suite's file."""
    suite = folder / "many.yaml"
    rates = [round(1e-4 * (k + 1), 6) for k in range(simulators)]
    suite.write_text(
        f"extends: {SNOW}\nname: many\nreplicates: {replicates}\n"
        f"simulators:\n  - {{use: cgne-laptop, params: {{width: 4}}, grid: {{learning_rate: {rates}}}}}\n",
        encoding="utf-8",
    )
    registry = installed()
    plan, workspace = make_plan(read_suite(suite, registry), registry), Workspace(folder / "ws")
    store.sync_tree = store.sync = lambda path: None  # nobody minds losing this
    bench = workshop_of(Session(plan, registry, workspace), lambda event: None)
    truth = prepare(bench, "", plan.trials[0].data, "test")
    rng = np.random.default_rng(0)
    quality = dict(zip(dict.fromkeys(t.simulator for t in plan.trials), rng.gamma(4, 0.25, simulators), strict=True))
    lines = [_finish(bench.store, plan, trial, truth, quality[trial.simulator], rng) for trial in plan.trials]
    path = workspace.results(plan.suite.name)
    path.parent.mkdir(parents=True)
    path.write_text("".join(line.to_json() + "\n" for line in lines), encoding="utf-8")
    assert len(results.load(path)) == len(plan.trials)
    return suite


def _finish(
    kept: store.Store, plan: Plan, trial: Trial, truth: Trajectories, quality: float, rng: np.random.Generator
) -> TrialResult:
    steps = np.linspace(0, plan.suite.budget.transitions, 400)
    curves = [
        (name, float(np.exp(-s / 4e4) + 0.1 * rng.random()), int(s))
        for name in ("train/loss", "val/elbo")
        for s in steps
    ]
    _write(kept, trial.model, {"curves.json": json.dumps(curves)})
    others = truth.select(rng.permutation(len(truth)))
    cost = {"ms_per_trajectory": 5 + 20 * rng.random(), "batch": 64, "ms_per_trajectory_alone": 30.0}
    with kept.writing(trial.evidence) as draft:
        write_trajectories(draft.folder / "rollouts.h5", replace(others, params=truth.params))
        (draft.folder / "cost.json").write_text(json.dumps(cost | {"threads": 2, "device": "cpu"}))
        draft.facts["members"] = 1
    rows = tuple(_score(kept, metric, truth, quality, rng) for metric in trial.scores)
    return TrialResult(trial.id, trial.data.name, trial.simulator, trial.replicate, "ok", trial.keys(), rows, 1.0)


def _score(
    kept: store.Store, metric: ScorePlan, truth: Trajectories, quality: float, rng: np.random.Generator
) -> ScoreRow:
    """A score around the simulator's quality, like those of real metrics in what is stored."""
    items, items_by = _items(metric.name, truth, quality, rng)
    value = float(items.mean()) if items_by else quality + 0.1 * float(rng.normal())
    row = ScoreRow(
        metric.name,
        "sites",
        "min",
        value,
        None if metric.name == "wall_clock" else (value - 0.2, value + 0.2),
        "" if items_by in ("bin", "transition") else "8 members",
        floor=0.3,
        noise_free=1.5,
        climatology=2.0,
        persistence=5.0,
        extras={"members": 8.0, "cells": 64.0},
        rollouts_only=True,
        items_by=items_by,
    )
    with kept.writing(metric.key) as draft:
        (draft.folder / "score.json").write_text(json.dumps(asdict(row)))
        np.save(draft.folder / "items.npy", items, allow_pickle=False)
    return row


def _items(name: str, truth: Trajectories, quality: float, rng: np.random.Generator) -> tuple[np.ndarray, str | None]:
    if name == "wall_clock":
        return np.empty(0), None
    if name in NO_ITEMS:
        return rng.random(9), None
    shape = {"ewd": (BINS,), "elbo": (len(truth.transitions()[0]),)}.get(name, (64, LEADS))
    by = {"ewd": "bin", "elbo": "transition"}.get(name, "ensemble")
    return quality + 0.5 * rng.normal(size=shape), by


def _write(kept: store.Store, key: Key, files: dict[str, str]) -> None:
    with kept.writing(key) as draft:
        for name, text in files.items():
            (draft.folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
