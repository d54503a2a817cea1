"""Held-out regions of parameters: which trajectories lie in them, and a score inside and outside of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.metric import Score
from nsbench.components.protocol import Protocol
from nsbench.errors import Refusal
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles

COLUMNS = (("inside", "held out"), ("outside", "not held out"))
"""(name of an extra, heading) of the scores on the two kinds of cases."""


class BadHoldout(Refusal):
    """The protocol holds all data out of a fit, or names a parameter that the dataset does not have."""


def held_out(trajectories: Trajectories, protocol: Protocol) -> NDArray[np.bool_]:
    """Whether a parameter of each trajectory lies in a range of the protocol's holdout, bool[n]. Raises BadHoldout."""
    inside = np.zeros(len(trajectories), dtype=bool)
    names = [parameter.name for parameter in trajectories.domain.parameters]
    for name, ranges in protocol.holdout.items():
        if name not in names:
            raise BadHoldout(f"protocol.holdout: no parameter {name!r:.80}; there are {', '.join(names)}")
        values = trajectories.params[:, names.index(name)]
        for low, high in ranges:
            inside |= (low <= values) & (values <= high)
    return inside


def inside_and_outside(
    score: Score, items_by: str | None, reference: Trajectories, protocol: Protocol
) -> dict[str, float]:
    """A score's mean over the test cases inside of the held-out regions, and over those outside, by name.

    Items that are NaN were not evaluated and count nowhere. Nothing for a score whose items are not by ensemble or
    transition, or where all that was evaluated lies on one side.
    """
    inside = held_out(reference, protocol)
    if items_by == "transition":
        inside = inside[reference.transitions()[0]]
    elif items_by == "ensemble":
        inside = np.array([inside[cases[0]] for group in ensembles(reference, 1) for cases in group.cases])
    else:
        return {}
    if len(inside) != len(score.items) or inside.all() or not inside.any():
        return {}
    sides = {"inside": score.items[inside], "outside": score.items[~inside]}
    if any(np.isnan(items).all() for items in sides.values()):
        return {}
    return {name: float(np.nanmean(items)) for name, items in sides.items()}
