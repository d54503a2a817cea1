"""Fields: real numbers at every site, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import require_array
from nsbench.trajectories.dense import DenseTrajectories
from nsbench.trajectories.stored import StoredFields, in_files, in_pieces


@dataclass(frozen=True, eq=False)
class FieldTrajectories(DenseTrajectories):
    """Dense fields: values float32[n, T, C, H, W], of which ``lengths`` frames are valid.

    Values of more than 64 MiB may stay in their files: then ``values`` is a ``StoredFields``, which is read where it is
    indexed. Take states with ``at``, and memory holds what is needed.
    """

    held: ClassVar[str] = "values"
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values.ndim != 5:
            raise ValueError(f"values must be [n, T, C, H, W], got {self.values.ndim} axes")
        expected = (len(self), self.values.shape[1], len(self.domain.channels), *self.domain.shape)
        require_array(self.values, "values", np.float32, expected)
        self._require_frames()

    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.values[index, np.minimum(t, self.lengths[index] - 1)]

    def stopped(self) -> Self:
        sites = self.domain.stop_sites()
        if not sites.any():
            return self
        reached = np.concatenate([v[:, :, :, sites].max(axis=(2, 3)) > 0.5 for v in in_pieces(self.values)])  # [n, T]
        first = np.where(reached.any(axis=1), reached.argmax(axis=1), self.values.shape[1])
        return replace(self, lengths=np.minimum(self.lengths, first + 1).astype(np.int32))

    @classmethod
    def _together(cls, parts: Sequence[Self]) -> NDArray[Any]:
        stored = [fields for part in parts if (fields := in_files(part.values)) is not None]
        return StoredFields.joined(stored).at_hand() if len(stored) == len(parts) else super()._together(parts)

    def _chosen(self, index: NDArray[np.integer] | slice) -> NDArray[Any]:
        stored = in_files(self.values)
        return super()._chosen(index) if stored is None else stored.select(index).at_hand()

    def _cut(self, frames: slice) -> NDArray[Any]:
        stored = in_files(self.values)
        return super()._cut(frames) if stored is None else stored.cut(frames).at_hand()
