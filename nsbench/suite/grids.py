"""Grids: one entry of a suite that stands for many simulators, a combination of values each, or some of them at random.

They are counted before they are built: a line of a file can ask for more of them than there is memory.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from nsbench.suite.places import Places
from nsbench.suite.tries import draw_tries
from nsbench.suite.yaml import MAX_VALUES, Document, Fault

MAX_TRIALS = 10_000
MAX_MULTIPLIED = 10 * MAX_VALUES
"""The most values of a suite's simulators when their grids are multiplied out."""

_LONGER_THAN_NAMES = 97
"""Characters to which text in a name is cut: as a name it is too long either way."""


def expand_grids(document: Document, faults: list[Fault]) -> Document:
    """The document with one simulator for each combination of a grid, or for each try, named after the values.

    Each has the name of its entry as its series, unless the entry names another.
    """
    entries = document.data.get("simulators")
    if not isinstance(entries, list):
        return document
    places = document.places.branch("simulators")
    expanded: list[Any] = []
    branches: dict[str | int, Places] = {}
    allowed, values = MAX_TRIALS // _trials_of_one(document.data), MAX_MULTIPLIED
    for i, entry in enumerate(entries):
        if isinstance(entry, dict) and entry.get("tries") is not None and (fault := _fault_of_tries(entry)):
            faults.append(document.fault(("simulators", i, "tries"), fault))
            continue
        grid = entry.get("grid") if isinstance(entry, dict) else None
        if grid:
            count = _count(grid) and (entry.get("tries") or _count(grid))
            values -= count * _size_of_one(entry) if count else 0
            if fault := _fault(count, allowed - len(expanded), values):
                faults.append(document.fault(("simulators", i, "grid"), fault))
                continue
        for simulator in _simulators(entry, document.data.get("seed")) if grid else [entry]:
            branches[len(expanded)] = places.branch(i)  # shared, not copied
            expanded.append(simulator)
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


def _fault_of_tries(entry: dict[str, Any]) -> str:
    """What is wrong with the tries that an entry asks for; "" if nothing is."""
    grid, tries = entry.get("grid"), entry["tries"]
    if not grid:
        return "there is no grid to draw them from; add grid: {parameter: [values]}, or leave tries out"
    if not isinstance(tries, int) or isinstance(tries, bool) or tries < 1:
        return "must be a number of combinations, 1 or more"
    if 0 < (count := _count(grid)) < tries:
        return f"the grid has {count:,} combinations, fewer than {tries:,} tries; give it more values, or ask for fewer"
    return ""


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


def _simulators(entry: dict[str, Any], seed: Any) -> Iterator[Any]:
    """The simulators that an entry with a grid stands for, one for each combination. seed: the suite's."""
    grid = entry["grid"]
    rest = {k: v for k, v in entry.items() if k not in ("grid", "tries")}
    params = rest.get("params") or {}
    if not isinstance(params, dict):
        yield rest  # the suite's own schema says what is wrong with it
        return
    name = _as_name(_cut(rest.get("as") or rest.get("use")))
    words = [[f"{_cut(key)}_{_cut(value)}" for value in values] for key, values in grid.items()]
    for indices in _combinations(grid, entry.get("tries"), name, seed):
        values = {key: grid[key][k] for key, k in zip(grid, indices, strict=True)}
        full_name = _as_name(f"{name}-{'-'.join(texts[k] for texts, k in zip(words, indices, strict=True))}")
        yield rest | {"params": params | values, "as": full_name, "series": rest.get("series") or name}


def _combinations(grid: dict[str, list[Any]], tries: int | None, name: str, seed: Any) -> Iterable[tuple[int, ...]]:
    """The combinations of a grid as indices of values: all, or tries. name: of the entry; seed: of the suite."""
    if tries is None:
        return itertools.product(*(range(len(values)) for values in grid.values()))
    return draw_tries(grid, tries, [seed if isinstance(seed, int) else 0, "tries", name])


def _as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)


def _cut(value: Any) -> str:
    return f"{value!s:.{_LONGER_THAN_NAMES}}"
