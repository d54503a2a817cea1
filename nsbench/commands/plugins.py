"""`nsbench plugins`: the table of plugins, with their components and faults."""

from __future__ import annotations

import click
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.screen import show_list


@click.command()
@options.plugins
def command() -> None:
    """List the plugins, what each provides, and what is wrong with it."""
    rows = [
        (
            plugin.name,
            plugin.origin,
            ", ".join(f"{kind} {spec.name}" for kind, specs in plugin.specs.items() for spec in specs) or "–",
            plugin.error or "ok",
        )
        for plugin in options.registry().plugins
    ]
    show_list(Console(), ["plugin", "from", "provides", "state"], rows)
