"""Archives of arrays (.npz) from others: the size that an entry claims is held against the archive, then it is read."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nsbench.foreign_files import is_packed_beyond_belief, require_memory

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Version of NumPy's format -> the reader of its header. The third is for structures, which no array here is."""


def names_in(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays in an archive. Raises ValueError for one that is there twice."""
    names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
    if len(set(names)) < len(names):
        raise ValueError("holds two arrays of one name")
    return sorted(names)


def arrays_in(archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of these names. Raises ValueError for one whose size is a mere claim, and KeyError without one."""
    names_in(archive)
    entries = {name: archive.getinfo(f"{name}.npy") for name in names}
    for name, entry in entries.items():
        if is_packed_beyond_belief(entry.file_size, entry.compress_size) or entry.compress_size > _length(archive):
            raise ValueError(f"{name} says {entry.file_size:,} bytes and holds {entry.compress_size:,}")
    require_memory(sum(entry.file_size for entry in entries.values()), ", ".join(names))
    return {name: _array(archive, entry, name) for name, entry in entries.items()}


def _length(archive: zipfile.ZipFile) -> int:
    file = archive.fp
    assert file is not None
    return file.seek(0, 2)


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    """An array, read after its header was found to ask for the bytes that the entry has."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} must be stored as it is or deflated, as NumPy does")
    with archive.open(entry) as file:
        shape, dtype = _header(file)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, must hold numbers")
        if file.tell() + dtype.itemsize * math.prod(shape) != entry.file_size:
            raise ValueError(f"{name} says it is {dtype}{list(shape)}, its entry has {entry.file_size:,} bytes")
    with archive.open(entry) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"is of version {version} of NumPy's format; 1.0 and 2.0 are read")
    shape, _, dtype = _HEADERS[version](file)
    return shape, dtype
