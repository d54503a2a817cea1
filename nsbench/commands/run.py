"""What `nsbench run` shows: progress while it runs, the table when it ends, and where to look next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from nsbench.commands.progress import progress_display
from nsbench.components.events import Event, Notice, RunFinished, TrialFinished
from nsbench.registry.registry import Registry
from nsbench.report.tables import Table, notes, plain, results_tables
from nsbench.results.rows import TrialResult, load
from nsbench.running.executor import Executor, Setting
from nsbench.running.inline import Inline
from nsbench.running.local import Local
from nsbench.running.run import Listener, make_bench, new_invocation, run
from nsbench.store.files import write_whole
from nsbench.store.readonly import borrowed, refusal
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace
from nsbench.submissions.scoring import placed, rescored
from nsbench.suite.planner import Plan
from nsbench.tracking.record import outside_record, trial_record
from nsbench.tracking.tracker import Tracker


def run_suite(
    plan: Plan,
    registry: Registry,
    root: Path,
    *,
    tracked: bool,
    console: Console,
    executor: Callable[[Setting], Executor] = Inline,
    only_part: bool = False,
) -> int:
    """Run a plan in the workspace at `root`, print its table, and return the exit code.

    only_part: the plan is a part of the suite, and the report of the whole stays.
    """
    workspace, invocation = Workspace(root), new_invocation()
    if reason := refusal(workspace, plan.suite.name):
        return _show_stored(plan, registry, workspace, reason, console)
    tracker = None
    with progress_display(console) as display, Store(workspace.store).in_use():
        listeners: list[Listener] = [display]
        if tracked and plan.suite.tracking.enabled:
            tracker = make_tracker(plan, registry, workspace, invocation, display)
            listeners.append(tracker)
        outcome = run(plan, registry, workspace, listeners, invocation, executor)
        misplaced: list[str] = []
        if not outcome.interrupted and not only_part:
            beside, misplaced = rescored(plan, make_bench(plan, registry, workspace, display), workspace)
            outcome.rows.extend(beside)
            if tracker is not None and beside:
                for event in (*map(TrialFinished, beside), RunFinished(plan.suite.name, invocation, 0.0, False)):
                    tracker(event)
    show(outcome.rows, console)
    if not only_part:
        report = "\n\n".join(map(plain, results_tables(outcome.rows))) + "\n"
        write_whole(workspace.run(plan.suite.name) / "report.md", report)
    closing = [*misplaced, f"results: {workspace.results(plan.suite.name)}"]
    if tracker is not None:
        closing.append(f"compare in MLflow: {where(tracker, workspace)}")
    if outcome.interrupted:
        closing.append("interrupted: the same command goes on from here")
    for line in closing:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return outcome.exit_code


def choose_executor(name: str, jobs: int, address: str | None) -> Callable[[Setting], Executor]:
    """The executor of that name. Raises NoExecutor."""
    if name == "inline":
        return Inline
    if name == "local":
        return partial(Local, jobs=jobs)
    if find_spec("ray") is None:
        raise NoExecutor("--executor ray needs Ray: pip install 'nsbench[ray]'")
    from nsbench.running.ray import RayCluster

    return partial(RayCluster, address=address)


class NoExecutor(Exception):
    """An executor that cannot be had here."""


def _show_stored(plan: Plan, registry: Registry, workspace: Workspace, reason: str, console: Console) -> int:
    """The table of what a workspace that may only be read holds; what it lacks is named, trial by trial."""
    text = f"{workspace.root} cannot be written ({reason}): its results are shown; none are added, kept or logged"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    with borrowed(workspace) as scratch, progress_display(console) as display:
        outcome = run(plan, registry, scratch, [display])
    show(outcome.rows, console)
    return outcome.exit_code


def track_suite(plan: Plan, registry: Registry, root: Path, *, uri: str | None, console: Console) -> int:
    """Log the results that are there, once; returns 1 if MLflow could not be reached."""
    workspace, trials = Workspace(root), {trial.id for trial in plan.trials}
    known = load(workspace.results(plan.suite.name))
    rows = [row for row in known if (placed(plan, row) is not None if row.outside else row.trial in trials)]
    faults: list[Event] = []
    tracker = make_tracker(plan, registry, workspace, new_invocation(), faults.append, uri)
    for event in [*map(TrialFinished, rows), RunFinished(plan.suite.name, "", 0.0, False)]:
        tracker(event)
    for fault in faults:
        assert isinstance(fault, Notice)
        console.print(fault.message, highlight=False, markup=False, soft_wrap=True)
    if not faults:
        text = f"{len(rows)} results are in MLflow: {where(tracker, workspace)}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    return 1 if faults else 0


def make_tracker(
    plan: Plan,
    registry: Registry,
    workspace: Workspace,
    invocation: str,
    display: Listener,
    uri: str | None = None,
) -> Tracker:
    """The mirror to MLflow. What it reads from the store is not the run's news."""
    suite = plan.suite
    bench = make_bench(plan, registry, workspace, emit=lambda event: None)
    return Tracker(
        workspace.root,
        suite.name,
        lambda result: (outside_record if result.outside else trial_record)(bench, plan, result, invocation),
        ledger=workspace.run(suite.name) / "tracked.json",
        uri=uri or suite.tracking.uri,
        notify=lambda message: display(Notice(message)),
    )


def where(tracker: Tracker, workspace: Workspace) -> str:
    """Where to look at what was tracked."""
    if tracker.destination.database is None:
        return tracker.destination.label
    return f"nsbench ui --workspace {workspace.root}"


def show(rows: Sequence[TrialResult], console: Console) -> None:
    """Print the tables of results: on a terminal as grids that fit its width, as Markdown elsewhere."""
    if not rows:
        return
    for table in results_tables(rows):
        show_table(table, console)
    for note in notes(rows):
        console.print(note, highlight=False, markup=False, soft_wrap=not console.is_terminal, style="dim")


def show_table(table: Table, console: Console) -> None:
    """Print a table as a grid where the terminal has room, in parts where it has not; elsewhere as Markdown."""
    if console.is_terminal:
        whole = _grid(table)
        natural = console.measure(whole, options=console.options.update(width=10_000))
        fits = natural.maximum <= console.width
        for grid in [whole] if fits else [_grid(table.part(group)) for group in table.groups[1:]]:
            console.print(grid)
    else:
        console.print(plain(table) + "\n", highlight=False, markup=False, soft_wrap=True)


def _grid(table: Table) -> RichTable:
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, heading in enumerate(table.headings):
        grid.add_column(heading, justify="left" if i == 0 else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*row)
    return grid
