"""States as vectors, in which distances between states of any kind mean something.

growth  the one channel, 0 or 1: the squared distance of two states is the number of sites that differ.
labels  a channel for each label, 1/√2 where a site holds it, else 0: the squared distance is the number of sites that
        differ, and no label is nearer to one than to another.
fields  the channels as they are; metrics divide each by its unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.metric import NotApplicable
from nsbench.trajectories.domain import Domain

Array = NDArray[np.float64]

MOST_LABELS = 256
"""The largest number of labels that states are compared by: each takes a channel."""


def width(domain: Domain) -> int:
    """The number of channels of a state as a vector. Raises NotApplicable for more than 256 labels."""
    if domain.states != "labels":
        return len(domain.channels)
    if domain.labels > MOST_LABELS:
        raise NotApplicable(
            f"states of {domain.labels:,} labels are not compared site by site, which takes a channel for each: "
            f"{MOST_LABELS} are the most"
        )
    return domain.labels


def as_vectors(states: Array, domain: Domain) -> Array:
    """States float64[..., C, H, W] of a domain as vectors, float64[..., width(domain), H, W]."""
    if domain.states != "labels":
        return states
    return np.where(states == np.arange(width(domain))[:, None, None], np.sqrt(0.5), 0.0)


def event_threshold(domain: Domain, threshold: float) -> float:
    """The number above which a channel of a vector says that an event happened; of labels: that a site holds it."""
    return 0.0 if domain.states == "labels" else threshold


def require_numbers(domain: Domain) -> None:
    """Raise NotApplicable for states that are labels."""
    if domain.states == "labels":
        raise NotApplicable("states are labels: no site attaches, and no label is larger than another")
