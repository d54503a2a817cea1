"""`nsbench info`: a component in words; `nsbench info trial` (nsbench/commands/trial.py): a trial in words."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic.errors import PydanticUserError
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.screen import say
from nsbench.commands.trial import describe_trial, find_suite, result_of
from nsbench.components.component import ComponentSpec
from nsbench.errors import Refusal
from nsbench.names import did_you_mean
from nsbench.registry.loading import params_model
from nsbench.registry.registry import KINDS, BrokenComponent, Kind, Registry
from nsbench.store.source_tree import write_sources
from nsbench.store.workspace import Workspace


@click.command()
@click.argument("name")
@options.plugins
@click.argument("trial", required=False)
@click.option(
    "--suite", type=click.Path(path_type=Path), help="A trial's suite; looked up in the workspace if not given."
)
@options.overrides
@options.workspace
@click.option(
    "--sources",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the code that a trial's numbers were made with to a new or empty folder; 1 if some is missing.",
)
def command(
    name: str,
    trial: str | None,
    suite: Path | None,
    overrides: tuple[str, ...],
    workspace: Workspace,
    sources: Path | None,
) -> None:
    """Say what a component is and takes; `info trial ID`: all that is needed to make a number again."""
    if sources is not None and trial is None:
        raise click.UsageError("--sources goes with `info trial ID`")
    if trial is None:
        say(Console(), *describe_component(name, options.registry()))
        return
    if name != "trial":
        raise click.UsageError(f"info takes a component's name, or the word trial and an identity; got {name!r}")
    if sources is not None:
        sys.exit(_write_sources(workspace, trial, suite, overrides, sources))
    path = suite or find_suite(workspace, trial)
    session = options.session(path, overrides, workspace)
    say(Console(), *describe_trial(session, session.only([trial]).plan.trials[0], path, overrides))


def _write_sources(
    workspace: Workspace, trial: str, suite: Path | None, overrides: tuple[str, ...], folder: Path
) -> int:
    """Write the code behind a trial's row of results to a folder. Returns 1 if some of it is missing, else 0.

    Nothing is planned for it where no suite is named: the code of today may be broken.
    """
    path = find_suite(workspace, trial) if suite is None else suite
    name = path.parent.name if suite is None else options.session(path, overrides, workspace).suite.name
    written, missing = write_sources(workspace.store, result_of(workspace, name, trial).keys, folder)
    say(Console(), *written, *(f"missing: {line}" for line in missing))
    return 1 if missing else 0


def describe_component(name: str, registry: Registry) -> Iterator[str]:
    """Lines of plain text about every component of that name. Raises Refusal if there is none."""
    specs = [(kind, spec) for kind in KINDS for _, spec in registry.providers(kind, name)]
    if not specs:
        names = [component for kind in KINDS for component in registry.names(kind)]
        raise Refusal(f"no component {name!r}{did_you_mean(name, names)}")
    for kind, spec in specs:
        yield from describe(kind, spec, registry)


def describe(kind: Kind, spec: ComponentSpec, registry: Registry) -> Iterator[str]:
    """Lines of plain text about a component: summary, origin, and parameters with type, bounds and default."""
    plugin = next(p for p, s in registry.providers(kind, spec.name) if s is spec)
    yield f"{kind} {spec.name}: {spec.summary}"
    yield f"  class {spec.target}, plugin {plugin.name}, from {plugin.origin}"
    try:
        model = params_model(spec)
    except BrokenComponent as error:
        yield f"  its parameters cannot be read: {error}"
        return
    if model.__doc__:
        yield ""
        yield from (f"  {line}".rstrip() for line in inspect.cleandoc(model.__doc__).splitlines())
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        yield f"  its parameters cannot be described: {error.message}"
        return
    yield ""
    yield "  parameters:" if schema.get("properties") else "  no parameters"
    for name, body in schema.get("properties", {}).items():
        text = f"    {name}: {_type(body)}{_bounds(body)}, default {_default(body)}"
        yield f"{text}: {body['description']}" if "description" in body else text


def _type(body: dict[str, Any]) -> str:
    if "enum" in body:
        return " | ".join(map(repr, body["enum"]))
    if "const" in body:
        return repr(body["const"])
    if "anyOf" in body:
        return " | ".join(_type(option) for option in body["anyOf"])
    if "$ref" in body:
        return str(body["$ref"]).rpartition("/")[2]
    return str(body.get("type", "any"))


def _bounds(body: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    options = [body, *body.get("anyOf", [])]
    return "".join(f" {sign} {option[name]:g}" for option in options for name, sign in signs.items() if name in option)


def _default(body: dict[str, Any]) -> str:
    return repr(body["default"]) if "default" in body else "none: it must be given"
