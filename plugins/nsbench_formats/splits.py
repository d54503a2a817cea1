"""The splits train, val and test: found below a path, or cut from data that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Split
from nsbench.components.format import unreadable
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
            raise unreadable(root, f"{split} is there more than once: {', '.join(p.name for p in paths[:4])}")
        if not paths:
            names = ", ".join(p.name for paths in candidates.values() for p in paths)
            raise unreadable(root, f"holds {names}, but no {' or '.join(NAMES[split])}")
    return {split: paths[0] for split, paths in candidates.items()}


def _name(path: Path) -> str:
    return path.name if path.is_dir() else path.name.partition(".")[0]


def cut(params: NDArray[np.float64], split: Split, fractions: Fractions) -> NDArray[np.int64]:
    """The index, in ascending order, of the trajectories of a split.

    params: float64[n, P]. Trajectories with the same parameters are kept together. Where all have the same, each may
    be a window of one simulation, the next of its neighbour: then the splits are blocks in the files' order, with
    `fractions.gap` trajectories left out between them. Raises ValueError for too few to give each split one.
    """
    sets = np.unique(params, axis=0, return_inverse=True)[1].reshape(-1)
    count = int(sets.max(initial=-1)) + 1
    if count == 1:
        return _block(len(params), split, fractions)
    if count < 3:
        raise ValueError(f"train, val and test need at least three parameter sets, there are {count}")
    order = np.random.default_rng(fractions.seed).permutation(count)
    val, test = _sizes(count, fractions)
    chosen = {"val": order[:val], "test": order[val : val + test], "train": order[val + test :]}[split]
    return np.flatnonzero(np.isin(sets, chosen))


def _block(count: int, split: Split, fractions: Fractions) -> NDArray[np.int64]:
    """The block of a split among so many trajectories in a row; the seed draws which block comes first."""
    gap = fractions.gap
    usable = count - 2 * gap
    if usable < 3:
        raise ValueError(
            f"all {count} trajectories have the same parameters and may be windows of one simulation, so train, val "
            f"and test are blocks with {gap} left out between them (gap); that needs {3 + 2 * gap}. "
            "Give more, or, if they are independent of each other, gap: 0 and at least three"
        )
    val, test = _sizes(usable, fractions)
    sizes: list[tuple[Split, int]] = [("train", usable - val - test), ("val", val), ("test", test)]
    first = 0
    for k in np.random.default_rng(fractions.seed).permutation(len(sizes)):
        name, size = sizes[k]
        if name == split:
            break
        first += size + gap
    return np.arange(first, first + size)


def _sizes(count: int, fractions: Fractions) -> tuple[int, int]:
    """How many of at least three are val, and test; each split gets one."""
    val = max(1, round(fractions.val * count))
    test = max(1, min(round(fractions.test * count), count - val - 1))
    return min(val, count - test - 1), test
