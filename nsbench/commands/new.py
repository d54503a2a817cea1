"""`nsbench new`: a package of one's own that already runs, from the templates beside this file."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import sys
import uuid
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

import click

from nsbench.commands import options
from nsbench.errors import Refusal
from nsbench.registry.registry import Registry
from nsbench.trajectories.domain import States

NewKind = Literal["simulator", "dataset", "metric"]

_SYSTEMS: dict[States, str] = {"growth": "", "labels": "grains", "fields": "spinodal"}
"""States -> the dataset on which a simulator of them is checked; "" for the one of nsbench.testing."""

_MODULE = re.compile(r"[a-z][a-z0-9_]{0,39}")


class CannotMake(Refusal):
    """The package cannot be written as asked; the message says why."""


@click.command()
@click.argument("kind", type=click.Choice(["simulator", "dataset", "metric"]))
@click.argument("name")
@click.option(
    "--states", type=click.Choice(list(_SYSTEMS)), default="growth", show_default=True, help="Of a simulator."
)
@click.option("--to", "parent", type=click.Path(path_type=Path), default=Path(), help="Where the folder NAME goes.")
def command(kind: NewKind, name: str, states: States, parent: Path) -> None:
    """Write a package of your own that already runs: module, test, suite, README."""
    folder = new_package(kind, name, parent, options.registry(), states)
    options.echo(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}\nnext:")
    for line in next_steps(folder, name, states):
        options.echo(f"  {line}")


def new_package(kind: NewKind, name: str, parent: Path, registry: Registry, states: States = "growth") -> Path:
    """Write a package that provides a component of that name, completely or not at all; returns its folder.

    states: those that a simulator simulates.

    Raises CannotMake if the name cannot be a module's, if it is taken, or if the folder exists.
    """
    _require_free(kind, name, registry)
    folder = parent / name
    if folder.exists():
        raise CannotMake(f"{folder} is there already; nothing is overwritten")
    draft = parent / f".{name}.{uuid.uuid4().hex[:8]}.tmp"
    draft.mkdir(parents=True)
    try:
        for file, text in contents(kind, name, states).items():
            (draft / file).write_text(text, encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def contents(kind: NewKind, name: str, states: States = "growth") -> dict[str, str]:
    """The package's files: name -> text. A template in a folder named after the states goes before one beside it."""
    system = _SYSTEMS[states]
    words = {"on": f', on="{system}"' if system else "", "check": f" --on {system}" if system else ""}
    words |= {"name": name, "Class": _class_name(name), "version": ".".join(version("nsbench").split(".")[:2])}
    folder = files("nsbench.commands") / "templates" / kind
    templates = {path.name: path for path in folder.iterdir() if path.is_file()}
    if system and kind == "simulator":
        templates |= {path.name: path for path in (folder / states).iterdir()}
    return {
        template.name.removesuffix(".in").replace("NAME", name): Template(
            template.read_text(encoding="utf-8")
        ).substitute(words)
        for _, template in sorted(templates.items())
    }


def next_steps(folder: Path, name: str, states: States) -> list[str]:
    """The commands that the package's author runs next."""
    on = f" --on {_SYSTEMS[states]}" if _SYSTEMS[states] else ""
    path = folder if folder.is_absolute() else f"./{folder}"  # without a slash pip would look for it on an index
    return [f"pip install {path}", f"nsbench check {name}{on}", f"nsbench run {folder / 'suite.yaml'}"]


def _require_free(kind: NewKind, name: str, registry: Registry) -> None:
    if not _MODULE.fullmatch(name) or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise CannotMake(
            f"{name!r} cannot be a module's name: lower-case letters, digits and '_', beginning with a letter, "
            "no word of Python"
        )
    if claims := registry.providers(kind, name):
        raise CannotMake(f"there is a {kind} {name!r} already (plugin {claims[0][0].name}, {claims[0][0].origin})")
    spec = importlib.util.find_spec(name)
    if name in sys.stdlib_module_names or (spec is not None and spec.origin is not None):
        place = spec.origin if spec else "Python's own"
        raise CannotMake(f"there is a module {name!r} already ({place}): the package's module would hide it")


def _class_name(name: str) -> str:
    """The name of the component's class: my_model -> MyModel."""
    return "".join(part.capitalize() for part in name.split("_"))
