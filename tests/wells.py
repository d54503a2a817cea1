"""Files in The Well's layout, as others write them: two fields, one or more scalars, nothing compressed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np


def write_well(path: Path, count: int, frames: int, size: int, seed: int, /, times=None, **scalars) -> None:
    """Write a file of so many trajectories. scalars: name -> values; a random rate if none are given."""
    rng, names = np.random.default_rng(seed), ["u", "v"]
    path.parent.mkdir(parents=True, exist_ok=True)
    block = rng.standard_normal((frames, size, size), np.float32).cumsum(axis=0)
    with h5py.File(path, "x") as file:
        file.attrs["n_trajectories"] = count
        for group in ("t0_fields", "t1_fields", "t2_fields", "scalars"):
            file.create_group(group).attrs["field_names"] = []
        file["t0_fields"].attrs["field_names"] = names
        scalars = scalars or {"rate": rng.uniform(size=count)}
        file["scalars"].attrs["field_names"] = list(scalars)
        for name, values in scalars.items():
            scalar = file["scalars"].create_dataset(name, data=values)
            scalar.attrs["time_varying"], scalar.attrs["sample_varying"] = False, np.ndim(values) > 0
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        dimensions["time"] = np.asarray(np.arange(frames) if times is None else times, np.float32)
        dimensions["x"] = dimensions["y"] = np.arange(size, dtype=np.float32)
        for channel, name in enumerate(names):
            field = file["t0_fields"].create_dataset(name, (count, frames, size, size), np.float32)
            field.attrs["sample_varying"] = field.attrs["time_varying"] = True
            field.attrs["dim_varying"] = [True, True]
            for k in range(count):
                field[k] = block * np.float32(1 + k / count + channel)


def write_splits(folder: Path, train: int, few: int, frames: int, size: int) -> None:
    for seed, (split, count) in enumerate({"train": train, "valid": few, "test": few}.items()):
        write_well(folder / "data" / split / "a.h5", count, frames, size, seed)
