"""`nsbench prepare`: a suite's data, made ahead."""

from __future__ import annotations

import click
from rich.console import Console

from nsbench.commands.display.progress import progress_display
from nsbench.commands.display.screen import say
from nsbench.commands.options import takes_session
from nsbench.running.run import prepare_all
from nsbench.suite.session import Session


@click.command()
@takes_session
def command(session: Session) -> None:
    """Make a suite's data, and nothing else."""
    console = Console()
    with progress_display(console) as display:
        count = prepare_all(session, [display])
    say(console, f"{count:,} trajectories are in {session.workspace.store / 'data'}")
