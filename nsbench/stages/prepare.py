"""The first stage: a dataset makes the trajectories of a split, part by part.

The artifact holds trajectories.h5, as recorded (nsbench/trajectories/hdf5.py); frames are cut when it is read. Large
fields that a dataset reads from files are not copied: the artifact names the files by their content.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from nsbench.components.contracts.dataset import require_parts, require_recorded
from nsbench.components.dataset import Dataset, DatasetSpec, Split
from nsbench.components.events import Notice
from nsbench.registry.loading import reading_of
from nsbench.registry.registry import Registry
from nsbench.stages.holdout import BadHoldout, held_out
from nsbench.stages.workshop import Workshop, Write
from nsbench.store.checked import set_file_aside, verify_checked, whole_checked
from nsbench.store.contents import digests
from nsbench.store.manifest import Damaged
from nsbench.store.store import Artifact, Draft
from nsbench.suite.seeds import generator
from nsbench.suite.trials import DataPlan, Part
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.fields import FieldTrajectories

_FILE = "trajectories.h5"
_REFERS = "refers to"
"""The fact that names, by their SHA-256, the files in which an artifact's fields lie."""

_SMALL_BYTES, _MOST_KEPT = 4_000_000, 8
_kept: dict[tuple[str, str], Trajectories] = {}
"""(checksum of a file, the domain in words) -> what was read from it, the oldest first."""


def prepare(workshop: Workshop, job: str, data: DataPlan, split: Split) -> Trajectories:
    """The trajectories of a split, framed by the protocol on its dataset; for a fit without those held out of it."""
    trajectories = framed(recorded(workshop, job, data, split), data, split)
    if split == "test" or not data.protocol.holdout:
        return trajectories
    kept = np.flatnonzero(~held_out(trajectories, data.protocol))
    if not len(kept):
        raise BadHoldout(f"protocol.holdout leaves no {split} data of {data.name}")
    return trajectories.select(kept)


def framed(trajectories: Trajectories, data: DataPlan, split: Split) -> Trajectories:
    """A dataset's recorded trajectories as the protocol cuts them into frames; test cases keep their final states."""
    protocol = data.protocol
    whole = split != "test" and protocol.last_stride == "whole"
    return trajectories.framed(protocol.stride, protocol.horizon, whole=whole)


def recorded(workshop: Workshop, job: str, data: DataPlan, split: Split) -> Trajectories:
    """The trajectories of a split, as the dataset recorded them."""
    key, agreement = data.keys[split], workshop.agreement
    agreement.hold_data(data)
    dataset: Dataset = workshop.component(data.part, data.formats)

    def make() -> Write:
        return write

    def write(draft: Draft) -> None:
        _write(draft, _joined_parts(workshop, job, data, split, dataset), read_files(workshop.registry, data.part))
        agreement.hold_data(data)

    artifact = workshop.obtain(job, key, f"{split} data of {data.name}", make, {_FILE}, agreement.of_data(data))
    workshop.clear_work(key)
    trajectories = read_data(artifact, dataset.domain, workshop.registry, data.part)
    agreement.hold_data(data)  # the domain may have been read off the files just now
    return trajectories


def read_data(artifact: Artifact, domain: Domain, registry: Registry, part: Part) -> Trajectories:
    """The recorded trajectories in an artifact. domain: that of the dataset, `part`.

    A few small ones are kept, since the trials of a process often share their data; each caller gets a copy.
    """
    from nsbench.trajectories.hdf5 import read_trajectories

    name = artifact.manifest["files"][_FILE], json.dumps(domain.describe())
    kept = _kept.get(name)
    if kept is None:
        files = read_files(registry, part) if artifact.facts.get(_REFERS) else {}
        kept = read_trajectories(artifact.folder / _FILE, domain, {digest: path for path, digest in files.items()})
        arrays = kept.arrays().values()
        if sum(array.nbytes for array in arrays) > _SMALL_BYTES or not all(isinstance(a, np.ndarray) for a in arrays):
            return kept
        while len(_kept) >= _MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[name] = kept
    return replace(kept, domain=domain, **{field: array.copy() for field, array in kept.arrays().items()})


def read_files(registry: Registry, part: Part) -> dict[Path, str]:
    """The files that a dataset says it reads, and the SHA-256 of each; none where it does not tell them apart."""
    reading = reading_of(cast(DatasetSpec, registry.spec("dataset", part.name)), part.params)
    files = (reading.files if reading is not None else None) or ()
    return dict(zip(files, digests(files), strict=True))


def _write(draft: Draft, trajectories: Trajectories, files: dict[Path, str]) -> None:
    from nsbench.trajectories.hdf5 import write_trajectories

    if referred := write_trajectories(draft.folder / _FILE, trajectories, files):
        draft.facts[_REFERS] = referred
    draft.facts["trajectories"] = len(trajectories)


def _joined_parts(workshop: Workshop, job: str, data: DataPlan, split: Split, dataset: Dataset) -> Trajectories:
    """The trajectories of a split, joined from its parts; parts that an earlier sitting finished are read."""
    key, count = data.keys[split], require_parts(dataset, dataset.parts(split))
    folder, progress = workshop.work / key.digest, workshop.progress(job, key, "parts")
    parts: list[Trajectories] = []
    for k in range(count):
        path = folder / f"part-{k:05d}.h5" if count > 1 else None
        parts.append(_part(workshop, dataset, data, split, k, path))
        progress(k + 1, count)
    return type(parts[0]).joined(parts)


def _part(
    workshop: Workshop, dataset: Dataset, data: DataPlan, split: Split, k: int, path: Path | None
) -> Trajectories:
    """A part of a split, read from its file, or made and written to it. path: None for a split of one part."""
    from nsbench.trajectories.hdf5 import read_trajectories, write_trajectories

    if path is not None and path.exists():
        try:
            verify_checked(path)
            return read_trajectories(path, dataset.domain, stays=0)
        except FileNotFoundError:
            pass  # another process, which no lock held back, has just finished the split
        except Damaged as damage:
            workshop.emit(Notice(f"{damage}; moved to {set_file_aside(path).name}, the part is made again"))
    part = dataset.part(split, generator(data.seeds[split]), k)
    trajectories = require_recorded(dataset, part, dataset.domain, "prepare" if path is None else "part", split)
    if path is not None:
        workshop.agreement.hold()  # a part outlives this run
        workshop.agreement.hold_data(data)
        with whole_checked(path) as draft:
            write_trajectories(draft, trajectories)
        if isinstance(trajectories, FieldTrajectories):  # memory holds one part, not all
            return read_trajectories(path, dataset.domain, stays=0)
    return trajectories
