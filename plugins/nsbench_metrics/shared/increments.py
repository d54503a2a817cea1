"""Growth of an observable from frame to frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Observable
from nsbench_metrics.shared.lead_times import observed


def increments(trajectories: Trajectories, last: int, observable: Observable) -> NDArray[np.float64]:
    """Gains of an observable from each frame to the next, float64[n, L]; 0 where a trajectory has ended."""
    return np.diff(observed(trajectories, last, [observable], first=0)[:, :, 0], axis=1)
