"""Dense trajectories: a number at every site, frame by frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories


@dataclass(frozen=True, eq=False)
class DenseTrajectories(Trajectories):
    """The base class of trajectories whose states are an array [n, T, ...], of which ``lengths`` frames are valid."""

    @property
    def frames(self) -> NDArray[Any]:
        """The array of states, [n, T, ...]."""
        array: NDArray[Any] = getattr(self, self.held)
        return array

    def _require_frames(self) -> None:
        """Raise ValueError where there are fewer frames than `lengths` says."""
        if len(self) and self.lengths.max() > self.frames.shape[1]:
            raise ValueError(f"lengths exceed the {self.frames.shape[1]} frames given")

    @abstractmethod
    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]: ...

    def select(self, index: NDArray[np.integer] | slice) -> Self:
        return self._of(self._chosen(index), params=self.params[index], lengths=self.lengths[index])

    def framed(self, stride: int, horizon: int, *, whole: bool = False) -> Self:
        """Every stride-th frame of the record; frames after the last whole stride are left out in any case."""
        if self.domain.stride is not None:
            raise ValueError(f"these trajectories are framed already, with stride {self.domain.stride}")
        if self.domain.clock == "event":
            raise ValueError(f"{self.domain.states} have no event clock; declare clock='step' in the domain")
        lengths = np.minimum((self.lengths - 1) // stride, horizon) + 1
        frames = slice(0, (int(lengths.max(initial=1)) - 1) * stride + 1, stride)
        domain = replace(self.domain, stride=stride)
        return self._of(self._cut(frames), lengths=lengths.astype(np.int32), domain=domain)

    def start(self) -> Self:
        return self._of(self._cut(slice(1)), lengths=np.ones(len(self), dtype=np.int32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        params, lengths = (np.concatenate([getattr(p, name) for p in parts]) for name in ("params", "lengths"))
        return parts[0]._of(cls._together(parts), params=params, lengths=lengths)

    @classmethod
    def _together(cls, parts: Sequence[Self]) -> NDArray[Any]:
        """The states of all parts; those with fewer frames stay in their last state."""
        arrays = [np.asarray(part.frames) for part in parts]
        frames = max(a.shape[1] for a in arrays)
        return np.concatenate([np.concatenate([a, *[a[:, -1:]] * (frames - a.shape[1])], axis=1) for a in arrays])

    def _chosen(self, index: NDArray[np.integer] | slice) -> NDArray[Any]:
        """The states of some trajectories."""
        return self.frames[index]

    def _cut(self, frames: slice) -> NDArray[Any]:
        """The states of some frames."""
        return np.ascontiguousarray(self.frames[:, frames])

    def _of(self, frames: NDArray[Any], **changes: Any) -> Self:
        changes[self.held] = frames
        return replace(self, **changes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"params": self.params, "lengths": self.lengths, self.held: self.frames}
