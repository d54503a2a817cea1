"""`nsbench schema`: the JSON schema with which editors complete and check suites."""

from __future__ import annotations

import json

import click

from nsbench.commands import options
from nsbench.suite.schema import json_schema


@click.command()
@options.plugins
def command() -> None:
    """Print the JSON schema of a suite, made from what is installed."""
    click.echo(json.dumps(json_schema(options.registry()), indent=2))
