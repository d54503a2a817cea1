"""`nsbench ui`: MLflow's web interface on the workspace."""

from __future__ import annotations

import sys

import click

from nsbench.commands import options
from nsbench.store.workspace import Workspace
from nsbench.tracking.server import serve


@click.command()
@click.argument("suite", required=False)
@options.workspace
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port to listen on.")
def command(suite: str | None, workspace: Workspace, host: str, port: int) -> None:
    """Show the results in MLflow's web interface; SUITE is a suite's name, all if not given."""
    sys.exit(serve(workspace.root, suite, host=host, port=port, say=options.echo))
