"""Files that ask for more than they are: for tests of those who read them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nsbench.components.protocol import Protocol
from nsbench.submissions.cases import cases_digest
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.fields import FieldTrajectories

PROTOCOL = Protocol(stride=1, horizon=3)
DOMAIN = Domain(
    "square",
    (2, 2),
    ("u",),
    "fields",
    (Parameter("a", 0, 1),),
    "a",
    (Observable("mean", "1", lambda state: state.mean(axis=(1, 2, 3)).astype(np.float64)),),
    stride=1,
)


def walks(frames: int = 4) -> FieldTrajectories:
    """Two walks of one number on 2 × 2 sites that never stop."""
    values = np.arange(2 * frames * 4, dtype=np.float32).reshape(2, frames, 1, 2, 2)
    return FieldTrajectories(np.array([[0.0], [1.0]]), np.full(2, frames, np.int32), DOMAIN, values)


def rollouts(path: Path, change: Callable[[h5py.File], object] = lambda file: None) -> Path:
    """A file of rollouts of the walks, changed."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["cases"] = cases_digest(walks().start(), PROTOCOL)
        file["lengths"], file["values"] = walks().lengths, walks().values
        change(file)
    return path


def well(path: Path, change: Callable[[h5py.File], object] = lambda file: None) -> Path:
    """A file in The Well's layout, changed: two trajectories of u and the scalar a."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update({"n_trajectories": 2, "n_spatial_dims": 2, "dataset_name": "d", "grid_type": "cartesian"})
        file["dimensions/time"] = np.arange(4, dtype=np.float32)
        file["dimensions/x"], file["dimensions/y"] = np.arange(2), np.arange(2)
        file["dimensions"].attrs["spatial_dims"] = ["x", "y"]
        file["scalars/a"] = np.array([0.0, 1.0])
        file["scalars/a"].attrs.update({"sample_varying": True, "time_varying": False})
        file["scalars"].attrs["field_names"] = ["a"]
        for order in ("t0_fields", "t1_fields", "t2_fields"):
            names = ["u"] if order == "t0_fields" else []
            file.create_group(order).attrs.create("field_names", names, (len(names),), h5py.string_dtype())
        file["t0_fields/u"] = walks().values[:, :, 0]
        file["t0_fields/u"].attrs.update({"sample_varying": True, "time_varying": True, "dim_varying": [True, True]})
        change(file)
    return path


def npz(path: Path, packing: int = zipfile.ZIP_DEFLATED, **changed: Any) -> Path:
    """nsbench's own arrays of the walks; an array changed, or the bytes of its entry."""
    domain = json.dumps(DOMAIN.describe() | {"stride": None})
    entries = {"domain": np.array(domain)} | walks().arrays() | changed
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, value in entries.items():
            archive.writestr(f"{name}.npy", value if isinstance(value, bytes) else array_bytes(value))
    return path


def array_bytes(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=False)
    return file.getvalue()


def header_bytes(shape: tuple[int, ...], dtype: str = "<f8", version: tuple[int, int] = (1, 0)) -> bytes:
    """The header of an array, and nothing of the array."""
    file = io.BytesIO()
    write = np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0
    write(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def sparse(path: Path, size: int) -> Path:
    """A file that is all hole."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def replace(name: str, shape: tuple[int, ...], dtype: Any = np.float32, **how: Any) -> Callable[[h5py.File], None]:
    """A change: a dataset of another shape, of which nothing is written, with the attributes that it had."""

    def change(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, shape, dtype, **how).attrs.update(attributes)

    return change


def filled(name: str, shape: tuple[int, ...], value: float = 0, **how: Any) -> Callable[[h5py.File], None]:
    """A change: a dataset of another shape, all one value."""

    def change(file: h5py.File) -> None:
        replace(name, shape, **how)(file)
        file[name][...] = np.full(shape, value, file[name].dtype)  # one value for all would be written bit by bit

    return change
