"""States and observables at lead times: frames 1, 2, …, L after the start, L the length of the longest truth.

L is the same for every simulator, so that all are judged over the same time. A trajectory that has ended stays in its
last state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsbench.components.metric import NotApplicable
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Observable

Array = NDArray[np.float64]


def last_lead(reference: Trajectories) -> int:
    """L, the frames after the start of the longest truth. Raises NotApplicable where nothing happens."""
    last = int(reference.lengths.max(initial=1)) - 1
    if last < 1:
        raise NotApplicable("no truth has a frame after its start")
    return last


def state_at(trajectories: Trajectories, index: NDArray[np.int64], t: int) -> Array:
    """States at frame t, float64[*index.shape, C, H, W]."""
    flat = trajectories.at(index.ravel(), np.full(index.size, t))
    return flat.reshape(*index.shape, *flat.shape[1:]).astype(np.float64)


def observed(trajectories: Trajectories, last: int, observables: Sequence[Observable], first: int = 1) -> Array:
    """Each observable of each trajectory at lead times 1 (or `first`) to L, float64[n, L, K]."""
    frames = (trajectories.frame(t) for t in range(first, last + 1))
    return np.stack([np.stack([o.function(frame) for o in observables], axis=1) for frame in frames], axis=1)
