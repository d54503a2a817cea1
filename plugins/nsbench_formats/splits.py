"""The splits train, val and test: found below a path, or cut from data that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Split, UnreadableData
from nsbench_formats.params import Fractions

NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}
"""The names that a split's folder, or its file up to the first dot, may have."""


def find_splits(root: Path) -> dict[Split, Path]:
    """The splits that lie below `root` or its folder `data`; none for a file or data that is not split.

    Raises UnreadableData where a split is missing or is there twice.
    """
    candidates: dict[Split, list[Path]] = {
        split: sorted(
            p for folder in (root, root / "data") if folder.is_dir() for p in folder.iterdir() if _name(p) in names
        )
        for split, names in NAMES.items()
    }
    if not any(candidates.values()):
        return {}
    for split, paths in candidates.items():
        if len(paths) > 1:
            raise UnreadableData(f"{root}: {split} is there more than once: {', '.join(p.name for p in paths)}")
        if not paths:
            names = ", ".join(p.name for paths in candidates.values() for p in paths)
            raise UnreadableData(f"{root}: holds {names}, but no {' or '.join(NAMES[split])}")
    return {split: paths[0] for split, paths in candidates.items()}


def _name(path: Path) -> str:
    return path.name if path.is_dir() else path.name.partition(".")[0]


def cut(params: NDArray[np.float64], split: Split, fractions: Fractions) -> NDArray[np.int64]:
    """The index, in ascending order, of the trajectories of a split.

    params: float64[n, P]. Trajectories with the same parameters are kept together; where all have the same,
    each counts as a set. Raises ValueError for fewer than three sets, one for each split.
    """
    sets = np.unique(params, axis=0, return_inverse=True)[1].reshape(-1)
    if len(sets) and sets.max() == 0:
        sets = np.arange(len(params))
    count = int(sets.max(initial=-1)) + 1
    if count < 3:
        raise ValueError(f"train, val and test need at least three parameter sets, there are {count}")
    order = np.random.default_rng(fractions.seed).permutation(count)
    val = max(1, round(fractions.val * count))
    test = max(1, min(round(fractions.test * count), count - val - 1))
    val = min(val, count - test - 1)
    chosen = {"val": order[:val], "test": order[val : val + test], "train": order[val + test :]}[split]
    return np.flatnonzero(np.isin(sets, chosen))
