"""States and observables at lead times: frames 1, 2, …, L after the start, L the length of the longest truth.

L is the same for every simulator, so that all are judged over the same time. A trajectory that has ended stays in its
last state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nsbench.components.metric import NotApplicable
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Observable
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.stored import LARGE_BYTES, StoredFields, in_files

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


def near(trajectories: Trajectories, index: NDArray[np.int64]) -> tuple[Trajectories, NDArray[np.int64]]:
    """Trajectories that lie in files, read once for all of their frames: those at `index`, and where each is now.

    Others as they are.
    """
    if _stored(trajectories) is not None:
        return trajectories.select(index.ravel()), np.arange(index.size).reshape(index.shape)
    return trajectories, index


def observed(trajectories: Trajectories, last: int, observables: Sequence[Observable], first: int = 1) -> Array:
    """Each observable of each trajectory at lead times 1 (or `first`) to L, float64[n, L, K]."""
    parts = []
    for some in pieces(trajectories):
        frames = (some.frame(t) for t in range(first, last + 1))
        parts.append(np.stack([np.stack([o.function(f) for o in observables], axis=1) for f in frames], axis=1))
    return np.concatenate(parts)


def pieces(trajectories: Trajectories) -> Iterator[Trajectories]:
    """The trajectories in order, in pieces that memory holds: all at once unless they lie in files."""
    stored = _stored(trajectories)
    if stored is None:
        yield trajectories
        return
    step = max(1, LARGE_BYTES // 2 * len(stored) // stored.nbytes)
    for first in range(0, len(stored), step):
        yield trajectories.select(slice(first, first + step))


def _stored(trajectories: Trajectories) -> StoredFields | None:
    """The dense fields of trajectories that lie in files; None for others."""
    return in_files(trajectories.values) if isinstance(trajectories, FieldTrajectories) else None
