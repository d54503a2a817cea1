"""`nsbench list`: the components that are installed."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.screen import show_list
from nsbench.registry.registry import KINDS, Registry


@click.command()
@click.argument("kind", type=click.Choice(["datasets", "simulators", "metrics", "formats"]), required=False)
@options.plugins
def command(kind: str | None) -> None:
    """List what is installed: datasets, simulators, metrics, formats."""
    rows = list(_rows(options.registry(), kind))
    show_list(Console(), ["kind", "name", "what it is", "plugin"], rows)


def _rows(registry: Registry, kind: str | None) -> Iterator[tuple[str, str, str, str]]:
    for component_kind in KINDS:
        for name in registry.names(component_kind) if kind in (None, f"{component_kind}s") else ():
            claims = registry.providers(component_kind, name)
            plugin, spec = claims[0]
            summary = "claimed by more than one plugin" if len(claims) > 1 else spec.summary
            yield (component_kind, name, summary, plugin.name)
