"""Labels: one of K at every site, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import require_array
from nsbench.trajectories.dense import DenseTrajectories


def label_type(labels: int) -> type[np.unsignedinteger[Any]]:
    """The type of an array that holds one of so many labels: uint8 for up to 256, uint16 for more."""
    return np.uint8 if labels <= 256 else np.uint16


@dataclass(frozen=True, eq=False)
class LabelTrajectories(DenseTrajectories):
    """States that hold one of K labels at each site: labels uint8[n, T, H, W], uint16 for K > 256.

    A state, as ``at`` gives it, holds the labels as numbers: float32[b, 1, H, W].
    """

    held: ClassVar[str] = "labels"
    labels: NDArray[np.unsignedinteger[Any]]

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.domain.labels
        if self.domain.states != "labels":
            raise ValueError(f"the domain's states are {self.domain.states}, not labels")
        if self.labels.ndim != 4:
            raise ValueError(f"labels must be [n, T, H, W], got {self.labels.ndim} axes")
        require_array(self.labels, "labels", label_type(count), (len(self), self.labels.shape[1], *self.domain.shape))
        if self.labels.size and self.labels.max() >= count:
            raise ValueError(f"labels must be below {count}, the domain's number of them, got {self.labels.max()}")
        self._require_frames()

    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.labels[index, np.minimum(t, self.lengths[index] - 1)][:, None].astype(np.float32)

    def stopped(self) -> Self:
        """All of them: the stop rule is one of growth and fields."""
        return self
