"""`nsbench score`: rollouts made elsewhere take their place in a suite's table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from nsbench.commands.progress import progress_display
from nsbench.commands.run import make_tracker, show, where
from nsbench.components.events import RunFinished, TrialFinished
from nsbench.registry.registry import Registry
from nsbench.results.file import ResultsFile
from nsbench.running.run import make_bench, new_invocation
from nsbench.stages.anchors import AnchorScores
from nsbench.stages.score import prepare
from nsbench.store.workspace import Workspace
from nsbench.submissions.reading import read_rollouts
from nsbench.submissions.scoring import check_name, choose_dataset, finished, keep, outside, rescored, score_outside
from nsbench.suite.planner import Plan


@dataclass(frozen=True)
class Entry:
    """Where rollouts stand in a suite. dataset: None for the only one; replicate: which fit they are of."""

    name: str
    dataset: str | None = None
    replicate: int = 0


def score_file(
    plan: Plan,
    registry: Registry,
    root: Path,
    path: Path,
    entry: Entry,
    *,
    tracked: bool,
    console: Console,
) -> int:
    """Score a file of rollouts, print the suite's table, and return the exit code.

    Raises CannotScore, and UnreadableData for a file that is not what it should be; nothing is kept then.
    """
    workspace, suite = Workspace(root), plan.suite.name
    data = choose_dataset(plan, entry.dataset)
    check_name(plan, entry.name, entry.replicate)
    tracker = None
    with progress_display(console) as display:
        bench = make_bench(plan, registry, workspace, display)
        test = prepare(bench, data.name, data, "test")
        submission = read_rollouts(path, test, plan.suite.protocol)
        which = outside(plan, data, entry.name, entry.replicate, submission.digest)
        keep(bench, which, submission)
        row = score_outside(bench, which, AnchorScores(plan, bench), workspace)
        ResultsFile(workspace.results(suite)).add(row)
        others, notes = rescored(plan, bench, workspace)
        rows = [*finished(plan, workspace), *others]
        if tracked and plan.suite.tracking.enabled:
            tracker = make_tracker(plan, registry, workspace, new_invocation(), display)
            for event in (*map(TrialFinished, rows), RunFinished(suite, "", row.seconds, False)):
                tracker(event)
    show(rows, console)
    closing = [*notes, f"results: {workspace.results(suite)}"]
    if tracker is not None:
        closing.append(f"compare in MLflow: {where(tracker, workspace)}")
    for line in closing:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0 if row.status == "ok" else 1
