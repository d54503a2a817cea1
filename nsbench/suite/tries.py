"""Tries: combinations of a grid that are drawn at random, so that simulators can be tuned with the same effort."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nsbench.suite.seeds import Seed, generator


def draw_tries(grid: dict[str, list[Any]], tries: int, seed: Seed) -> list[tuple[int, ...]]:
    """Different combinations of a grid, as the index of each parameter's value, in the order of the draws.

    Each parameter's value is drawn by itself, and a combination that came before is drawn again: every set of
    combinations is equally likely, and their number costs nothing, be it 10⁹. The draws depend on the seed and the
    grid, not on the order of its parameters, and are nested: the first 4 of 8 tries are those of 4.
    tries: at most the number of combinations.
    """
    names = list(grid)
    by_name = sorted(range(len(names)), key=names.__getitem__)
    sizes = np.array([len(grid[names[k]]) for k in by_name])
    rng = generator([*seed, json.dumps(grid, sort_keys=True)])
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < tries:
        drawn[tuple(rng.integers(sizes).tolist())] = None
    back = np.argsort(by_name)
    return [tuple(indices[k] for k in back) for indices in drawn]
