"""HDF5 files from anywhere, read with care: type and shape are checked before anything is read, and every fault
names the file, the dataset in it and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nsbench.components.format import unreadable
from nsbench.names import did_you_mean
from nsbench.trajectories.foreign_hdf5 import foreign_hdf5, read_all

Shape = tuple[int | str, ...]
"""Sizes of the axes; a letter stands for any size."""


class Fault(Exception):
    """A fault of a file. where: the dataset or attribute, "" for the whole file; what: the fault, and what is right."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, open within the block. A Fault or an error of HDF5 there becomes an UnreadableData that names it."""
    if not path.exists():
        raise unreadable(path, "no such file")
    try:
        with foreign_hdf5(path) as file:
            yield file
    except (Fault, ValueError) as fault:
        raise unreadable(path, fault) from fault
    except MemoryError as error:
        raise unreadable(path, "asks for more memory than there is") from error
    except (OSError, RuntimeError) as error:  # what HDF5 itself says
        raise unreadable(path, f"is not HDF5, or damaged ({error})") from error


def array(
    file: h5py.File, name: str, dtypes: tuple[type[np.generic], ...], shape: Shape, most: int | None = None
) -> NDArray[Any]:
    """A dataset in this machine's byte order, its type and shape checked before it is read.

    most: of an axis that may have any size; without it none has.
    """
    where = f"/{name}"
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise Fault(where, "is missing" if dataset is None else "must be a dataset")
    wanted = " or ".join(np.dtype(d).name for d in dtypes)
    if not any(dataset.dtype.newbyteorder("=") == np.dtype(d) for d in dtypes):
        raise Fault(where, f"must be {wanted}, is {dataset.dtype}")
    if not _fits(dataset.shape, shape):
        reverse = tuple(reversed(dataset.shape))
        hint = "; its axes are reversed, see the notes on column-major languages" if _fits(reverse, shape) else ""
        raise Fault(where, f"must be {wanted}{_written(shape)}, is {_written(dataset.shape)}{hint}")
    for size, axis in zip(dataset.shape, shape, strict=True):
        if isinstance(axis, str) and (most is None or size > most):
            raise Fault(where, f"must be {wanted}{_written(shape)} with {axis} at most {most:,}, is {size:,}")
    try:
        return np.ascontiguousarray(read_all(dataset), dtype=dataset.dtype.newbyteorder("="))
    except OSError as error:
        raise Fault(where, f"cannot be read ({error})") from error


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(isinstance(w, str) or n == w for n, w in zip(shape, wanted, strict=True))


def _written(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"


def group(file: h5py.File, name: str, datasets: tuple[str, ...], attributes: tuple[str, ...]) -> h5py.Group:
    """A group that holds nothing but these datasets and attributes."""
    entry = file[name]
    if not isinstance(entry, h5py.Group):
        raise Fault(f"/{name}", "must be a group")
    require_known(entry, datasets)
    for attribute in entry.attrs:
        if attribute not in attributes:
            guess = did_you_mean(attribute, attributes)
            raise Fault(f"/{name}", f"attribute {attribute!r:.80} is not part of the layout{guess}")
    return entry


def require_known(parent: h5py.Group, names: tuple[str, ...]) -> None:
    """Raise Fault for an entry of a group that has none of these names, and for links out of the file."""
    at = parent.name.rstrip("/")
    for entry in parent:
        if entry not in names:
            raise Fault(f"{at}/{entry:.80}", f"is not part of the layout{did_you_mean(entry, names)}")
        if not isinstance(parent.get(entry, getlink=True), h5py.HardLink):
            raise Fault(f"{at}/{entry}", "is a link; rollouts are one file that holds everything itself")


def word(value: Any) -> str:
    """The text of an attribute; languages write strings as one of several types."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def first(wrong: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The first place where something is wrong, a list of one index; an empty list if there is none."""
    if not wrong.any():
        return []
    return [tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))]
