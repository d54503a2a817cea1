"""What `nsbench run` shows: progress while it runs, the table when it ends, and where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from nsbench.files import write_whole
from nsbench.plan import Plan
from nsbench.progress import progress_display
from nsbench.registry import Registry
from nsbench.results import TrialResult
from nsbench.run import Outcome, run
from nsbench.table import Table, plain, results_table
from nsbench.workspace import Workspace


def run_suite(plan: Plan, registry: Registry, root: Path, *, tracked: bool, console: Console) -> int:
    """Run a plan in the workspace at `root`, print its table, and return the exit code."""
    workspace = Workspace(root)
    with progress_display(console) as display:
        outcome = run(plan, registry, workspace, [display])
    show(outcome.rows, console)
    write_whole(workspace.run(plan.suite.name) / "report.md", plain(results_table(outcome.rows)) + "\n")
    _closing(plan, workspace, outcome, console)
    return outcome.exit_code


def show(rows: Sequence[TrialResult], console: Console) -> None:
    """Print the table of results: as a grid on a terminal, as Markdown elsewhere."""
    if not rows:
        return
    table = results_table(rows)
    if console.is_terminal:
        console.print(_grid(table))
    else:
        console.print(plain(table), highlight=False, markup=False, soft_wrap=True)
    for note in table.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True, style="dim")


def _grid(table: Table) -> RichTable:
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, heading in enumerate(table.headings):
        grid.add_column(heading, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in table.rows:
        grid.add_row(*row)
    return grid


def _closing(plan: Plan, workspace: Workspace, outcome: Outcome, console: Console) -> None:
    lines = [f"results: {workspace.results(plan.suite.name)}"]
    if outcome.interrupted:
        lines.append("interrupted: the same command goes on from here")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
