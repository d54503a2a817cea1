"""The kinds of states, and the trajectories that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, States
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories

KINDS: dict[States, type[Trajectories]] = {
    "growth": GrowthTrajectories,
    "labels": LabelTrajectories,
    "fields": FieldTrajectories,
}
"""What the states of a domain are -> the trajectories that hold them. Growth that melts is held by fields."""


def trajectories_of(domain: Domain, arrays: Mapping[str, Any]) -> Trajectories:
    """The trajectories that such arrays make, of the kind whose states are among them. Raises ValueError, TypeError."""
    held = {kind.held: kind for kind in KINDS.values()}
    named = [name for name in held if name in arrays]
    if len(named) != 1:
        raise ValueError(f"states must be in one of {', '.join(held)}, got {', '.join(named) or 'none of them'}")
    return held[named[0]](domain=domain, **arrays)
