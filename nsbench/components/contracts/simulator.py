"""Checks of what simulators return, made where it is returned: a breach names the method, what came and what is right.

A breach fails its trial and no other; the same functions serve `nsbench check`. Those of datasets and metrics are
apart, because the code of this module is in the key of everything simulated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.components.contracts.broken import BrokenContract, kind_of
from nsbench.components.contracts.numbers import real, whole
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories


def require_rollout(simulator: Simulator, rollout: object, start: Trajectories, steps: int) -> Trajectories:
    """The rollout, if it is one of the cases in `start`. Raises BrokenContract."""

    def require(holds: bool, right: str, got: str) -> None:
        if not holds:
            raise BrokenContract(simulator, "rollout", f"returned {got}", f"it must {right}")

    if not isinstance(rollout, Trajectories):
        raise BrokenContract(
            simulator, "rollout", f"returned {kind_of(rollout)}", f"it must return Trajectories, got {kind_of(rollout)}"
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
    changed = np.flatnonzero((rollout.frame(0) != start.frame(0)).any(axis=(1, 2, 3)))
    require(
        not len(changed),
        "begin with the start's own state, as frame 0",
        f"another first frame, first for trajectory {changed[:1]}",
    )
    return rollout


def require_nats(simulator: Simulator, nats: object, count: int) -> NDArray[np.float64]:
    """The log-likelihoods of `count` transitions, float64[count]. Raises BrokenContract."""
    right = f"it must return {count} finite numbers, float64[{count}], nats a transition"
    if not isinstance(nats, np.ndarray) or nats.shape != (count,) or nats.dtype.kind != "f":
        raise BrokenContract(simulator, "log_likelihood", f"returned {kind_of(nats)}", right)
    if not np.isfinite(nats).all():
        bad = np.flatnonzero(~np.isfinite(nats))
        raise BrokenContract(simulator, "log_likelihood", f"{len(bad)} of {count} values are NaN or infinite", right)
    return nats.astype(np.float64)


def require_size(simulator: Simulator, size: object) -> int | None:
    """The number of learned parameters, or None. Raises BrokenContract."""
    number = whole(size)
    if size is None or (number is not None and number >= 0):
        return number
    raise BrokenContract(simulator, "size", f"returned {size!r:.60}", "it must return a whole number, or None")


def require_flops(simulator: Simulator, flops: object) -> float | None:
    """The floating-point operations of a trajectory, or None. Raises BrokenContract."""
    number = real(flops)
    if flops is None or (number is not None and math.isfinite(number) and number >= 0):
        return number
    raise BrokenContract(simulator, "flops", f"returned {flops!r:.60}", "it must return a finite number, or None")


def require_saved(simulator: Simulator, learned: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Raise BrokenContract for a simulator that learned something and does not save it.

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
