"""`nsbench score`: rollouts made elsewhere take their place in a suite's table."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.progress import progress_display
from nsbench.commands.display.results import show_session
from nsbench.commands.display.screen import say
from nsbench.outcomes.stored import StoredResults, submissions_of
from nsbench.running.run import new_invocation
from nsbench.store.workspace import Workspace
from nsbench.submissions.scoring import Entry, submit
from nsbench.suite.session import Session
from nsbench.tracking.consent import agreed_destination
from nsbench.tracking.destination import Destination
from nsbench.tracking.record import make_tracker


@click.command()
@click.argument("rollouts", type=click.Path(path_type=Path))
@click.option("--suite", required=True, type=click.Path(path_type=Path), help="The suite whose test cases these are.")
@click.option("--as", "name", required=True, metavar="NAME", help="The name of the rollouts' simulator in tables.")
@options.dataset
@click.option(
    "--replicate", default=0, show_default=True, help="The number of the simulator's fit that made these rollouts."
)
@options.overrides
@options.plugins
@options.workspace
@options.long
@options.no_tracking
@options.tracking_uri
@options.yes
def command(
    rollouts: Path,
    suite: Path,
    name: str,
    dataset: str | None,
    replicate: int,
    overrides: tuple[str, ...],
    workspace: Workspace,
    long: bool,
    no_tracking: bool,
    tracking_uri: str | None,
    yes: bool,
) -> None:
    """Score ROLLOUTS that were made elsewhere, beside a suite's simulators."""
    session = options.session(suite, overrides, workspace)
    entry = Entry(name, dataset, replicate)
    wanted = not no_tracking and (session.suite.tracking.enabled or tracking_uri is not None)
    target = agreed_destination(session, tracking_uri, yes=yes) if wanted else None
    sys.exit(score_file(session, rollouts, entry, Console(), target, long=long))


def score_file(
    session: Session, path: Path, entry: Entry, console: Console, target: Destination | None, *, long: bool = False
) -> int:
    """Score a file of rollouts, print the suite's results, and return the exit code.

    target: where the results are logged; nowhere if None. long: all numbers are printed. Raises CannotScore, or
    UnreadableData for a file without valid rollouts; nothing is kept then.
    """
    tracker = None
    with progress_display(console) as display:
        submission, outcome = submit(session, path, entry, [display])
        _, misplaced = submissions_of(session)
        rows = [*StoredResults(session).rows.values(), *outcome.rows]
        if target is not None:
            tracker = make_tracker(session, new_invocation(), display, target)
            tracker.log(rows)
    show_session(console, session, rows, long=long)
    say(console, *misplaced, f"results: {session.results}")
    if tracker is not None:
        say(console, f"compare in MLflow: {tracker.where}")
    return next((0 for row in outcome.rows if row.trial == submission.id and row.status == "ok"), 1)
