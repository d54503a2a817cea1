"""Irreversible growth: one integer a site, the frame in which the site attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories, require_array


@dataclass(frozen=True, eq=False)
class GrowthTrajectories(Trajectories):
    """Trajectories of growth, one integer a site: the frame in which the site attached.

    arrival: int32[n, H, W]; 0 at the start, t >= 1 for a site first attached in frame t (in step t,
    while ``domain.stride`` is None), −1 for a site that never attached.
    """

    held: ClassVar[str] = "arrival"
    arrival: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_array(self.arrival, "arrival", np.int32, (len(self.lengths), *self.domain.shape))
        if self.domain.states != "growth":
            raise ValueError(f"growth maps hold growth only, and the domain's states are {self.domain.states}")
        if len(self) and self.arrival.min() < -1:
            raise ValueError("arrival must be >= -1")
        if np.any(self.arrival.max(axis=(1, 2), initial=0) >= self.lengths):
            raise ValueError("arrival names a frame beyond the trajectory's length")

    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]:
        arrival = self.arrival[index]
        attached = (arrival >= 0) & (arrival <= np.asarray(t)[:, None, None])
        return attached[:, None].astype(np.float32)

    def select(self, index: NDArray[np.integer] | slice) -> Self:
        return replace(self, params=self.params[index], lengths=self.lengths[index], arrival=self.arrival[index])

    def framed(self, stride: int, horizon: int, *, whole: bool = False) -> Self:
        """The record as frames, the last one being the final state.

        That may be fewer than `stride` ticks after its predecessor: growth ends where the stop rule says, not on a
        multiple of the stride. whole: such a frame is left out, and with it the sites that attached in it.
        """
        if self.domain.stride is not None:
            raise ValueError(f"these trajectories are framed already, with stride {self.domain.stride}")
        event = self.domain.clock == "event"
        ticks = event_ticks(self.arrival) if event else self.arrival
        last = ticks.max(axis=(1, 2), initial=0) if event else self.lengths - 1
        last = np.minimum(last // stride if whole else -(-last // stride), horizon)  # [n]
        frames = -(-ticks // stride)
        frames = np.where((ticks < 0) | (frames > last[:, None, None]), -1, frames).astype(np.int32)
        lengths = last + 1
        return replace(
            self,
            arrival=frames,
            lengths=lengths.astype(np.int32),
            domain=replace(self.domain, stride=stride),
        )

    def stopped(self) -> Self:
        reach = np.where(self.domain.stop_sites() & (self.arrival >= 0), self.arrival, self.lengths[:, None, None])
        last = np.minimum(reach.min(axis=(1, 2)), self.lengths - 1)
        return self._until(last.astype(np.int32))

    def start(self) -> Self:
        return self._until(np.zeros(len(self), dtype=np.int32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        names = ("params", "lengths", "arrival")
        return cls(domain=parts[0].domain, **{k: np.concatenate([getattr(p, k) for p in parts]) for k in names})

    def _until(self, last: NDArray[np.int32]) -> Self:
        """Each trajectory cut after its frame `last`, int32[n]."""
        arrival = np.where(self.arrival > last[:, None, None], np.int32(-1), self.arrival)
        return replace(self, arrival=arrival, lengths=last + np.int32(1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"params": self.params, "lengths": self.lengths, "arrival": self.arrival}


def event_ticks(arrival: NDArray[np.int32]) -> NDArray[np.int32]:
    """Growth maps on the event clock: steps in which nothing attached do not count.

    arrival: int32[n, H, W] in steps. Returns int32[n, H, W]: k for a site attached in the k-th step in
    which something attached, 0 at the start, −1 for never.
    """
    ticks = np.full_like(arrival, -1)
    for steps, out in zip(arrival, ticks, strict=True):
        grown = steps > 0
        out[steps == 0] = 0
        out[grown] = np.unique(steps[grown], return_inverse=True)[1] + 1
    return ticks
