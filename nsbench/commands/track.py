"""`nsbench track`: finished results, logged to MLflow afterwards."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from nsbench.commands.display.screen import say
from nsbench.commands.options import takes_session, tracking_uri, yes
from nsbench.components.events import Event, Notice
from nsbench.outcomes.file import load
from nsbench.outcomes.stored import placed
from nsbench.running.run import new_invocation
from nsbench.suite.session import Session
from nsbench.tracking.consent import agreed_destination
from nsbench.tracking.record import make_tracker


@click.command()
@takes_session
@tracking_uri
@yes
def command(session: Session, tracking_uri: str | None, yes: bool) -> None:
    """Log finished results to MLflow, where that has not been done."""
    sys.exit(track_suite(session, Console(), tracking_uri, yes=yes))


def track_suite(session: Session, console: Console, uri: str | None = None, *, yes: bool = False) -> int:
    """Log the stored results, each once. Returns 1 if something is not there afterwards, else 0.

    uri, yes: where, as `agreed_destination` takes them.
    """
    target = agreed_destination(session, uri, yes=yes)
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

    tracker = make_tracker(session, new_invocation(), hear, target)
    tracker.log(rows)
    say(console, *(faults or [f"{len(rows)} results are in MLflow: {tracker.where}"]))
    return 1 if faults else 0
