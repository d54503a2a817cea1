"""`nsbench check`: a test of a component against its contract, finding by finding."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from nsbench.commands import options
from nsbench.names import did_you_mean
from nsbench.registry.registry import KINDS, Kind, Registry
from nsbench.suite.reading import override
from nsbench.suite.yaml import Document
from nsbench.testing.check import CannotCheck, check


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["dataset", "simulator", "metric", "format"]),
    help="The kind of component, where several kinds have a NAME.",
)
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="A parameter of NAME.")
@click.option("--on", metavar="DATASET", help="Check a simulator or format on that dataset.")
@click.option("--on-set", "on_settings", multiple=True, metavar="PATH=VALUE", help="A parameter of that dataset.")
@click.option("--transitions", default=1024, show_default=True, help="Budget of a short fit.")
@options.plugins
def command(
    name: str,
    kind: Kind | None,
    settings: tuple[str, ...],
    on: str | None,
    on_settings: tuple[str, ...],
    transitions: int,
) -> None:
    """Check that a component keeps its contract; each finding says what is wrong, where, and what would be right."""
    sys.exit(check_component(options.registry(), name, kind, settings, on, on_settings, transitions, options.echo))


def check_component(
    registry: Registry,
    name: str,
    kind: Kind | None,
    settings: Iterable[str],
    on: str | None,
    on_settings: Iterable[str],
    transitions: int,
    tell: Callable[[str], None],
) -> int:
    """Check every component of that name, and call `tell` with each finding. Returns 0 if all conform, else 1.

    settings, on_settings: "width=4", parameters of the component and of the dataset that it is checked on.
    Raises CannotCheck or SuiteError.
    """
    kinds = [k for k in KINDS if kind in (None, k) and registry.providers(k, name)]
    if not kinds:
        names = [n for k in KINDS if kind in (None, k) for n in registry.names(k)]
        broken = [f"{p.name} ({p.error})" for p in registry.plugins if p.error]
        hint = f"; plugins with errors: {', '.join(broken)}" if broken else ""
        raise CannotCheck(f"no {kind or 'component'} {name!r}{did_you_mean(name, names)}{hint}")
    params, on_params = parameters(settings), parameters(on_settings)
    conform = True
    for component_kind in kinds:
        report = check(
            component_kind,
            name,
            params=params,
            on=on,
            on_params=on_params,
            transitions=transitions,
            registry=registry,
            tell=tell,
        )
        conform = conform and report.conforms
    return 0 if conform else 1


def parameters(settings: Iterable[str]) -> dict[str, Any]:
    """Parameters from "path=value" texts. Raises SuiteError."""
    document = Document({})
    for text in settings:
        document = override(text, document)
    data: dict[str, Any] = document.data
    return data
