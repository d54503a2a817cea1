"""`nsbench export-cases`: the start of every test case, for simulators that run elsewhere."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from nsbench.commands.progress import progress_display
from nsbench.registry.registry import Registry
from nsbench.running.run import make_bench
from nsbench.stages.score import prepare
from nsbench.store.files import whole
from nsbench.store.workspace import Workspace
from nsbench.submissions.cases import write_cases
from nsbench.submissions.scoring import CannotScore, choose_dataset
from nsbench.suite.planner import Plan


def export_cases(
    plan: Plan,
    registry: Registry,
    root: Path,
    *,
    dataset: str | None,
    to: Path | None,
    truth: Path | None,
    console: Console,
) -> None:
    """Write the cases, and the truth if it is asked for, to new files. Raises CannotScore."""
    from nsbench.trajectories.hdf5 import write_trajectories

    data = choose_dataset(plan, dataset)
    path = to or Path(f"{data.name}-cases.h5")
    for wanted in (path, truth):
        if wanted is not None and wanted.exists():
            raise CannotScore(f"{wanted}: is there already; nothing is overwritten")
    with progress_display(console) as display:
        test = prepare(make_bench(plan, registry, Workspace(root), display), data.name, data, "test")
    protocol = plan.suite.protocol
    write_cases(path, test, protocol, suite=plan.suite.name, dataset=data.name, key=data.keys["test"].digest)
    lines = [
        f"{path}: {len(test):,} cases of {data.name}, {protocol.members} rollouts of each wanted, "
        f"at most {protocol.horizon} frames after the first"
    ]
    if truth is not None:
        with whole(truth) as draft:
            write_trajectories(draft, test)
        lines.append(f"{truth}: what really happened, to judge transitions by; no simulator may see it")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
