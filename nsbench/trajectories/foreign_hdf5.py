"""HDF5 files of others, opened so that they show no other file, run no code, and claim no more than they hold.

HDF5 can present any file's bytes as its own, load code that a file names as a filter, and give a name to a billion
numbers that were never stored. All of a file's objects are looked at before any of its data is read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5l, h5o, h5pl, h5t
from numpy.typing import NDArray

from nsbench.foreign_files import is_packed_beyond_belief, require_memory, require_regular
from nsbench.names import printable
from nsbench.quantities import size_text

FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""The filters that are read, by their registered number: h5py has them built in, and none packs denser than zlib."""

MOST_ENTRIES = 100_000
MOST_LEVELS = 32
MOST_ATTRIBUTES = 256
MOST_ATTRIBUTE_BYTES = 1 << 20
MOST_TEXTS = 1_024
"""Limits of a file's names, of groups within groups, and for each object of its attributes, and of the texts in one."""


@contextmanager
def foreign_hdf5(path: Path) -> Iterator[h5py.File]:
    """The file, open to be read within the block. Raises OSError or RuntimeError, as HDF5 does, and ValueError for a
    file that leads out of itself, or claims more than it holds."""
    require_regular(path)
    load_no_filters()
    with h5py.File(path, "r", locking=False) as file:
        _require(file, _fault_of_place, _fault_of_attributes, _fault_of_packing)
        yield file


def load_no_filters() -> None:
    """Keep HDF5 from loading plugins in this process: filters are code, and a file may name any.

    A filter that a plugin of nsbench needs for its own files is there when it registers it itself, as hdf5plugin does.
    """
    while h5pl.size():
        h5pl.remove(0)


def read_all(dataset: h5py.Dataset) -> NDArray[Any]:
    """All of a dataset. Raises ValueError where that is more than this machine's memory."""
    require_memory(dataset.dtype.itemsize * math.prod(dataset.shape), printable(f"{dataset.name:.80}"))
    return np.asarray(dataset[()])


def require_self_contained(file: h5py.File) -> None:
    """Raise ValueError for an HDF5 file with links to other files, or with data that is stored in them.

    The content of such a file changes with the others, and it could show anything that its reader may read.
    """
    _require(file, _fault_of_place)


def _require(file: h5py.File, *checks: Callable[[Any, str], str | None]) -> None:
    """Raise ValueError with the first fault that a check finds. check: (object, its name) -> a fault, or None."""
    names, fault = _objects(file)
    objects = ((h5o.open(file.id, name), _shown(name)) for name in names)
    faults = (check(item, name) for item, name in objects for check in checks)
    if fault := fault or next(filter(None, faults), None):
        raise ValueError(fault)


def _objects(file: h5py.File) -> tuple[list[bytes], str | None]:
    """(a name of each object in a file, the fault of a link that leads out of it, or is one too many)."""
    names: dict[int, bytes] = {-1: b"."}  # the file's own group, which no link leads to
    links = itertools.count(1)

    def add(name: bytes, info: Any) -> str | None:
        """Add what a link leads to; what is returned ends the search. Nothing may be raised: HDF5 stands in between."""
        if next(links) > MOST_ENTRIES:
            return f"holds more than {MOST_ENTRIES:,} groups, datasets and links"
        if name.count(b"/") >= MOST_LEVELS:
            return f"holds more than {MOST_LEVELS} groups within each other"
        if info.type == h5l.TYPE_HARD:
            names[info.u] = name  # its address: an object counts once, however many names it has
        foreign = info.type not in (h5l.TYPE_HARD, h5l.TYPE_SOFT)  # a soft link leads to a name in this file
        return f"{_shown(name)} is a link to another file" if foreign else None

    fault = file.id.links.visit(add, info=True)
    return list(names.values()), fault


def _shown(name: bytes) -> str:
    return "/" + printable(name.decode("utf-8", "replace")[:80]).removeprefix(".")


def _fault_of_place(item: Any, name: str) -> str | None:
    if not isinstance(item, h5d.DatasetID):
        return None
    plan = item.get_create_plist()
    elsewhere = plan.get_external_count() or plan.get_layout() == h5d.VIRTUAL
    return f"the data of {name} lie in another file" if elsewhere else None


def _fault_of_attributes(item: Any, name: str) -> str | None:
    count = h5a.get_num_attrs(item) if not isinstance(item, h5t.TypeID) else 0
    if count > MOST_ATTRIBUTES:
        return f"{name} has {count:,} attributes, {MOST_ATTRIBUTES} are enough"
    for k in range(count):
        attribute = h5a.open(item, index=k)
        kind, count_of_values = attribute.get_type(), math.prod(attribute.shape or ())
        texts = count_of_values if kind.detect_class(h5t.STRING) else 0
        if count_of_values * kind.get_size() > MOST_ATTRIBUTE_BYTES or texts > MOST_TEXTS:
            return f"an attribute of {name} is larger than {size_text(MOST_ATTRIBUTE_BYTES)} or {MOST_TEXTS:,} texts"
    return None


def _fault_of_packing(dataset: Any, name: str) -> str | None:
    """The fault of a dataset, found without reading it: what would be unpacked, by what code, to what size."""
    if not isinstance(dataset, h5d.DatasetID):
        return None
    plan, kind = dataset.get_create_plist(), dataset.get_type()
    if kind.detect_class(h5t.VLEN) or kind.detect_class(h5t.STRING) or kind.detect_class(h5t.REFERENCE):
        return f"{name} holds texts, lists or references, must hold numbers"
    for number in (plan.get_filter(k)[0] for k in range(plan.get_nfilters())):
        if number not in FILTERS:
            return f"{name} is packed by filter {number}; nsbench reads {', '.join(FILTERS.values())}, or no packing"
    return _fault_of_size(
        dataset, name, plan.get_chunk() if plan.get_layout() == h5d.CHUNKED else None, kind.get_size()
    )


def _fault_of_size(dataset: h5d.DatasetID, name: str, chunk: tuple[int, ...] | None, itemsize: int) -> str | None:
    """The fault of a dataset's size, where it is more than what is stored can be. chunk: its shape; None without."""
    shape = dataset.shape or ()  # None for a dataset without a space
    size, stored = itemsize * math.prod(shape), dataset.get_storage_size()
    if chunk is not None:
        chunks = math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
        bytes_of_one = itemsize * math.prod(chunk)
        require_memory(bytes_of_one, f"a chunk of {name}")
        largest, written = _chunks(dataset)
        if written < chunks:
            return f"{name} has {chunks:,} chunks, of which {written:,} were written: the others hold nothing"
        if largest > bytes_of_one + bytes_of_one // 100 + 1024:  # packing what cannot be packed adds a little
            return f"a chunk of {name} has {largest:,} packed bytes for {bytes_of_one:,}"
        size = chunks * bytes_of_one
    if dataset.shape is not None and is_packed_beyond_belief(size, stored):
        return f"{name} says {size_text(size)} and holds {size_text(stored)}: most of it was never written"
    return None


def _chunks(dataset: h5d.DatasetID) -> tuple[int, int]:
    """(packed bytes of the largest chunk, number of chunks that were written)."""
    sizes: list[int] = []
    dataset.chunk_iter(lambda stored: sizes.append(stored.size))
    return max(sizes, default=0), len(sizes)
