"""Equal bins over the range of a number, by which cases of like parameters are put together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def equal_bins(x: NDArray[np.float64], bins: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(edges float64[bins + 1], bin of each number int64[n]) of equal bins over the range of x, float64[n].

    Each bin holds its lower edge, and the last one its upper edge too. Numbers that are all equal lie in the last bin.
    """
    edges = np.linspace(x.min(), x.max(), bins + 1)
    return edges, np.clip(np.searchsorted(edges, x, side="right") - 1, 0, bins - 1)
