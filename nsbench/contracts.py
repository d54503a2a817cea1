"""What components must return, checked where it is returned: a breach names the method, what came and what would do.

A breach fails its trial and no other; the same functions serve `nsbench check`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.components import Component, Dataset, Metric, Score, Simulator, Split
from nsbench.trajectories import Domain, FieldTrajectories, Trajectories


class BrokenContract(Exception):
    """A component did what its base class does not allow: in which method, what, and what would be right."""

    def __init__(self, component: Component, method: str, got: str, right: str) -> None:
        cls = type(component)
        super().__init__(f"{cls.__module__}:{cls.__qualname__}.{method}: {got}; {right}")
        self.component, self.method, self.got, self.right = component, method, got, right


def require_rollout(simulator: Simulator, rollout: object, start: Trajectories, steps: int) -> Trajectories:
    """The rollout, if it is one of these cases. Raises BrokenContract."""

    def require(holds: bool, right: str, got: str) -> None:
        if not holds:
            raise BrokenContract(simulator, "rollout", f"returned {got}", f"it must {right}")

    if not isinstance(rollout, Trajectories):
        raise BrokenContract(
            simulator, "rollout", f"returned {_kind(rollout)}", f"it must return Trajectories, got {_kind(rollout)}"
        )
    differing = [name for name, fact in start.domain.describe().items() if rollout.domain.describe()[name] != fact]
    require(
        rollout.domain == start.domain,
        "keep the domain of its start, as the very object start.domain",
        f"trajectories of another domain ({', '.join(differing) or 'other observables'} differ)",
    )
    require(
        len(rollout) == len(start),
        f"return the trajectories of its start, in order, with their parameters: {len(start)} of them",
        f"{len(rollout)} trajectories",
    )
    moved = np.flatnonzero((rollout.params != start.params).any(axis=1))
    require(
        not len(moved),
        "return the trajectories of its start, in order, with their parameters",
        f"other parameters, first for trajectory {moved[:1]}",
    )
    longest = int(rollout.lengths.max(initial=1)) - 1
    require(longest <= steps, f"simulate at most {steps} frames, got {longest}", "trajectories that are too long")
    require(
        not isinstance(rollout, FieldTrajectories) or bool(np.isfinite(rollout.values).all()),
        "return finite numbers",
        "states that are NaN or infinite",
    )
    other = np.flatnonzero((rollout.frame(0) != start.frame(0)).any(axis=(1, 2, 3)))
    require(
        not len(other),
        "begin with the start's own state, as frame 0",
        f"another first frame, first for trajectory {other[:1]}",
    )
    return rollout


def require_nats(simulator: Simulator, nats: object, count: int) -> NDArray[np.float64]:
    """Log-likelihoods of so many transitions, float64[count]. Raises BrokenContract."""
    right = f"it must return {count} finite numbers, float64[{count}], nats a transition"
    if not isinstance(nats, np.ndarray) or nats.shape != (count,) or nats.dtype.kind != "f":
        raise BrokenContract(simulator, "log_likelihood", f"returned {_kind(nats)}", right)
    if not np.isfinite(nats).all():
        bad = np.flatnonzero(~np.isfinite(nats))
        raise BrokenContract(simulator, "log_likelihood", f"{len(bad)} of {count} values are NaN or infinite", right)
    return nats.astype(np.float64)


def require_size(simulator: Simulator, size: object) -> int | None:
    """How many numbers were learned. Raises BrokenContract."""
    if size is None or (isinstance(size, int | np.integer) and size >= 0):
        return None if size is None else int(size)
    raise BrokenContract(simulator, "size", f"returned {size!r:.60}", "it must return a whole number, or None")


def require_flops(simulator: Simulator, flops: object) -> float | None:
    """Operations a trajectory. Raises BrokenContract."""
    if flops is None or (isinstance(flops, Real) and math.isfinite(flops) and float(flops) >= 0):
        return None if flops is None else float(flops)
    raise BrokenContract(simulator, "flops", f"returned {flops!r:.60}", "it must return a finite number, or None")


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
        raise BrokenContract(dataset, "domain", f"is {_kind(domain)}", "it must be a nsbench.trajectories.Domain")
    if not isinstance(made, Trajectories):
        raise BrokenContract(dataset, method, f"returned {_kind(made)} for {split}", "it must return Trajectories")
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
        raise BrokenContract(metric, "score", f"returned {_kind(score)}", "it must return a nsbench.components.Score")
    interval = score.interval
    if interval is not None and (not isinstance(interval, tuple | list) or len(interval) != 2):
        raise BrokenContract(
            metric, "score", f"returned {interval!r:.60} for its interval", "it must be (low, high), or None"
        )
    if not isinstance(score.items, np.ndarray) or score.items.dtype.kind not in "fiub":
        raise BrokenContract(metric, "score", f"returned {_kind(score.items)} for its items", "they must be float64[k]")
    if score.figure is not None and not isinstance(score.figure, bytes):
        raise BrokenContract(
            metric, "score", f"returned {_kind(score.figure)} for its figure", "it must be a PNG's bytes"
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


def _kind(thing: object) -> str:
    if isinstance(thing, np.ndarray):
        return f"{type(thing).__name__} {thing.dtype.name}{list(thing.shape)}"
    return type(thing).__name__
