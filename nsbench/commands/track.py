"""`nsbench track`: finished results, logged to MLflow afterwards."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from nsbench.commands.options import takes_session
from nsbench.commands.screen import say
from nsbench.components.events import Event, Notice
from nsbench.outcomes.file import load
from nsbench.outcomes.stored import placed
from nsbench.running.run import new_invocation
from nsbench.suite.session import Session
from nsbench.tracking.record import make_tracker


@click.command()
@takes_session
@click.option("--uri", help="MLflow server; the suite's own, MLFLOW_TRACKING_URI or the workspace's if not given.")
def command(session: Session, uri: str | None) -> None:
    """Log finished results to MLflow, where that has not been done."""
    sys.exit(track_suite(session, Console(), uri))


def track_suite(session: Session, console: Console, uri: str | None = None) -> int:
    """Log the stored results, each once. Returns 1 if MLflow could not be reached, else 0."""
    trials = {trial.id for trial in session.plan.trials}
    rows = [
        row
        for row in load(session.results)
        if (placed(session, row) is not None if row.outside else row.trial in trials)
    ]
    faults: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Notice):
            faults.append(event.message)

    tracker = make_tracker(session, new_invocation(), hear, uri)
    tracker.log(rows)
    say(console, *(faults or [f"{len(rows)} results are in MLflow: {tracker.where}"]))
    return 1 if faults else 0
