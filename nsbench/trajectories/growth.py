"""The data that flows through nsbench: what a system is (Domain) and what it did (Trajectories).

Shapes used everywhere: n trajectories, T frames, C channels, H×W sites, P parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Lattice = Literal["square", "hexagonal", "hexagonal-quadrant", "hexagon"]
Clock = Literal["step", "event"]


@dataclass(frozen=True)
class Parameter:
    """One number that conditions a trajectory, with the range that the dataset draws it from."""

    name: str
    low: float
    high: float
    unit: str = "1"

    @property
    def varies(self) -> bool:
        return self.high > self.low


@dataclass(frozen=True)
class Observable:
    """A number read off a state: ``function(state: float32[n, C, H, W]) -> float64[n]``."""

    name: str
    unit: str
    function: Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True)
class Domain:
    """The facts of a system that everything downstream needs.

    lattice      the neighbourhood of a site. "hexagonal" lattices have skewed coordinates; a
                 "hexagonal-quadrant" is one 120° sector of one, mirrored at both axes; a "hexagon" the part of
                 a map of 2N × 2N sites that is at most N − 1 steps from its centre (N, N).
    shape        (H, W), sites.
    channels     one name a channel of a state.
    irreversible a site that has attached stays attached: trajectories are growth maps.
    parameters   what conditions a trajectory, in the order of ``Trajectories.params``.
    condition    the parameter over whose range distributions are compared (metrics bin by it).
    observables  what is read off a state.
    clock        what time counts: every step of the process, or only the steps that changed something.
    stride       ticks of the clock from one frame to the next; None for a record as it was made, in
                 steps of the process.
    stop_margin  a trajectory ends with the frame in which a site of row or column ≥ size − margin is
                 attached (in a hexagon: one at least N − margin steps from its centre); None where nothing but
                 the horizon ends it.
    """

    lattice: Lattice
    shape: tuple[int, int]
    channels: tuple[str, ...]
    irreversible: bool
    parameters: tuple[Parameter, ...]
    condition: str
    observables: tuple[Observable, ...]
    clock: Clock = "step"
    stride: int | None = None
    stop_margin: int | None = None

    @property
    def sites(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def varying(self) -> tuple[int, ...]:
        """Columns of ``params`` that differ between trajectories."""
        return tuple(i for i, p in enumerate(self.parameters) if p.varies)

    def column(self, parameter: str) -> int:
        """Column of ``params`` that holds the named parameter. Raises KeyError for an unknown name."""
        names = [p.name for p in self.parameters]
        if parameter not in names:
            raise KeyError(f"no parameter {parameter!r}; the domain has {', '.join(names)}")
        return names.index(parameter)

    def stop_sites(self) -> NDArray[np.bool_]:
        """bool[H, W]: the sites whose attachment ends a trajectory (none without a stop rule)."""
        mask = np.zeros(self.shape, dtype=bool)
        if self.stop_margin is not None and self.lattice == "hexagon":
            i, j = np.indices(self.shape) - np.array(self.shape)[:, None, None] // 2
            mask = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j)) >= self.shape[0] // 2 - self.stop_margin
        elif self.stop_margin is not None:
            mask[self.shape[0] - self.stop_margin :, :] = True
            mask[:, self.shape[1] - self.stop_margin :] = True
        return mask

    def observe(self, state: NDArray[np.float32]) -> NDArray[np.float64]:
        """float32[n, C, H, W] -> float64[n, number of observables]."""
        return np.stack([o.function(state) for o in self.observables], axis=1)

    def describe(self) -> dict[str, Any]:
        """The domain as JSON: what is stored beside the data for readers without this program."""
        return {
            "lattice": self.lattice,
            "shape": list(self.shape),
            "channels": list(self.channels),
            "irreversible": self.irreversible,
            "parameters": [{"name": p.name, "low": p.low, "high": p.high, "unit": p.unit} for p in self.parameters],
            "condition": self.condition,
            "observables": [{"name": o.name, "unit": o.unit} for o in self.observables],
            "clock": self.clock,
            "stride": self.stride,
            "stop_margin": self.stop_margin,
        }


@dataclass(frozen=True, eq=False)
class Trajectories(ABC):
    """What n systems did.

    params:  float64[n, P], in the order of ``domain.parameters``.
    lengths: int32[n], frames that are valid, the first included.
    """

    params: NDArray[np.float64]
    lengths: NDArray[np.int32]
    domain: Domain

    def __post_init__(self) -> None:
        n, width = len(self.lengths), len(self.domain.parameters)
        _require(self.params, "params", np.float64, (n, width))
        _require(self.lengths, "lengths", np.int32, (n,))
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
    def framed(self, stride: int, horizon: int) -> Self:
        """A record (``domain.stride`` None) as frames, `stride` ticks of the domain's clock apart.

        At most `horizon` frames follow the first.
        """

    @abstractmethod
    def stopped(self) -> Self:
        """Each trajectory cut after the first frame in which the domain's stop rule holds."""

    @abstractmethod
    def start(self) -> Self:
        """Frame 0 alone: what a simulator is given."""

    @classmethod
    @abstractmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The trajectories of all parts (at least one), in their order, of the first one's domain."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that, with the domain, make these trajectories again."""

    def frame(self, t: int) -> NDArray[np.float32]:
        """float32[n, C, H, W]: every trajectory at frame t, ended ones in their last state."""
        n = len(self)
        return self.at(np.arange(n), np.full(n, t))

    def final(self) -> NDArray[np.float32]:
        """float32[n, C, H, W]: every trajectory at its last frame."""
        return self.at(np.arange(len(self)), self.lengths - 1)

    def transitions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(index, t), each int64[b]: every pair of frames t -> t + 1 that is valid."""
        counts = self.lengths.astype(np.int64) - 1
        index = np.repeat(np.arange(len(self)), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        return index, np.arange(len(index)) - first


@dataclass(frozen=True, eq=False)
class GrowthTrajectories(Trajectories):
    """Irreversible growth, one integer a site: when did it attach.

    arrival: int32[n, H, W]; 0 at the start, t >= 1 for a site first attached in frame t (in step t,
    while ``domain.stride`` is None), −1 for a site that never attached.
    """

    arrival: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.arrival, "arrival", np.int32, (len(self.lengths), *self.domain.shape))
        if not self.domain.irreversible:
            raise ValueError("growth maps hold irreversible growth only; use FieldTrajectories")
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

    def framed(self, stride: int, horizon: int) -> Self:
        """The last frame is the final state, which may be fewer than `stride` ticks after its
        predecessor: growth ends where the stop rule says, not on a multiple of the stride."""
        if self.domain.stride is not None:
            raise ValueError(f"these trajectories are framed already, with stride {self.domain.stride}")
        ticks = event_ticks(self.arrival) if self.domain.clock == "event" else self.arrival
        frames = -(-ticks // stride)
        frames = np.where((ticks < 0) | (frames > horizon), -1, frames).astype(np.int32)
        if self.domain.clock == "event":
            lengths = frames.max(axis=(1, 2), initial=0) + 1
        else:
            lengths = np.minimum(-(-(self.lengths - 1) // stride), horizon) + 1
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
        arrival = np.where(self.arrival > last[:, None, None], np.int32(-1), self.arrival)
        return replace(self, arrival=arrival, lengths=last + np.int32(1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"params": self.params, "lengths": self.lengths, "arrival": self.arrival}


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
        _require(self.values, "values", np.float32, expected)
        if n and self.lengths.max() > frames:
            raise ValueError(f"lengths exceed the {frames} frames given")

    def at(self, index: NDArray[np.integer], t: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.values[index, np.minimum(t, self.lengths[index] - 1)]

    def select(self, index: NDArray[np.integer] | slice) -> Self:
        return replace(self, params=self.params[index], lengths=self.lengths[index], values=self.values[index])

    def framed(self, stride: int, horizon: int) -> Self:
        """Every stride-th frame; what remains after the last full stride is left out."""
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
        held = self.values[:, :, :, self.domain.stop_sites()].max(axis=(2, 3), initial=0) > 0.5  # [n, T]
        first = np.where(held.any(axis=1), held.argmax(axis=1), self.values.shape[1])
        return replace(self, lengths=np.minimum(self.lengths, first + 1).astype(np.int32))

    def start(self) -> Self:
        return replace(self, values=self.values[:, :1], lengths=np.ones(len(self), dtype=np.int32))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        frames = max(p.values.shape[1] for p in parts)
        held = [np.concatenate([p.values, *[p.values[:, -1:]] * (frames - p.values.shape[1])], axis=1) for p in parts]
        return cls(
            params=np.concatenate([p.params for p in parts]),
            lengths=np.concatenate([p.lengths for p in parts]),
            domain=parts[0].domain,
            values=np.concatenate(held),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"params": self.params, "lengths": self.lengths, "values": self.values}


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


def _require(array: NDArray[Any], name: str, dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"{name} must be {np.dtype(dtype).name}{list(shape)}, got {array.dtype.name}{list(array.shape)}"
        )
