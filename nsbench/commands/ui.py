"""`nsbench ui`: MLflow's web interface on the workspace."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from nsbench.commands import options
from nsbench.store.workspace import Workspace
from nsbench.tracking import browser
from nsbench.tracking.server import serve


@click.command()
@click.argument("suite", required=False)
@options.workspace
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; over a network, the token can be read by those who can read the network.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="Port to listen on; 0: any."
)
@click.option("--no-browser", is_flag=True, help="Print the addresses only.")
def command(suite: str | None, workspace: Workspace, host: str, port: int, no_browser: bool) -> None:
    """Show the results in MLflow's web interface; SUITE is a suite's name, all if not given."""
    with ExitStack() as stack:

        def show(address: str) -> None:
            if not no_browser and browser.is_at_hand():
                stack.enter_context(browser.shown(address, workspace.root))

        code = serve(workspace.root, suite, host=host, port=port, say=options.echo, ready=show)
    sys.exit(code)
