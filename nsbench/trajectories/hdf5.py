"""Trajectories as HDF5 files, for the store and for other programs.

/params   float64[n, P]
/lengths  int32[n]
/arrival  int32[n, H, W]            growth maps, or
/values   float32[n, T, C, H, W]    dense fields
attribute "domain": JSON, see Domain.describe
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.foreign_hdf5 import require_self_contained
from nsbench.trajectories.growth import GrowthTrajectories

_CHUNK_BYTES = 1 << 20


def write_trajectories(path: Path, trajectories: Trajectories) -> None:
    """Write a new file, compressed."""
    with h5py.File(path, "x", locking=False) as file:  # no other process knows of the file yet
        file.attrs["domain"] = json.dumps(trajectories.domain.describe())
        for name, array in trajectories.arrays().items():
            rows = max(1, min(len(array), _CHUNK_BYTES // max(1, array[:1].nbytes)))
            chunks = (rows, *array.shape[1:]) if array.size else None
            packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if chunks else {}
            file.create_dataset(name, data=array, chunks=chunks, **packing)


def read_trajectories(path: Path, domain: Domain) -> Trajectories:
    """Read the trajectories of a file, which must be of that domain. Raises ValueError that names the file."""
    try:
        with h5py.File(path, "r", locking=False) as file:  # files in the store never change
            require_self_contained(file)
            described = json.loads(file.attrs["domain"])
            arrays = {name: np.asarray(file[name]) for name in file}
    except (OSError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not trajectories ({error})") from error
    if described != json.loads(json.dumps(domain.describe())):
        differing = [k for k, v in domain.describe().items() if json.loads(json.dumps(v)) != described.get(k)]
        raise ValueError(f"{path}: trajectories of another domain; {', '.join(differing)} differ")
    kind = GrowthTrajectories if "arrival" in arrays else FieldTrajectories
    try:
        return kind(domain=domain, **arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
