"""Trajectories: the states of n systems in time, whatever kind of states they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Domain


@dataclass(frozen=True, eq=False)
class Trajectories(ABC):
    """The trajectories of n systems of one domain.

    params:  float64[n, P], in the order of ``domain.parameters``.
    lengths: int32[n], the number of frames that are valid, the first included.
    held:    the name of the array that holds the states.
    """

    held: ClassVar[str]

    params: NDArray[np.float64]
    lengths: NDArray[np.int32]
    domain: Domain

    def __post_init__(self) -> None:
        n, width = len(self.lengths), len(self.domain.parameters)
        require_array(self.params, "params", np.float64, (n, width))
        require_array(self.lengths, "lengths", np.int32, (n,))
        if n and self.lengths.min() < 1:
            raise ValueError("lengths must be >= 1: a trajectory has at least its first frame")

    def __len__(self) -> int:
        return len(self.lengths)

    @abstractmethod
    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]:
        """States of trajectory index[b] at frame t[b], float32[b, C, H, W].

        A trajectory that has ended stays in its last state.
        """

    @abstractmethod
    def select(self, index: NDArray[np.integer] | slice) -> Self:
        """The trajectories of that index, in its order (an index may repeat)."""

    @abstractmethod
    def framed(self, stride: int, horizon: int, *, whole: bool = False) -> Self:
        """A record (``domain.stride`` None) as frames, `stride` ticks of the domain's clock apart.

        At most `horizon` frames follow the first. whole: none that is fewer ticks after its predecessor.
        """

    @abstractmethod
    def stopped(self) -> Self:
        """Each trajectory cut after the first frame in which the domain's stop rule holds."""

    @abstractmethod
    def start(self) -> Self:
        """The trajectories cut to frame 0, which is all of them that a simulator is given."""

    @classmethod
    @abstractmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The trajectories of all parts (at least one), in their order, in the domain of the first part."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that, with the domain, make these trajectories again."""

    def frame(self, t: int) -> NDArray[np.float32]:
        """The states of all trajectories at frame t, float32[n, C, H, W]; ended ones are in their last state."""
        n = len(self)
        return self.at(np.arange(n), np.full(n, t))

    def final(self) -> NDArray[np.float32]:
        """The state of each trajectory at its last frame, float32[n, C, H, W]."""
        return self.at(np.arange(len(self)), self.lengths - 1)

    def transitions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All valid pairs of frames t -> t + 1 of trajectories: (index, t), each int64[b]."""
        counts = self.lengths.astype(np.int64) - 1
        index = np.repeat(np.arange(len(self)), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        return index, np.arange(len(index)) - first


def require_array(array: NDArray[Any], name: str, dtype: type, shape: tuple[int, ...]) -> None:
    """Raise ValueError for an array of another type or shape. name: what the message calls it."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"{name} must be {np.dtype(dtype).name}{list(shape)}, got {array.dtype.name}{list(array.shape)}"
        )
