"""What datasets, fits and metrics must leave, checked where it is returned, by the stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from nsbench.components.component import Dataset, Metric, Score, Simulator, Split
from nsbench.components.contracts.simulator import BrokenContract, kind_of
from nsbench.trajectories.growth import Domain, Trajectories


def require_saved(simulator: Simulator, learned: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """A simulator that learned something must save it. Raises BrokenContract.

    learned, before: the instance's attributes after and before its fit.
    """
    new = sorted(name for name in learned if name not in before or learned[name] is not before[name])
    if new and type(simulator).save is Simulator.save:
        raise BrokenContract(
            simulator,
            "fit",
            f"learned {', '.join(new)}, which nothing saves",
            "define save(directory) and load(directory): rollouts come from a new instance that has loaded",
        )


def require_recorded(dataset: Dataset, made: object, domain: object, method: str, split: Split) -> Trajectories:
    """What a dataset made of a split, if it can be used. Raises BrokenContract."""
    if not isinstance(domain, Domain):
        raise BrokenContract(dataset, "domain", f"is {kind_of(domain)}", "it must be a nsbench.Domain")
    if not isinstance(made, Trajectories):
        raise BrokenContract(dataset, method, f"returned {kind_of(made)} for {split}", "it must return Trajectories")
    if made.domain.describe() != domain.describe():
        differing = [name for name, fact in domain.describe().items() if made.domain.describe()[name] != fact]
        raise BrokenContract(
            dataset,
            method,
            f"returned trajectories of another domain for {split} ({', '.join(differing)} differ)",
            "they must be of the dataset's own domain, unframed (stride=None)",
        )
    if not len(made):
        raise BrokenContract(dataset, method, f"returned no trajectory for {split}", "a split holds at least one")
    return made


def require_parts(dataset: Dataset, parts: object) -> int:
    """In how many parts a split is made. Raises BrokenContract."""
    if isinstance(parts, int | np.integer) and parts >= 1:
        return int(parts)
    raise BrokenContract(dataset, "parts", f"returned {parts!r:.60}", "it must return a whole number >= 1")


def require_score(metric: Metric, score: object) -> Score:
    """The score, its numbers as plain floats. Raises BrokenContract."""

    def number(value: object, what: str) -> float:
        if not isinstance(value, Real) or not math.isfinite(value):
            got = f"returned {value!r:.60} for {what}"
            raise BrokenContract(
                metric, "score", got, "it must be a finite number; raise NotApplicable where there is none"
            )
        return float(value)

    if not isinstance(score, Score):
        raise BrokenContract(metric, "score", f"returned {kind_of(score)}", "it must return a nsbench.Score")
    interval = score.interval
    if interval is not None and (not isinstance(interval, tuple | list) or len(interval) != 2):
        raise BrokenContract(
            metric, "score", f"returned {interval!r:.60} for its interval", "it must be (low, high), or None"
        )
    if not isinstance(score.items, np.ndarray) or score.items.dtype.kind not in "fiub":
        raise BrokenContract(
            metric, "score", f"returned {kind_of(score.items)} for its items", "they must be float64[k]"
        )
    if score.figure is not None and not isinstance(score.figure, bytes):
        raise BrokenContract(
            metric, "score", f"returned {kind_of(score.figure)} for its figure", "it must be a PNG's bytes"
        )
    return Score(
        value=number(score.value, "its value"),
        interval=None
        if interval is None
        else (number(interval[0], "its low end"), number(interval[1], "its high end")),
        items=score.items,
        extras={str(name): number(value, f"its extra {name!r}") for name, value in score.extras.items()},
        figure=score.figure,
        label=score.label,
        unit=score.unit,
    )
