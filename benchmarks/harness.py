"""What the harness itself costs, in seconds: everything that is not a component's own work.

    python benchmarks/harness.py trials                    a thousand trials that do nothing
    python benchmarks/harness.py suite suites/snow.yaml    the harness's share of a real suite
    python benchmarks/harness.py growth                    how time and disk grow with a suite

Run it on a machine that does nothing else. Nothing is cached between calls: each has a workspace of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from nsbench.registry.registry import Registry
from nsbench.running.executor import Executor, RunContext
from nsbench.running.inline import Inline
from nsbench.running.local import Local
from nsbench.running.run import run
from nsbench.suite.session import Session, open_session

HERE = Path(__file__).parent

SUITE = """\
name: trivial
datasets: [{{use: still, params: {{cases: {cases}, size: {size}}}}}]
simulators: [{{use: idle, grid: {{k: {simulators}}}}}]
metrics: [one]
replicates: {replicates}
protocol: {{stride: 1, horizon: 2, bounds: null}}
budget: {{transitions: 1}}
"""


def registry(*modules: str) -> Registry:
    """What is installed, and plugins that lie beside this file."""
    sys.path.insert(0, str(HERE))
    return Registry([*entry_points(group="nsbench"), *(EntryPoint(m, m, "nsbench") for m in modules)])


def trivial(folder: Path, simulators: int, replicates: int = 1, cases: int = 4, size: int = 4) -> Session:
    text = SUITE.format(simulators=list(range(simulators)), replicates=replicates, cases=cases, size=size)
    (folder / "suite.yaml").write_text(text)
    return open_session(folder / "suite.yaml", folder / "w", registry=registry("trivial"))


def clocked(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def trials(count: int) -> None:
    """Planning, running and re-running a suite whose trials do nothing."""
    ways: dict[str, Callable[[RunContext], Executor]] = {
        "in this process": Inline,
        "1 job": partial(Local, parallel=1),
        "2 jobs": partial(Local, parallel=2),
    }
    for name, executor in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            before = time.perf_counter()
            session = trivial(Path(folder), count)
            planned = time.perf_counter() - before
            go = partial(run, session, executor=executor)
            ran, cached = clocked(go), clocked(go)
            print(
                f"{name}: {count} trials planned in {planned:.2f} s, run in {ran:.1f} s ({count / ran:.0f} a second, "
                f"{1e3 * ran / count:.1f} ms each), cached {cached:.2f} s"
            )


def growth() -> None:
    """One thing at a time: trajectories, size, simulators, replicates."""
    print("cases size simulators replicates: seconds, MB in the store")
    for cases, size, simulators, replicates in (
        *((cases, 32, 4, 1) for cases in (10, 100, 1000, 10000)),
        *((100, size, 4, 1) for size in (16, 64, 128, 256)),
        *((100, 32, simulators, 1) for simulators in (1, 16, 64)),
        *((100, 32, 4, replicates) for replicates in (4, 16)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            session = trivial(Path(folder), simulators, replicates, cases, size)
            seconds = clocked(partial(run, session))
            stored = sum(p.stat().st_size for p in session.workspace.store.rglob("*") if p.is_file())
            print(f"{cases:6} {size:4} {simulators:4} {replicates:4}: {seconds:8.2f} {stored / 1e6:8.2f}", flush=True)


def suite(path: Path, overrides: list[str], tracked: bool) -> None:
    """The command line's run of a suite, with a clock on its components; then the same again, cached."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "clocks").mkdir()
        info = Path(folder) / "stopwatch-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stopwatch\nVersion: 0\n")
        (info / "entry_points.txt").write_text("[nsbench]\nstopwatch = stopwatch\n")
        path_variable = os.pathsep.join([folder, str(HERE), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"NSBENCH_STOPWATCH": f"{folder}/clocks", "PYTHONPATH": path_variable}
        settings = [part for override in overrides for part in ("--set", override)]
        command = [sys.executable, "-m", "nsbench", "run", str(path), "--workspace", f"{folder}/w", *settings]
        command += [] if tracked else ["--no-tracking"]
        go = partial(subprocess.run, command, env=environment, check=True)
        seconds = clocked(go)
        clocks = [[float(word) for word in p.read_text().split()] for p in Path(folder, "clocks").iterdir()]
        own, building = (sum(column) for column in zip(*clocks, strict=True))
        cached = clocked(go)
        rest = seconds - own - building
        (results,) = Path(folder, "w", "runs").glob("*/results.jsonl")
        count = len(results.read_text().splitlines())
        print(f"{path}: {seconds:.1f} s, of which components {own:.1f} s, their imports {building:.1f} s;")
        whose = "harness and MLflow" if tracked else "harness"
        print(f"{whose} {rest:.1f} s: {100 * rest / seconds:.1f} %, {rest / count:.2f} s a trial")
        print(f"cached: {cached:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("trials").add_argument("--count", type=int, default=1000)
    commands.add_parser("growth")
    of_suite = commands.add_parser("suite")
    of_suite.add_argument("path", type=Path)
    of_suite.add_argument("--no-tracking", action="store_true")
    of_suite.add_argument("--set", action="append", default=[], dest="overrides")
    given = parser.parse_args()
    if given.command == "trials":
        trials(given.count)
    elif given.command == "growth":
        growth()
    else:
        suite(given.path, given.overrides, not given.no_tracking)


if __name__ == "__main__":
    main()
