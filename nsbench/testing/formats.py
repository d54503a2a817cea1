"""Checks of a format that is written and read: the trajectories that come back are those that went in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from nsbench.components.dataset import UnreadableData
from nsbench.components.format import Format, FormatSpec, Header, Origin, Writer
from nsbench.registry.loading import build, import_object
from nsbench.registry.registry import Registry
from nsbench.suite.seeds import data_seed, generator
from nsbench.testing.findings import Check, Finding, LeftOut, calling, place_of
from nsbench.testing.small_data import Data
from nsbench.trajectories.base import Trajectories


@dataclass
class FormatSubject:
    """A format under check, on small data that it should hold."""

    registry: Registry
    spec: FormatSpec
    params: dict[str, Any]
    data: Data


def comes_back(subject: FormatSubject) -> Iterator[Finding]:
    """Trajectories that were written and read are the same; so are some of them, read by an index."""
    if subject.spec.writer is None:
        raise LeftOut("nothing writes it")
    writer: Writer = import_object(subject.spec.writer)
    written, source = subject.data.recorded("test"), subject.data.source
    origin = Origin(source.name, subject.data.dataset, generator(data_seed(0, "test", source.name)))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "written"
        directory.mkdir()
        try:
            options = writer(directory, "test", written, origin)
        except ValueError as error:
            yield Finding(
                f"writer of {subject.spec.name!r} ({subject.spec.writer})",
                f"does not hold {source}: {error}",
                "nothing, if it is meant so; `--on DATASET` checks it on data that it holds",
                "note",
            )
            return
        reader = cast(Format, build("format", subject.spec, subject.params | options))
        yield from _changes(reader, directory, written)


def _header(reader: Format, path: Path) -> tuple[Path, Header]:
    """The path of the split, the folder that was written to or the only entry in it, and its header."""
    try:
        return path, reader.header(path)
    except UnreadableData:
        inner = sorted(path.iterdir()) if path.is_dir() else []
        if len(inner) != 1:
            raise
        return _header(reader, inner[0])


def _changes(reader: Format, directory: Path, written: Trajectories) -> Iterator[Finding]:
    """The differences between the trajectories that were written and those that are read."""
    with calling(reader, "header", "say what lies there"):
        path, header = _header(reader, directory)
    with calling(reader, "read", "read the trajectories that the index names"):
        read = reader.read(path, np.arange(len(header.params)))
        half = reader.read(path, np.arange(0, len(header.params), 2))
    where = place_of(reader, "read")
    if len(read) != len(written):
        yield Finding(where, f"{len(read)} trajectories of {len(written)} come back", "all of them")
        return
    if not np.array_equal(header.params, read.params):
        faulty = place_of(reader, "header")
        yield Finding(faulty, "its params differ from those that read returns", "the same, in order")
    order, back = _sorted(written), _sorted(read)
    for name, before, after in (
        ("parameters", written.params[order], read.params[back]),
        ("lengths", written.lengths[order], read.lengths[back]),
        ("final states", written.final()[order], read.final()[back]),
    ):
        if not np.allclose(before, after, rtol=1e-6, atol=0):
            yield Finding(where, f"{name} come back changed", "what was written, to single precision")
    if not np.array_equal(half.params, read.params[::2]) or not np.array_equal(half.final(), read.final()[::2]):
        yield Finding(where, "an index of every second trajectory gives others", "those that the index names, in order")


def _sorted(trajectories: Trajectories) -> np.ndarray:
    """The order of trajectories by parameters, then by final state: files may have another."""
    final = trajectories.final().reshape(len(trajectories), -1)
    keys = [(tuple(p), tuple(f)) for p, f in zip(trajectories.params.tolist(), final.tolist(), strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__))


FORMAT_CHECKS: tuple[Check[FormatSubject], ...] = (Check("what is written is read again", comes_back),)
