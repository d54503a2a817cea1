"""Dense fields that stay in their files, because memory would not hold them: read when they are asked for."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

Values = NDArray[np.float32]

LARGE_BYTES = 64 << 20
"""Fields of more bytes stay in their files; smaller ones are arrays."""

_MOST_OPEN = 16
_CHUNK_CACHE_BYTES = 16 << 20


class UnreadableFields(ValueError):
    """Fields of a file that is no longer there, has changed, or holds what no field may."""


@dataclass(frozen=True)
class Place:
    """The place of fields in a file.

    path      the file, HDF5.
    datasets  one dataset float32[n, T, C, H, W] with all channels, or one float32[n, T, H, W] a channel. A channel
              that is the same in all frames may be [n, H, W], or [H, W] where all trajectories have it. A component of
              a vector or tensor, whose axes are the last ones, is named below its dataset: "t1_fields/velocity/1".
    """

    path: Path
    datasets: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class StoredFields:
    """An array float32[n, T, C, H, W] in files, read-only; indexing reads what it names, ``np.asarray`` all of it.

    An index begins with trajectories, and frames if it goes on: ``values[k]``, ``values[index, t]`` with two arrays of
    one length, ``values[2:9, ::4]``; further axes as NumPy has them. Memory: the result, and one trajectory.
    Raises UnreadableFields where a number is not finite.

    places   the files. place, row  int64[n], where in them each trajectory is. frames  int64[places, T], the frame of
    a file that is each frame here. sites  (C, H, W).
    """

    places: tuple[Place, ...]
    place: NDArray[np.int64]
    row: NDArray[np.int64]
    frames: NDArray[np.int64]
    sites: tuple[int, int, int]

    dtype = np.dtype(np.float32)
    ndim = 5

    @classmethod
    def of(cls, place: Place, rows: NDArray[np.int64], frames: int, sites: tuple[int, int, int]) -> StoredFields:
        """The fields of one file: some of its rows, all frames."""
        return cls((place,), np.zeros(len(rows), np.int64), rows.astype(np.int64), np.arange(frames)[None], sites)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.row), self.frames.shape[1], *self.sites

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.row)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it in memory."""
        if copy is False:
            raise ValueError("fields in files are no array: they can only be copied into one")
        return self._read(range(len(self))).astype(dtype or np.float32, copy=False)

    def __getitem__(self, index: Any) -> Values:
        parts = index if isinstance(index, tuple) else (index,)
        if parts and isinstance(parts[0], (int, np.integer)):
            parts = (slice(int(parts[0]), int(parts[0]) + 1 or None), *parts[1:])
            return cast(Values, self[parts][0])
        if not parts or not isinstance(parts[0], (slice, list, np.ndarray)):
            raise IndexError("the first index of fields in files names trajectories: a number, a slice or an array")
        if not all(isinstance(part, (slice, int, np.integer)) for part in parts[2:]):
            raise IndexError("channels and sites of fields in files are named by numbers and slices")
        rows = np.arange(len(self))[parts[0]]
        if len(parts) == 1:
            return self._read(rows)
        if isinstance(parts[1], (list, np.ndarray)) and np.asarray(parts[1]).dtype != bool:
            return self._read_pairs(rows, np.asarray(parts[1]), parts[2:])
        if not isinstance(parts[1], (slice, int, np.integer)):
            raise IndexError("the second index of fields in files names frames: a number, a slice or an array")
        read = [self._read([row], np.arange(self.shape[1])[parts[1]].reshape(-1))[0] for row in rows]
        taken = np.stack(read) if read else np.empty((0, *self.shape[1:]), np.float32)
        inner = 0 if isinstance(parts[1], (int, np.integer)) else slice(None)
        return cast(Values, taken[(slice(None), inner, *parts[2:])])

    def select(self, index: NDArray[np.integer] | slice) -> StoredFields:
        """Some trajectories."""
        return replace(self, place=self.place[index], row=self.row[index])

    def cut(self, frames: slice) -> StoredFields:
        """Some frames."""
        return replace(self, frames=self.frames[:, frames])

    def at_hand(self) -> Values:
        """These fields as an array if they are small; else themselves, which stand in for one."""
        return np.asarray(self) if self.nbytes <= LARGE_BYTES else cast(Values, self)

    @classmethod
    def joined(cls, parts: Sequence[StoredFields]) -> StoredFields:
        """The trajectories of all parts; a shorter one stays in its last frame."""
        longest, before = max(part.shape[1] for part in parts), np.cumsum([0, *(len(part.places) for part in parts)])
        return cls(
            tuple(place for part in parts for place in part.places),
            np.concatenate([part.place + first for part, first in zip(parts, before, strict=False)]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([np.pad(p.frames, ((0, 0), (0, longest - p.shape[1])), mode="edge") for p in parts]),
            parts[0].sites,
        )

    def _read(self, rows: Sequence[int] | NDArray[np.int64] | range, frames: NDArray[np.int64] | None = None) -> Values:
        """Whole trajectories, or some frames of them, float32[rows, T, C, H, W]."""
        count = self.shape[1] if frames is None else len(frames)
        out = np.empty((len(rows), count, *self.sites), np.float32)
        for k, row in enumerate(rows):
            wanted = self.frames[self.place[row]] if frames is None else self.frames[self.place[row], frames]
            self._read_frames(int(row), wanted, out[k])
        return out

    def _read_pairs(self, rows: NDArray[np.int64], frames: NDArray[np.integer], rest: tuple[Any, ...]) -> Values:
        """The frame frames[b] of trajectory rows[b], float32[b, C, H, W]."""
        rows, frames = np.broadcast_arrays(rows, frames)
        out = np.empty((rows.size, *self.sites), np.float32)
        for k, (row, frame) in enumerate(zip(rows.ravel(), frames.ravel(), strict=True)):
            self._read_frames(int(row), self.frames[self.place[row], [frame]], out[k : k + 1])
        out = out.reshape(*rows.shape, *self.sites)
        return out[(*[slice(None)] * rows.ndim, *rest)]

    def _read_frames(self, row: int, frames: NDArray[np.int64], out: Values) -> None:
        """Some frames of a trajectory, into out, float32[frames, C, H, W]."""
        place = self.places[self.place[row]]
        wanted, back = np.unique(frames, return_inverse=True)
        steps = np.unique(np.diff(wanted))
        if len(steps) > 1:  # no slice names them: one after the other
            for k in range(len(frames)):
                self._read_frames(row, frames[k : k + 1], out[k : k + 1])
            return
        step = int(steps[0]) if len(steps) else 1
        chosen = (
            (int(self.row[row]), slice(int(wanted[0]), int(wanted[-1]) + 1, step)) if len(wanted) else (0, slice(0))
        )
        file = _open(place.path)
        try:
            for channel, name in enumerate(place.datasets):
                dataset, component = _resolved(file, name)
                if dataset.ndim == 5 and not component:
                    out[:] = dataset[chosen][back]
                    continue
                lead = dataset.ndim - 2 - len(component)
                read = dataset[(*chosen[:lead], slice(None), slice(None), *component)]
                out[:, channel] = read[back] if lead == 2 else read
        except (KeyError, RuntimeError, ValueError) as error:
            raise UnreadableFields(f"{place.path}: cannot be read ({error})") from error
        if not np.isfinite(out).all():
            channel = int(np.argmin(np.isfinite(out).all(axis=(0, 2, 3))))
            name = f"channel {channel}"
            if len(place.datasets) > 1:
                name = ascii(place.datasets[channel].rpartition("_fields/")[2])[1:-1]
            raise UnreadableFields(f"{place.path}: trajectory {int(self.row[row])}: {name} is not finite everywhere")


def _resolved(file: h5py.File, name: str) -> tuple[h5py.Dataset, tuple[int, ...]]:
    """The dataset that a channel lies in, and the component there that the rest of the name says."""
    parts = name.strip("/").split("/")
    item, depth = file, 0
    while hasattr(item, "keys") and depth < len(parts):
        item, depth = item[parts[depth]], depth + 1
    return item, tuple(map(int, parts[depth:]))


_opened: OrderedDict[tuple[int, str, int, int], h5py.File] = OrderedDict()
"""Files that are open, the latest last: by process, path, inode and time."""


def _open(path: Path) -> h5py.File:
    """An open file. One that was replaced since is opened again.

    Without a lock, like everywhere else: HDF5 wants all openings of a file to agree on that. Of a file of others the
    header was read in this process, by foreign_hdf5, which has looked it over and keeps HDF5 from loading filters.
    """
    import h5py

    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableFields(f"{path}: {error.strerror}; the fields that lie in it cannot be read") from error
    name = os.getpid(), str(path), status.st_ino, status.st_mtime_ns
    if name in _opened:
        _opened.move_to_end(name)
        return _opened[name]
    while len(_opened) >= _MOST_OPEN:
        (process, *_), oldest = _opened.popitem(last=False)
        if process == os.getpid():
            oldest.close()
    try:
        _opened[name] = h5py.File(path, "r", locking=False, rdcc_nbytes=_CHUNK_CACHE_BYTES)
    except OSError as error:
        raise UnreadableFields(f"{path}: cannot be read ({error})") from error
    return _opened[name]


def in_files(values: object) -> StoredFields | None:
    """The values as fields in files; None where they are an array in memory."""
    return values if isinstance(values, StoredFields) else None


def close_below(folder: Path) -> None:
    """Close the files below a folder that is about to go."""
    for name in [name for name in _opened if Path(name[1]).is_relative_to(folder)]:
        file = _opened.pop(name)
        if name[0] == os.getpid():
            file.close()


def in_pieces(array: NDArray[Any], size: int = LARGE_BYTES // 4) -> Iterator[NDArray[Any]]:
    """An array, or fields in files, in pieces of about `size` bytes along the first axis, in order."""
    each = max(1, array.nbytes // max(1, len(array)))
    step = max(1, size // each)
    for first in range(0, len(array), step):
        yield np.asarray(array[first : first + step])
