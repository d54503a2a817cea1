"""Grids: one entry of a suite that stands for many simulators, a combination of values each.

They are counted before they are built: a line of a file can ask for more of them than there is memory.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

from nsbench.suite.places import Places
from nsbench.suite.yaml import MAX_VALUES, Document, Fault

MAX_TRIALS = 10_000
MAX_MULTIPLIED = 10 * MAX_VALUES
"""The most values of a suite's simulators when their grids are multiplied out."""

_LONGER_THAN_NAMES = 65
"""Characters to which text in a name is cut: as a name it is too long either way."""


def expand_grids(document: Document, faults: list[Fault]) -> Document:
    """The document with one simulator for each combination of a grid, named after the values."""
    entries = document.data.get("simulators")
    if not isinstance(entries, list):
        return document
    places = document.places.branch("simulators")
    expanded: list[Any] = []
    branches: dict[str | int, Places] = {}
    allowed, values = MAX_TRIALS // _trials_of_one(document.data), MAX_MULTIPLIED
    for i, entry in enumerate(entries):
        grid = entry.get("grid") if isinstance(entry, dict) else None
        if grid:
            count = _count(grid)
            values -= count * _size_of_one(entry) if count else 0
            if fault := _fault(count, allowed - len(expanded), values):
                faults.append(document.fault(("simulators", i, "grid"), fault))
                continue
        for combination in _combinations(entry) if grid else [entry]:
            branches[len(expanded)] = places.branch(i)  # shared, not copied
            expanded.append(combination)
    multiplied = document.places.with_branch(("simulators",), Places(places.place, branches))
    return Document({**document.data, "simulators": expanded}, multiplied)


def _trials_of_one(data: dict[str, Any]) -> int:
    """The number of trials that each simulator of a suite has, as far as its numbers are numbers; at least 1."""
    datasets, replicates = data.get("datasets"), data.get("replicates")
    sizes = len(datasets) if isinstance(datasets, list) else 1, replicates if isinstance(replicates, int) else 1
    return min(MAX_TRIALS, math.prod(max(1, size) for size in sizes))


def _count(grid: Any) -> int:
    """The number of combinations; 0 for what is no grid."""
    is_grid = isinstance(grid, dict) and all(isinstance(values, list) for values in grid.values())
    return math.prod(map(len, grid.values())) if is_grid else 0


def _fault(count: int, allowed: int, values_left: int) -> str:
    if not count:
        return "must be parameter: [values]"
    if count > allowed:
        return f"too many combinations: a suite has at most {MAX_TRIALS:,} trials"
    return f"more than {MAX_MULTIPLIED:,} values, multiplied out" if values_left < 0 else ""


def _size_of_one(entry: dict[str, Any]) -> int:
    """The most values that a combination of an entry's grid has."""
    rest = {key: value for key, value in entry.items() if key != "grid"}
    return _size(rest) + sum(max(map(_size, values)) for values in entry["grid"].values())


def _size(value: Any) -> int:
    """The number of values in plain data."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, inner))


def _combinations(entry: dict[str, Any]) -> Iterator[Any]:
    """The simulators that an entry with a grid stands for, one for each combination."""
    grid = entry["grid"]
    rest = {k: v for k, v in entry.items() if k != "grid"}
    params = rest.get("params") or {}
    if not isinstance(params, dict):
        yield rest  # the suite's own schema says what is wrong with it
        return
    name = _cut(rest.get("as") or rest.get("use"))
    words = [[f"{_cut(key)}_{_cut(value)}" for value in values] for key, values in grid.items()]
    for values, texts in zip(itertools.product(*grid.values()), itertools.product(*words), strict=True):
        full_name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{name}-{'-'.join(texts)}")
        yield rest | {"params": params | dict(zip(grid, values, strict=True)), "as": full_name}


def _cut(value: Any) -> str:
    return f"{value!s:.{_LONGER_THAN_NAMES}}"
