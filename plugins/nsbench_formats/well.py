"""The Well's HDF5 files (Ohana et al. 2024, arXiv 2412.00568): the reader of fields on 2-D grids.

Files that nsbench wrote have a group with its own facts, see well_writing: growth comes back as growth, bit for bit. Of
other files every frame is valid, fields are dense, components of vectors and tensors are channels, scalars are the
parameters, and a tick of the clock is a frame; several files of a folder are one after the other, in the order of their
names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import UnreadableData
from nsbench.components.format import Format, Header, naming, require_range, unreadable
from nsbench.foreign_files import require_memory
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Boundary, Domain, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.foreign_hdf5 import foreign_hdf5, read_all
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories, label_type
from nsbench.trajectories.stored import Place, StoredFields, UnreadableFields
from nsbench_formats.domains import SAME_DT, common_dt, domain_from, merged
from nsbench_formats.observables import with_observables
from nsbench_formats.params import WellParams
from nsbench_formats.well_writing import OURS

Array = NDArray[Any]

_LABEL = re.compile(r"(^|_)(id|ids|idx|index|label|seed|run|sim|simulation|sample|trajectory)(_|$)", re.IGNORECASE)
"""Names by which scalars tell trajectories apart."""


class Well(Format):
    """The reader of a file, or of all files of a folder."""

    params: WellParams

    def header(self, path: Path) -> Header:
        return self._joined(path, self._headers(path))

    def read(self, path: Path, index: NDArray[np.int64]) -> Trajectories:
        headers, parts, first = self._headers(path), [], 0
        domain = self._joined(path, headers).domain
        for file, header in headers.items():
            count = len(header.params)
            local = index[(index >= first) & (index < first + count)] - first
            if len(local):
                parts.append(self._read_file(file, header, local))
            first += count
        if not parts:
            raise unreadable(path, "no trajectories are asked for")
        with naming(path):
            try:  # small fields are read here
                return replace(type(parts[0]).joined(parts), domain=domain)
            except UnreadableFields as error:  # which names the file itself
                raise UnreadableData(str(error)) from error

    def _headers(self, path: Path) -> dict[Path, Header]:
        return {file: self._header_of(file) for file in _files(path)}

    def _joined(self, path: Path, headers: dict[Path, Header]) -> Header:
        """The header of all files together, which must fit."""
        with naming(path):
            dt = common_dt(headers)
            joined = merged([header.domain for header in headers.values()])
            params = np.concatenate([header.params for header in headers.values()])
            if self.params.parameters is None and not self._is_ours(next(iter(headers))):
                _require_no_label(joined, params)
            return Header(joined, params, dt)

    def _is_ours(self, path: Path) -> bool:
        with _opened(path) as file:
            return OURS in file

    def _header_of(self, path: Path) -> Header:
        with naming(path), _opened(path) as file:
            if OURS in file:
                domain, held = domain_from(_text(file[OURS].attrs["domain"])), file[OURS]["params"]
                if held.dtype != np.float64 or held.shape != (_count(file), len(domain.parameters)):
                    raise ValueError(f"{OURS}/params must be float64[n, P], got {held.dtype.name}{held.shape}")
                params = read_all(held)
                require_range(params, domain)
                return Header(domain, params)
            return self._foreign_header(file)

    def _foreign_header(self, file: h5py.File) -> Header:
        """The header of a file that nsbench did not write."""
        channels, shape = tuple(self._channels(file)), _grid(file)
        parameters, params = _scalars(file, self.params.parameters)
        condition = self.params.condition or next((p.name for p in parameters if p.varies), parameters[0].name)
        if condition not in [p.name for p in parameters]:
            raise ValueError(f"has no scalar {condition!r}, only {', '.join(p.name for p in parameters)}")
        dt = _dt(file)
        domain = Domain(
            self.params.lattice,
            shape,
            channels,
            "fields",
            parameters,
            condition,
            (),
            boundaries=_boundaries(file),
            dt=dt,
        )
        return Header(with_observables(domain), params, dt)

    def _channels(self, file: h5py.File) -> dict[str, str]:
        """The channels of a state, and the place of each in the file: see nsbench.trajectories.stored.Place.

        Every field is held against its shape here, so that a size that no field has is believed nowhere. Raises
        ValueError where fields cannot be read, or none varies in time.
        """
        orders = {"t0_fields": 0, "t1_fields": 1, "t2_fields": 2}
        found = [(_text(name), group) for group in orders for name in file[group].attrs["field_names"]]
        names = [name for name, _ in found]
        for name in self.params.fields or ():
            if name not in names:
                raise ValueError(f"has no field {name!r}, only {', '.join(names) or 'none'}")
        if len(set(names)) < len(names):
            raise ValueError(f"names a field twice: {', '.join(names[:8])}")
        axes = [_text(name) for name in file["dimensions"].attrs["spatial_dims"]]
        groups = dict(found)
        channels: dict[str, str] = {}
        vary = False
        for name in self.params.fields or names:
            field, order = file[groups[name]][name], orders[groups[name]]
            _require_field(field, name, _shape_of(file, field, name, order))
            vary |= bool(field.attrs["time_varying"])
            for component in product(range(len(axes)), repeat=order):
                suffix = "".join(axes[k] for k in component)
                place = "/".join((groups[name], name, *map(str, component)))
                channel = f"{name}_{suffix}" if order else name
                if channels.setdefault(channel, place) != place:
                    raise ValueError(f"two fields have a channel {channel}; name what to read, fields: […]")
        if not vary:
            raise ValueError("has no fields that vary in time")
        return channels

    def _read_file(self, path: Path, header: Header, index: NDArray[np.int64]) -> Trajectories:
        with naming(path), _opened(path) as file:
            if OURS in file:
                return _read_ours(path, file, header, index)
            values = _values(path, file, tuple(self._channels(file).values()), header.domain, index)
            lengths = np.full(len(index), values.shape[1], np.int32)
            return FieldTrajectories(header.params[index], lengths, header.domain, values)


def _files(path: Path) -> list[Path]:
    """The HDF5 files of a folder, hidden ones left out as the content's digest leaves them out; or the file itself."""
    found = (p for end in ("h5", "hdf5") for p in path.glob(f"*.{end}") if not p.name.startswith("."))
    files = sorted(found) if path.is_dir() else [path]
    if not files:
        raise unreadable(path, "there are no .h5 or .hdf5 files in this folder")
    return files


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with foreign_hdf5(path) as file:
        if "t0_fields" not in file or "dimensions" not in file:
            raise ValueError("is HDF5, but not in The Well's layout: t0_fields or dimensions are missing")
        yield file


def _read_ours(path: Path, file: h5py.File, header: Header, index: NDArray[np.int64]) -> Trajectories:
    domain, group, n = header.domain, file[OURS], len(header.params)
    lengths = _int32(group, "lengths", (n,))[index]
    frames = _int32(group, "frames", (n,))[index]
    steps = _int32(group, "steps", (n, file["dimensions"]["time"].shape[-1]))[index]
    for name, column in zip([p.name for p in domain.parameters], header.params.T, strict=True):
        if not np.array_equal(np.broadcast_to(_scalar(file, name, n), n), column.astype(np.float32)):
            raise ValueError(f"scalar {name} contradicts {OURS}/params")
    if len(frames) and not 1 <= frames.min() <= frames.max() <= steps.shape[1]:
        raise ValueError(f"{OURS}/frames must be in [1, {steps.shape[1]}]")
    dense = (_count(file), _frames(file), *domain.shape)
    for channel in domain.channels:
        _require_field(file["t0_fields"][channel], channel, dense)
    params = header.params[index]
    if domain.states == "fields":
        places = tuple(f"t0_fields/{channel}" for channel in domain.channels)
        return FieldTrajectories(params, lengths, domain, _values(path, file, places, domain, index))
    (channel,) = domain.channels
    if domain.states == "labels":
        return LabelTrajectories(params, lengths, domain, _labels(file["t0_fields"][channel], domain, index))
    arrival = np.empty((len(index), *domain.shape), np.int32)
    for k, i in enumerate(index):
        arrival[k] = _grown(file["t0_fields"][channel][i], steps[k], int(frames[k]), f"trajectory {i}")
    return GrowthTrajectories(params, lengths, domain, arrival)


def _grown(states: Array, steps: NDArray[np.int32], frames: int, name: str) -> NDArray[np.int32]:
    """The growth map, int32[H, W], of states float32[T, H, W], of which `frames` are valid."""
    attached = states == 1
    if not (attached | (states == 0)).all():
        raise ValueError(f"{name}: a site is neither attached (1) nor free (0)")
    if (attached[:-1] & ~attached[1:]).any():
        raise ValueError(f"{name}: the crystal shrinks")
    if (attached[frames - 1] != attached[-1]).any():
        raise ValueError(f"{name}: grows after its last valid frame")
    if steps[0] != 0 or (np.diff(steps[:frames]) < 1).any():
        raise ValueError(f"{name}: {OURS}/steps must start at 0 and increase")
    return np.where(attached[-1], steps[attached.argmax(axis=0)], np.int32(-1))


def _labels(field: h5py.Dataset, domain: Domain, index: NDArray[np.int64]) -> NDArray[np.unsignedinteger[Any]]:
    """The labels [n, T, H, W] of the trajectories at `index`, from a field of whole numbers."""
    labels = np.empty((len(index), *field.shape[1:]), label_type(domain.labels))
    for k, i in enumerate(index):
        states = field[i]
        if not ((states >= 0) & (states < domain.labels) & (states == np.rint(states))).all():
            raise ValueError(f"trajectory {i}: labels must be whole numbers from 0 to {domain.labels - 1}")
        labels[k] = states
    return labels


def _values(
    path: Path, file: h5py.File, places: tuple[str, ...], domain: Domain, index: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The fields of the trajectories at `index`, [n, T, C, H, W], still in their file. places: of each channel."""
    frames = _frames(file)
    fields = StoredFields.of(Place(path, places), index, frames, (len(places), *domain.shape))
    return cast(NDArray[np.float32], fields)


def _shape_of(file: h5py.File, field: h5py.Dataset, name: str, order: int) -> tuple[int, ...]:
    """The shape that a field must have by what it says of itself: the axes along which it does not vary are left out.

    order: 0 of a scalar, 1 of a vector, 2 of a tensor. Raises ValueError where it varies along too few of them.
    """
    grid = _grid(file)
    samples, times = bool(field.attrs["sample_varying"]), bool(field.attrs["time_varying"])
    if not all(field.attrs["dim_varying"]) or (times and not samples):
        raise ValueError(
            f"field {name} must vary along both axes, and between trajectories where it varies in time; "
            "name what to read, fields: […]"
        )
    lead = [_count(file)] * samples + [_frames(file)] * times
    return (*lead, *grid, *[len(grid)] * order)


def _require_field(field: h5py.Dataset, name: str, shape: tuple[int, ...]) -> None:
    if field.dtype != np.float32 or field.shape != shape:
        raise ValueError(f"field {name} must be float32{list(shape)}, got {field.dtype.name}{list(field.shape)}")
    require_memory(4 * math.prod(shape[1:]), f"a trajectory of {name}")


def _boundaries(file: h5py.File) -> tuple[Boundary, Boundary]:
    """The boundary of each axis: periodic, a wall (closed), or open; open where the file does not say.

    An axis with a wall at one end and another boundary at the other is open: nsbench has one boundary an axis.
    """
    said: dict[str, set[str]] = {}
    for condition in file.get("boundary_conditions", {}).values():
        for axis in map(_text, condition.attrs["associated_dims"]):
            said.setdefault(axis, set()).add(_text(condition.attrs["bc_type"]).lower())
    rows, columns = (_text(name) for name in file["dimensions"].attrs["spatial_dims"])
    return _boundary(said.get(rows, set())), _boundary(said.get(columns, set()))


def _boundary(kinds: set[str]) -> Boundary:
    if kinds == {"periodic"}:
        return "periodic"
    return "closed" if kinds == {"wall"} else "open"


def _grid(file: h5py.File) -> tuple[int, int]:
    """The sites along each axis. Raises ValueError for other than two axes."""
    axes = [_text(name) for name in file["dimensions"].attrs["spatial_dims"]]
    if len(axes) != 2:
        raise ValueError(f"holds fields on {len(axes)}-D grids; nsbench reads 2-D ones")
    height, width = (int(file["dimensions"][axis].shape[-1]) for axis in axes)
    return height, width


def _scalars(file: h5py.File, chosen: tuple[str, ...] | None) -> tuple[tuple[Parameter, ...], NDArray[np.float64]]:
    """The scalars as parameters, and their values, float64[n, P]; the parameter "none" where there are no scalars.

    chosen: the names of those that count; all if None.
    """
    n, columns = _count(file), {}
    names = [_text(name) for name in file["scalars"].attrs["field_names"]]
    for name in names if chosen is None else chosen:
        if name not in names:
            raise ValueError(f"has no scalar {name!r}, only {', '.join(names) or 'none'}")
        scalar = file["scalars"][name]
        if scalar.attrs["time_varying"]:
            raise ValueError(f"scalar {name} varies in time; parameters of nsbench do not")
        values = _scalar(file, name, n)
        if len(values) != (n if scalar.attrs["sample_varying"] else 1) or not np.isfinite(values).all():
            raise ValueError(f"scalar {name} must be finite, one number or one a trajectory")
        columns[name] = np.broadcast_to(values, n)
    columns = columns or {"none": np.zeros(n)}
    parameters = tuple(Parameter(name, float(v.min()), float(v.max())) for name, v in columns.items())
    return parameters, np.stack(list(columns.values()), axis=1)


def _require_no_label(domain: Domain, params: NDArray[np.float64]) -> None:
    """Raise ValueError for a scalar that seems to tell trajectories apart rather than to say what they are of.

    A network would learn to look such a number up, and bins over its range would mean nothing.
    """
    for parameter, values in zip(domain.parameters, params.T, strict=True):
        distinct = np.unique(values)
        whole = len(distinct) > 1 and bool((distinct == np.rint(distinct)).all())
        counts = len(distinct) == len(values) >= 3 and distinct[-1] - distinct[0] == len(distinct) - 1
        if whole and (counts or _LABEL.search(parameter.name)):
            others = [p.name for p in domain.parameters if p is not parameter]
            span = f"{distinct[0]:.0f} to {distinct[-1]:.0f}"
            raise ValueError(
                f"scalar {parameter.name}, {span}, looks like a label of trajectories, not like a parameter of the "
                f"system. Name what conditions them: parameters: [{', '.join(others)}] "
                f"without it, or [{', '.join([parameter.name, *others])}] with it"
            )


def _dt(file: h5py.File) -> float | None:
    """The time from frame to frame; None for a single frame. Raises ValueError where it is not the same throughout."""
    times = read_all(file["dimensions"]["time"]).astype(np.float64)
    steps = np.diff(times, axis=-1)
    if not steps.size:
        return None
    dt, rounding = float(steps.mean()), 4 * np.finfo(np.float32).eps * float(np.abs(times).max())
    if not dt > 0 or np.abs(steps - dt).max() > SAME_DT * dt + rounding:
        raise ValueError(
            f"the time from frame to frame is {steps.min():.6g} to {steps.max():.6g}: frames must be evenly spaced in "
            "time, and later ones come later"
        )
    return dt


def _scalar(file: h5py.File, name: str, n: int) -> NDArray[np.float64]:
    """The values of a scalar, float64[1] or float64[n]. Raises ValueError for any other size."""
    scalar = file["scalars"][name]
    if math.prod(scalar.shape) not in (1, n):
        raise ValueError(f"scalar {name} must be finite, one number or one a trajectory")
    return np.asarray(scalar[()], np.float64).reshape(-1)


def _count(file: h5py.File) -> int:
    count = int(file.attrs["n_trajectories"])
    if count < 1:
        raise ValueError(f"n_trajectories must be >= 1, got {count}")
    return count


def _frames(file: h5py.File) -> int:
    return int(file["dimensions"]["time"].shape[-1])


def _int32(group: h5py.Group, name: str, shape: tuple[int, ...]) -> NDArray[np.int32]:
    array = group[name]
    if array.dtype != np.int32 or array.shape != shape:
        raise ValueError(f"{OURS}/{name} must be int32{list(shape)}, got {array.dtype.name}{list(array.shape)}")
    return read_all(array)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
