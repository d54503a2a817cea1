"""Trajectories as The Well's HDF5 files: <directory>/data/{train,valid,test}/<name>.h5.

The layout is that of "The Well" (Ohana et al. 2024, arXiv 2412.00568), docs/data_format.md of its repository.
Facts that it has no place for are in a group of our own, which its readers pass over:

/nsbench            attribute "domain": JSON, see Domain.describe
/nsbench/params     float64[n, P]   exact, where the scalars are float32
/nsbench/lengths    int32[n]        of the record, in steps
/nsbench/frames     int32[n]        frames of this file that are valid; the last one is repeated after them
/nsbench/steps      int32[n, T]     the step of each frame
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Split
from nsbench.components.format import Origin
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Boundary, Domain
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_formats.domains import domain_text

OURS = "nsbench"
"""The name of the group that only nsbench reads."""

WELL_KINDS: dict[Boundary, str] = {"open": "open", "closed": "wall", "mirror": "wall", "periodic": "periodic"}
"""What The Well calls each boundary."""

_CHUNK_BYTES = 1 << 20
_AXES = ("x", "y")
_FOLDERS: dict[Split, str] = {"train": "train", "val": "valid", "test": "test"}


def write_well(directory: Path, split: Split, recorded: Trajectories, origin: Origin) -> dict[str, Any]:
    """Write the file of a split, trajectory by trajectory; reading it back takes no parameters."""
    folder = directory / "data" / _FOLDERS[split]
    folder.mkdir(parents=True)
    steps, frames = recorded_steps(recorded)
    with h5py.File(folder / f"{origin.name}.h5", "x") as file:
        _write_facts(file, recorded, origin.name, steps.shape[1])
        _write_fields(file, recorded, steps)
        ours = file.create_group(OURS)
        ours.attrs["domain"] = domain_text(recorded.domain)
        arrays = {"params": recorded.params, "lengths": recorded.lengths, "frames": frames, "steps": steps}
        for name, array in arrays.items():
            ours.create_dataset(name, data=array)
    return {}


def recorded_steps(recorded: Trajectories) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The step of each frame, int32[n, T], and the number of frames that are valid, int32[n].

    On the event clock only the steps in which something attached are frames: nothing else counts there.
    """
    domain = recorded.domain
    if isinstance(recorded, GrowthTrajectories) and domain.clock == "event":
        step_lists = [np.unique(np.append(arrival[arrival > 0], 0)) for arrival in recorded.arrival]
    else:
        step_lists = [np.arange(length) for length in recorded.lengths]
    frames = np.array([len(steps) for steps in step_lists], np.int32)
    padded = [np.pad(steps, (0, frames.max() - len(steps)), mode="edge") for steps in step_lists]
    return np.stack(padded).astype(np.int32), frames


def _write_facts(file: h5py.File, recorded: Trajectories, name: str, frames: int) -> None:
    domain = recorded.domain
    file.attrs["dataset_name"] = name
    file.attrs["grid_type"] = "cartesian"
    file.attrs["n_spatial_dims"] = 2
    file.attrs["n_trajectories"] = len(recorded)
    _write_scalars(file, domain, recorded.params)
    group = file.create_group("dimensions")
    _set_names(group, "spatial_dims", _AXES)
    lengths = {"time": frames} | dict(zip(_AXES, domain.shape, strict=True))
    for axis, length in lengths.items():
        group[axis] = np.arange(length, dtype=np.float32)
        group[axis].attrs.update({"sample_varying": False, "time_varying": False})
    _write_boundaries(file.create_group("boundary_conditions"), domain)


def _write_scalars(file: h5py.File, domain: Domain, params: NDArray[np.float64]) -> None:
    """Write each parameter as one number if it is the same for all trajectories, else as one a trajectory."""
    group = file.create_group("scalars")
    _set_names(group, "field_names", [p.name for p in domain.parameters])
    constant = [p.name for p in domain.parameters if p.high == p.low]
    _set_names(file, "simulation_parameters", constant)
    for column, parameter in enumerate(domain.parameters):
        values, varies = params[:, column].astype(np.float32), parameter.high > parameter.low
        group[parameter.name] = values if varies else values[0]
        group[parameter.name].attrs.update({"sample_varying": varies, "time_varying": False})
        if not varies:
            file.attrs[parameter.name] = parameter.low


def _write_boundaries(group: h5py.Group, domain: Domain) -> None:
    """Write the boundaries: a closed or mirrored end is a wall; a quadrant has its mirrors at its axes."""
    quadrant = domain.lattice == "hexagonal-quadrant"
    for axis, length, boundary in zip(_AXES, domain.shape, domain.boundaries, strict=True):
        kind = WELL_KINDS[boundary]
        sides = [("wall" if quadrant else kind, 0), (kind, -1)]
        for kind in sorted({kind for kind, _ in sides}):
            mask = np.zeros(length, bool)
            mask[[at for k, at in sides if k == kind]] = True
            boundary = group.create_group(f"{axis}_{kind}")
            _set_names(boundary, "associated_dims", [axis])
            _set_names(boundary, "associated_fields", [])
            boundary.attrs.update({"bc_type": kind.upper(), "sample_varying": False, "time_varying": False})
            boundary["mask"] = mask


def _write_fields(file: h5py.File, recorded: Trajectories, steps: NDArray[np.int32]) -> None:
    domain, shape = recorded.domain, (*steps.shape, *recorded.domain.shape)
    group = file.create_group("t0_fields")
    _set_names(group, "field_names", domain.channels)
    chunk = (1, max(1, min(shape[1], _CHUNK_BYTES // (4 * domain.sites))), *domain.shape)
    packing = {"chunks": chunk, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    fields = [group.create_dataset(name, shape, np.float32, **packing) for name in domain.channels]
    for field in fields:
        field.attrs.update({"dim_varying": [True, True], "sample_varying": True, "time_varying": True})
    for i in range(len(recorded)):
        states = recorded.at(np.full(len(steps[i]), i), steps[i])  # [T, C, H, W]
        for c, field in enumerate(fields):
            field[i] = states[:, c]
    for order in ("t1_fields", "t2_fields"):
        _set_names(file.create_group(order), "field_names", [])


def _set_names(group: h5py.Group, attribute: str, names: Any) -> None:
    group.attrs.create(attribute, list(names), (len(names),), h5py.string_dtype())
