"""Dense fields: real numbers at every site, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories, require_array
from nsbench.trajectories.stored import StoredFields, in_files, in_pieces


@dataclass(frozen=True, eq=False)
class FieldTrajectories(Trajectories):
    """Dense fields: values float32[n, T, C, H, W], of which ``lengths`` frames are valid.

    Values of more than 64 MiB may stay in their files: then ``values`` is a ``StoredFields``, which is read where it is
    indexed. Take states with ``at``, and memory holds what is needed.
    """

    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values.ndim != 5:
            raise ValueError(f"values must be [n, T, C, H, W], got {self.values.ndim} axes")
        n, frames = self.values.shape[:2]
        expected = (len(self.lengths), frames, len(self.domain.channels), *self.domain.shape)
        require_array(self.values, "values", np.float32, expected)
        if n and self.lengths.max() > frames:
            raise ValueError(f"lengths exceed the {frames} frames given")

    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.values[index, np.minimum(t, self.lengths[index] - 1)]

    def select(self, index: NDArray[np.integer] | slice) -> Self:
        stored = in_files(self.values)
        chosen = self.values[index] if stored is None else stored.select(index).at_hand()
        return replace(self, params=self.params[index], lengths=self.lengths[index], values=chosen)

    def framed(self, stride: int, horizon: int) -> Self:
        """Every stride-th frame of the record; frames after the last full stride are left out."""
        if self.domain.stride is not None:
            raise ValueError(f"these trajectories are framed already, with stride {self.domain.stride}")
        if self.domain.clock == "event":
            raise ValueError("dense fields have no event clock; declare clock='step' in the domain")
        lengths = np.minimum((self.lengths - 1) // stride, horizon) + 1
        frames = slice(0, (int(lengths.max(initial=1)) - 1) * stride + 1, stride)
        return replace(
            self,
            values=self._cut(frames),
            lengths=lengths.astype(np.int32),
            domain=replace(self.domain, stride=stride),
        )

    def stopped(self) -> Self:
        sites = self.domain.stop_sites()
        if not sites.any():
            return self
        reached = np.concatenate([v[:, :, :, sites].max(axis=(2, 3)) > 0.5 for v in in_pieces(self.values)])  # [n, T]
        first = np.where(reached.any(axis=1), reached.argmax(axis=1), self.values.shape[1])
        return replace(self, lengths=np.minimum(self.lengths, first + 1).astype(np.int32))

    def start(self) -> Self:
        return replace(self, values=self._cut(slice(1)), lengths=np.ones(len(self), dtype=np.int32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        stored = [fields for part in parts if (fields := in_files(part.values)) is not None]
        if len(stored) == len(parts):
            return cls._together(parts, StoredFields.joined(stored).at_hand())
        values = [np.asarray(part.values) for part in parts]
        frames = max(v.shape[1] for v in values)
        padded = [np.concatenate([v, *[v[:, -1:]] * (frames - v.shape[1])], axis=1) for v in values]
        return cls._together(parts, np.concatenate(padded))

    @classmethod
    def _together(cls, parts: Sequence[Self], values: NDArray[np.float32]) -> Self:
        params, lengths = (np.concatenate([getattr(p, name) for p in parts]) for name in ("params", "lengths"))
        return cls(params=params, lengths=lengths, domain=parts[0].domain, values=values)

    def _cut(self, frames: slice) -> NDArray[np.float32]:
        """The values of some frames."""
        stored = in_files(self.values)
        return np.ascontiguousarray(self.values[:, frames]) if stored is None else stored.cut(frames).at_hand()

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"params": self.params, "lengths": self.lengths, "values": self.values}
