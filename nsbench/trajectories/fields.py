"""Dense fields: real numbers at every site, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories, require_array


@dataclass(frozen=True, eq=False)
class FieldTrajectories(Trajectories):
    """Dense fields: values float32[n, T, C, H, W], of which ``lengths`` frames are valid."""

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
        return replace(self, params=self.params[index], lengths=self.lengths[index], values=self.values[index])

    def framed(self, stride: int, horizon: int) -> Self:
        """Every stride-th frame of the record; frames after the last full stride are left out."""
        if self.domain.stride is not None:
            raise ValueError(f"these trajectories are framed already, with stride {self.domain.stride}")
        if self.domain.clock == "event":
            raise ValueError("dense fields have no event clock; declare clock='step' in the domain")
        lengths = np.minimum((self.lengths - 1) // stride, horizon) + 1
        values = self.values[:, ::stride][:, : int(lengths.max(initial=1))]
        return replace(
            self,
            values=np.ascontiguousarray(values),
            lengths=lengths.astype(np.int32),
            domain=replace(self.domain, stride=stride),
        )

    def stopped(self) -> Self:
        reached = self.values[:, :, :, self.domain.stop_sites()].max(axis=(2, 3), initial=0) > 0.5  # [n, T]
        first = np.where(reached.any(axis=1), reached.argmax(axis=1), self.values.shape[1])
        return replace(self, lengths=np.minimum(self.lengths, first + 1).astype(np.int32))

    def start(self) -> Self:
        return replace(self, values=self.values[:, :1], lengths=np.ones(len(self), dtype=np.int32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        frames = max(p.values.shape[1] for p in parts)
        padded = [np.concatenate([p.values, *[p.values[:, -1:]] * (frames - p.values.shape[1])], axis=1) for p in parts]
        return cls(
            params=np.concatenate([p.params for p in parts]),
            lengths=np.concatenate([p.lengths for p in parts]),
            domain=parts[0].domain,
            values=np.concatenate(padded),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"params": self.params, "lengths": self.lengths, "values": self.values}
