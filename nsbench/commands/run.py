"""`nsbench run`: a run of a suite, with its progress, the matrix at its end, and the places of its results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from nsbench.commands.display.progress import progress_display
from nsbench.commands.display.results import show_session
from nsbench.commands.display.screen import say
from nsbench.commands.fresh import make_again
from nsbench.commands.options import long, no_tracking, takes_session, tracking_uri, yes
from nsbench.errors import Refusal
from nsbench.outcomes.stored import submissions_of
from nsbench.report.tables import plain, results_tables
from nsbench.running.executor import Executor, RunContext
from nsbench.running.inline import Inline
from nsbench.running.local import Local
from nsbench.running.run import Listener, new_invocation, run
from nsbench.running.side_by_side import side_by_side, unfinished
from nsbench.store.files import write_whole
from nsbench.store.store import Store
from nsbench.store.workspace import borrowed, refusal
from nsbench.suite.session import Session
from nsbench.tracking.consent import agreed_destination
from nsbench.tracking.record import make_tracker


def _jobs(ctx: click.Context, option: click.Parameter, jobs: str) -> int | None:
    """A number of trials at once, from 1 on; None for "auto"."""
    if jobs == "auto":
        return None
    if not (jobs.isdecimal() and int(jobs) > 0):
        raise click.BadParameter(f"must be auto, or a number from 1 on, got {jobs!r}")
    return int(jobs)


@click.command()
@takes_session
@no_tracking
@tracking_uri
@yes
@click.option(
    "--jobs",
    "parallel",
    metavar="auto|N",
    default="auto",
    callback=_jobs,
    show_default=True,
    help="Trials at once; they share the cores. auto: as many as there are cores, memory and fits for; one on a GPU.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "inline", "ray"]),
    default="local",
    show_default=True,
    help="local: worker processes, with limits; inline: this process, for debugging; ray: a cluster.",
)
@click.option("--address", help="Address of a Ray cluster; without it one is started here, for this run alone.")
@click.option(
    "--node-folder",
    metavar="PATH",
    help="Where nodes of a Ray cluster that do not see the workspace keep what they need; else their temporary folder.",
)
@click.option("--only", multiple=True, metavar="TRIAL", help="This trial only, e.g. snow32/cgne-laptop/r0. Repeatable.")
@long
@click.option("--fresh", is_flag=True, help="With --only: make the trial again beside the store, and compare.")
def command(
    session: Session,
    no_tracking: bool,
    tracking_uri: str | None,
    yes: bool,
    parallel: int | None,
    executor: str,
    address: str | None,
    node_folder: str | None,
    only: tuple[str, ...],
    long: bool,
    fresh: bool,
) -> None:
    """Run a suite; run it again and it goes on where it was."""
    if fresh and not only:
        raise click.UsageError("--fresh needs --only TRIAL")
    if executor != "ray" and (address is not None or node_folder is not None):
        raise click.UsageError("--address and --node-folder need --executor ray")
    if node_folder is not None and not Path(node_folder).is_absolute():
        raise click.UsageError("--node-folder is a path on the nodes, which begins with /")
    whole = session
    if only:
        session = session.only(only)
    if fresh:
        sys.exit(max(make_again(session, trial, Console()) for trial in session.plan.trials))
    make_executor = choose_executor(executor, partial(local, whole, session, parallel), address, node_folder)
    tracking: dict[str, Any] = {"tracked": not no_tracking, "uri": tracking_uri, "yes": yes}
    sys.exit(run_suite(session, Console(), **tracking, executor=make_executor, only_part=bool(only), long=long))


def run_suite(
    session: Session,
    console: Console,
    *,
    tracked: bool,
    uri: str | None = None,
    yes: bool = False,
    executor: Callable[[RunContext], Executor] = Inline,
    only_part: bool = False,
    long: bool = False,
) -> int:
    """Run a session's plan, print its results, and return the exit code.

    tracked: whether MLflow gets the results. uri, yes: where, as `agreed_destination` takes them.
    only_part: the plan is a part of the suite; the report of the whole suite stays as it is.
    long: all numbers are printed, not the compact matrix.
    """
    workspace, suite = session.workspace, session.suite
    if reason := refusal(workspace, suite.name):
        return _show_stored(session, reason, console, long=long)
    wanted = tracked and (suite.tracking.enabled or uri is not None)
    target = agreed_destination(session, uri, yes=yes) if wanted else None
    submissions, misplaced = ([], []) if only_part else submissions_of(session)
    tracker, invocation = None, new_invocation()
    with progress_display(console) as display:
        listeners: list[Listener] = [display]
        if target is not None:
            tracker = make_tracker(session, invocation, display, target)
            listeners.append(tracker)
        outcome = run(session, listeners, invocation, executor, submissions)
    show_session(console, session, outcome.rows, long=long)
    if not only_part:
        report = "\n\n".join(map(plain, results_tables(outcome.rows, suite.primary_metric))) + "\n"
        write_whole(workspace.run(suite.name) / "report.md", report)
    say(console, *misplaced, f"results: {session.results}")
    if tracker is not None:
        say(console, f"compare in MLflow: {tracker.where}")
    if outcome.interrupted:
        say(console, "interrupted: the same command goes on from here")
    return outcome.exit_code


def local(whole: Session, session: Session, parallel: int | None, context: RunContext) -> Executor:
    """The local executor of a session, which may be a part of the whole one. parallel: trials at once; None for auto.

    No more workers are started than trials lack something; the threads of each are what they are for the whole suite.
    """
    if parallel is not None:
        return Local(context, parallel)
    there = side_by_side(whole.plan)
    missing = max(1, unfinished(session.plan, Store(session.workspace.store)))
    return Local(context, min(there.jobs, missing), threads=there.threads)


def choose_executor(
    name: str, local: Callable[[RunContext], Executor], address: str | None, node_folder: str | None = None
) -> Callable[[RunContext], Executor]:
    """A function that makes the executor of that name; `local` makes the local one. Raises Refusal if it is not
    installed."""
    if name == "inline":
        return Inline
    if name == "local":
        return local
    if find_spec("ray") is None:
        raise Refusal("--executor ray needs Ray: pip install 'nsbench[ray]'")
    from nsbench.running.ray import RayCluster

    return partial(RayCluster, address=address, node_folder=node_folder or "")


def _show_stored(session: Session, reason: str, console: Console, *, long: bool) -> int:
    """Print the results of a workspace that cannot be written, and the trials that it lacks; returns the exit code."""
    root = session.workspace.root
    say(console, f"{root} cannot be written ({reason}): its results are shown; none are added, kept or logged")
    with borrowed(session.workspace) as scratch:
        there = Session(session.plan, session.registry, scratch)
        with progress_display(console) as display:
            outcome = run(there, [display])
        show_session(console, there, outcome.rows, long=long)
    return outcome.exit_code
