"""Trajectories as HDF5 files, for the store and for other programs.

/params   float64[n, P]
/lengths  int32[n]
/arrival  int32[n, H, W]            growth maps, or
/labels   uint8[n, T, H, W]         labels, uint16 for more than 256 of them, or
/values   float32[n, T, C, H, W]    dense fields
attribute "domain": JSON, see Domain.describe

Large fields that lie in files of others are not copied: in place of /values there is then

/elsewhere          attribute "files": JSON, [[SHA-256 of a file, names of datasets in it], ...]
/elsewhere/place    int64[n]            which of them each trajectory is in
/elsewhere/row      int64[n]            and its number there
/elsewhere/frames   int64[files, T]     the file's frames
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.foreign_hdf5 import require_self_contained
from nsbench.trajectories.kinds import trajectories_of
from nsbench.trajectories.stored import LARGE_BYTES, Place, StoredFields, in_files, in_pieces

_CHUNK_BYTES = 1 << 20
_ELSEWHERE = "elsewhere"


def write_trajectories(path: Path, trajectories: Trajectories, files: Mapping[Path, str] | None = None) -> list[str]:
    """Write a new file, compressed. Returns the SHA-256 of each file that it refers to for its values.

    files: those that need not be copied because they are kept, and the SHA-256 of each: large fields in them are
    referred to.
    """
    known, referred = files or {}, set()
    with h5py.File(path, "x", locking=False) as file:  # no other process knows of the file yet
        file.attrs["domain"] = json.dumps(trajectories.domain.describe())
        for name, array in trajectories.arrays().items():
            stored = in_files(array)
            if stored is not None and all(place.path in known for place in stored.places):
                _refer(file.create_group(_ELSEWHERE), stored, known)
                referred = {known[place.path] for place in stored.places}
            else:
                _write(file, name, array)
    return sorted(referred)


def _write(file: h5py.File, name: str, array: NDArray[Any]) -> None:
    """Write an array, in pieces."""
    chunks = _chunks(array) if array.size else None
    packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if chunks else {}
    made, first = file.create_dataset(name, array.shape, array.dtype, chunks=chunks, **packing), 0
    for piece in in_pieces(array):
        made[first : first + len(piece)] = piece
        first += len(piece)


def _chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """The shape of an array's chunks: whole trajectories; of a long one some frames, so that one can be read alone."""
    each = array.nbytes // len(array)
    if array.ndim >= 4 and each > _CHUNK_BYTES // 2:
        return 1, max(1, min(array.shape[1], _CHUNK_BYTES * array.shape[1] // each)), *array.shape[2:]
    return max(1, min(len(array), _CHUNK_BYTES // each)), *array.shape[1:]


def _refer(group: h5py.Group, fields: StoredFields, files: Mapping[Path, str]) -> None:
    """Write which rows and frames of which files fields are."""
    group.attrs["files"] = json.dumps([[files[place.path], place.datasets] for place in fields.places])
    group.attrs["sites"] = fields.sites
    for name in ("place", "row", "frames"):
        group.create_dataset(name, data=getattr(fields, name))


def read_trajectories(
    path: Path, domain: Domain, files: Mapping[str, Path] | None = None, stays: int = LARGE_BYTES
) -> Trajectories:
    """Read the trajectories of a file, which must be of that domain. Raises ValueError that names the file.

    files: SHA-256 -> the files that it may refer to. stays: fields of more bytes stay where they are: see
    ``FieldTrajectories``.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:  # files in the store never change
            require_self_contained(file)
            described = json.loads(file.attrs["domain"])
            arrays = {name: _array(path, file, name, files or {}, stays) for name in file}
    except (OSError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not trajectories ({error})") from error
    if described != json.loads(json.dumps(domain.describe())):
        differing = [k for k, v in domain.describe().items() if json.loads(json.dumps(v)) != described.get(k)]
        raise ValueError(f"{path}: trajectories of another domain; {', '.join(differing)} differ")
    if _ELSEWHERE in arrays:
        arrays["values"] = arrays.pop(_ELSEWHERE)
    try:
        return trajectories_of(domain, arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _array(path: Path, file: h5py.File, name: str, files: Mapping[str, Path], stays: int) -> Any:
    """An array of a file; large values, and those that lie elsewhere, are read when they are asked for."""
    item = file[name]
    if name == _ELSEWHERE:
        places = tuple(Place(files[digest], tuple(names)) for digest, names in json.loads(item.attrs["files"]))
        place, row, frames = (np.asarray(item[part]) for part in ("place", "row", "frames"))
        channels, height, width = map(int, item.attrs["sites"])
        return StoredFields(places, place, row, frames, (channels, height, width)).at_hand()
    if name != "values" or item.size * item.dtype.itemsize <= stays:
        return np.asarray(item)
    count, frames, channels, height, width = item.shape
    return StoredFields.of(Place(path, (name,)), np.arange(count), frames, (channels, height, width))
