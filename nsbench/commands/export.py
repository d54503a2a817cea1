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

from pydantic import ValidationError

from nsbench.components.component import Dataset, Split, UnreadableData
from nsbench.components.events import Emit
from nsbench.components.format import FormatSpec, Origin, Writer
from nsbench.registry.registry import Registry, build, did_you_mean, import_object, params_model
from nsbench.running.run import make_bench
from nsbench.stages.score import recorded
from nsbench.store.files import sync, sync_tree
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import SPLITS, Plan, data_seed
from nsbench.suite.reading import explained, override
from nsbench.suite.seeds import generator
from nsbench.suite.yaml import Document, SuiteError
from nsbench.trajectories.growth import Trajectories


class CannotExport(Exception):
    """What was asked for cannot be written, in words."""


@dataclass(frozen=True, eq=False)
class SplitData:
    """A split to be written, and where it comes from."""

    split: Split
    recorded: Trajectories
    origin: Origin


@dataclass(frozen=True)
class Exported:
    """What was written. options: the format's parameters that reading it back needs."""

    files: int
    trajectories: int
    size: int
    options: dict[str, Any]


def find_writer(registry: Registry, name: str) -> Writer:
    """What writes a format. Raises UnknownComponent, BrokenComponent or CannotExport."""
    spec = registry.spec("format", name)
    assert isinstance(spec, FormatSpec)
    if spec.writer is None:
        raise CannotExport(f"format {name!r} is only read, nothing writes it")
    writer: Writer = import_object(spec.writer)
    return writer


def component_parts(
    registry: Registry, name: str, settings: Iterable[str], splits: Iterable[Split]
) -> Iterable[SplitData]:
    """Splits of a dataset by its component's name, made with the seeds of a suite whose seed is 0.

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
    return _made(build("dataset", spec, params), name, splits)


def _made(dataset: Any, name: str, splits: Iterable[Split]) -> Iterable[SplitData]:
    assert isinstance(dataset, Dataset)
    for split in splits:
        seed = data_seed(0, split, name)
        yield SplitData(split, dataset.prepare(split, generator(seed)), Origin(name, dataset, generator(seed)))


def suite_parts(
    plan: Plan, registry: Registry, workspace: Workspace, name: str, splits: Iterable[Split], emit: Emit
) -> Iterable[SplitData]:
    """Splits of a suite's dataset, from the store, made where they are missing. Raises CannotExport."""
    if name not in plan.data:
        raise CannotExport(f"the suite has no dataset {name!r}{did_you_mean(name, plan.data)}")
    data, bench = plan.data[name], make_bench(plan, registry, workspace, emit)
    return (
        SplitData(
            split,
            recorded(bench, name, data, split),
            Origin(name, bench.component(data.part), generator(data.seeds[split])),
        )
        for split in splits
    )


def write_parts(parts: Iterable[SplitData], writer: Writer, directory: Path) -> Exported:
    """Write all parts to a directory that is not there yet, or empty: whole, or not at all.

    Raises CannotExport.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CannotExport(f"{directory}: is there already; nothing is overwritten")
    draft = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.tmp")
    draft.mkdir(parents=True)
    try:
        options: dict[str, Any] = {}
        count = 0
        for part in parts:
            options |= writer(draft, part.split, part.recorded, part.origin)
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
    return Exported(len(sizes), count, sum(sizes), options)


def reading_lines(
    name: str, format_name: str, directory: Path, exported: Exported, splits: Iterable[Split]
) -> list[str]:
    """What a suite says to read it back."""
    if set(splits) != set(SPLITS):
        return ["a suite reads it back when train, val and test are all there"]
    options = ", ".join(f"{key}: {json.dumps(value)}" for key, value in exported.options.items())
    path = str(directory) if re.fullmatch(r"[\w./-]+", str(directory)) else json.dumps(str(directory))
    params = f"path: {path}, format: {format_name}" + (f", options: {{{options}}}" if options else "")
    return ["datasets:", f"  - {{use: trajectories, as: {name}, params: {{{params}}}}}"]
