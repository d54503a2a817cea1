"""`nsbench export`: a dataset's splits, written in a format that other programs read."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from nsbench.commands import options
from nsbench.components.dataset import SPLITS, Dataset, Split, UnreadableData
from nsbench.components.events import Emit, Event, Notice
from nsbench.components.format import FormatSpec, Origin, Writer
from nsbench.errors import Refusal
from nsbench.names import did_you_mean
from nsbench.registry.loading import build, import_object, params_model
from nsbench.registry.registry import Registry
from nsbench.stages.prepare import recorded
from nsbench.stages.workshop import workshop_of
from nsbench.store.files import sync, sync_tree
from nsbench.store.workspace import Workspace
from nsbench.suite.faults import explained
from nsbench.suite.reading import override
from nsbench.suite.seeds import data_seed, generator
from nsbench.suite.session import Session
from nsbench.suite.yaml import Document, SuiteError, parse_value
from nsbench.trajectories.base import Trajectories


class CannotExport(Refusal):
    """The data cannot be exported as asked; the message says why."""


@click.command()
@click.argument("dataset")
@click.option("--format", "format_name", required=True, metavar="FORMAT", help="See `nsbench list formats`.")
@click.option("--to", "directory", required=True, type=click.Path(path_type=Path), help="A new or empty directory.")
@click.option("--suite", type=click.Path(path_type=Path), help="Take DATASET of this suite, from the store.")
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="All if not given.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="A parameter, or an entry of the suite.")
@options.plugins
@options.workspace
def command(
    dataset: str,
    format_name: str,
    directory: Path,
    suite: Path | None,
    splits: tuple[Split, ...],
    overrides: tuple[str, ...],
    workspace: Workspace,
) -> None:
    """Write a dataset in a format that other programs read."""
    chosen_splits = tuple(split for split in SPLITS if split in (splits or SPLITS))
    if suite is None:
        registry = options.registry()
        writer, parts = find_writer(registry, format_name), component_parts(registry, dataset, overrides, chosen_splits)
    else:
        session = options.session(suite, overrides, workspace)
        writer = find_writer(session.registry, format_name)
        parts = suite_parts(session, dataset, chosen_splits, _say_notice)
    exported = write_parts(parts, writer, directory.absolute())
    options.echo(
        f"{directory}: {exported.files:,} files, {exported.trajectories:,} trajectories, {exported.size:,} bytes"
    )
    for line in reading_lines(dataset, format_name, directory, exported, chosen_splits):
        options.echo(line)


def _say_notice(event: Event) -> None:
    if isinstance(event, Notice):
        options.echo(event.message, err=True)


@dataclass(frozen=True, eq=False)
class SplitData:
    """A split to be written, and its origin."""

    split: Split
    recorded: Trajectories
    origin: Origin


@dataclass(frozen=True)
class Exported:
    """The size of an export. options: the format's parameters with which it can be read back."""

    files: int
    trajectories: int
    size: int
    options: dict[str, Any]


def find_writer(registry: Registry, name: str) -> Writer:
    """The function that writes a format. Raises UnknownComponent, BrokenComponent or CannotExport."""
    spec = registry.spec("format", name)
    assert isinstance(spec, FormatSpec)
    if spec.writer is None:
        raise CannotExport(f"format {name!r} is only read, nothing writes it")
    writer: Writer = import_object(spec.writer)
    return writer


def component_parts(
    registry: Registry, name: str, settings: Iterable[str], splits: Iterable[Split]
) -> Iterable[SplitData]:
    """The splits of a dataset, found by its component's name and made with the seeds of a suite whose seed is 0.

    settings: "size=16", parameters other than the defaults. Raises UnknownComponent or SuiteError.
    """
    spec, document = registry.spec("dataset", name), Document({})
    for text in settings:
        document = override(text, document)
    model = params_model(spec)
    try:
        params = model.model_validate(document.data).model_dump(mode="json")
    except ValidationError as error:
        raise SuiteError(explained(error, model, document, ())) from error
    return _made_splits(build("dataset", spec, params), name, splits)


def _made_splits(dataset: Any, name: str, splits: Iterable[Split]) -> Iterable[SplitData]:
    assert isinstance(dataset, Dataset)
    for split in splits:
        seed = data_seed(0, split, name)
        yield SplitData(split, dataset.prepare(split, generator(seed)), Origin(name, dataset, generator(seed)))


def suite_parts(session: Session, name: str, splits: Iterable[Split], emit: Emit) -> Iterable[SplitData]:
    """The splits of a suite's dataset, read from the store, or made if they are missing. Raises CannotExport."""
    plan = session.plan
    if name not in plan.data:
        raise CannotExport(f"the suite has no dataset {name!r}{did_you_mean(name, plan.data)}")
    data, workshop = plan.data[name], workshop_of(session, emit)
    return (
        SplitData(
            split,
            recorded(workshop, name, data, split),
            Origin(name, workshop.component(data.part), generator(data.seeds[split])),
        )
        for split in splits
    )


def write_parts(parts: Iterable[SplitData], writer: Writer, directory: Path) -> Exported:
    """Write all parts to a new or empty directory, completely or not at all. Raises CannotExport."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CannotExport(f"{directory}: is there already; nothing is overwritten")
    draft = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.tmp")
    draft.mkdir(parents=True)
    try:
        params: dict[str, Any] = {}
        count = 0
        for part in parts:
            params |= writer(draft, part.split, part.recorded, part.origin)
            count += len(part.recorded)
        sizes = [p.stat().st_size for p in draft.rglob("*") if p.is_file()]
        sync_tree(draft)
        draft.rename(directory)
    except UnreadableData as error:
        shutil.rmtree(draft)
        raise CannotExport(str(error)) from error
    except ValueError as error:
        shutil.rmtree(draft)
        raise CannotExport(f"nothing was written: {error}") from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(directory.parent)
    return Exported(len(sizes), count, sum(sizes), params)


def _in_yaml(text: str) -> str:
    """A text as YAML, within braces: in quotes where it would be read as something else."""
    try:
        plain = re.fullmatch(r"[\w./-]+", text) is not None and parse_value(text) == text
    except SuiteError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)


def reading_lines(
    name: str, format_name: str, directory: Path, exported: Exported, splits: Iterable[Split]
) -> list[str]:
    """The YAML lines with which a suite reads the files back."""
    if set(splits) != set(SPLITS):
        return ["a suite reads it back when train, val and test are all there"]
    options_text = ", ".join(f"{key}: {json.dumps(value)}" for key, value in exported.options.items())
    path = _in_yaml(str(directory))
    params = f"path: {path}, format: {format_name}" + (f", options: {{{options_text}}}" if options_text else "")
    return ["datasets:", f"  - {{use: trajectories, as: {name}, params: {{{params}}}}}"]
