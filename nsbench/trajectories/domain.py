"""Domains: the facts of a system that everything downstream needs.

Shapes used everywhere: n trajectories, T frames, C channels, H×W sites, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Lattice = Literal["square", "hexagonal", "hexagonal-quadrant", "hexagon"]
Clock = Literal["step", "event"]
States = Literal["growth", "labels", "fields"]
Boundary = Literal["open", "closed", "mirror", "periodic"]
Symmetry = Literal["translations", "rotations", "reflections", "labels"]


MOST_LABELS = 1 << 16


@dataclass(frozen=True)
class Parameter:
    """One number that conditions a trajectory, with the range that the dataset draws it from.

    hidden: the number is for the ground truth alone, which makes from it what a start does not show, such as masses
    inside of a crystal: no law depends on it, and simulators that learn are not shown it.
    """

    name: str
    low: float
    high: float
    unit: str = "1"
    hidden: bool = False

    @property
    def varies(self) -> bool:
        """Whether trajectories may differ in the parameter, and simulators are shown it."""
        return self.high > self.low and not self.hidden


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
    states       what a site holds. "growth": 0, or 1 once it is attached, for good. "labels": one of 0, …, K − 1, in
                 one channel. "fields": a real number a channel.
    parameters   the numbers that condition a trajectory, in the order of ``Trajectories.params``.
    condition    the parameter over whose range distributions are compared (metrics bin by it).
    observables  the numbers that are read off a state.
    clock        the unit of time: "step", every step of the process; "event", only steps that changed something.
    stride       ticks of the clock from one frame to the next; None for a record as it was made, in
                 steps of the process.
    stop_margin  a trajectory ends with the frame in which a site of row or column ≥ size − margin is
                 attached (in a hexagon: one at least N − margin steps from its centre); None where nothing but
                 the horizon ends it.
    boundaries   what lies beyond the first and last row, and beyond the first and last column. "open": nothing, which
                 counts as 0. "closed": the outermost site again, so that nothing flows. "mirror": the sites before the
                 outermost one in turn. "periodic": the other end. The mirrors of a quadrant are the lattice's.
    labels       K, of states that are labels.
    symmetries   what leaves the law as it is: "translations" along periodic axes; "rotations" and "reflections" that
                 map the lattice onto itself; "labels", their permutations.
    dt           the time of a tick of the clock "step", in `time_unit`; None where steps stand for no time.
    units        the unit of each channel; all "1" if none is given.
    space        "module:Class", the state space through which networks see states of a kind of their own
                 (``nsbench.neural.states.space``); "" for that of `states`.
    """

    lattice: Lattice
    shape: tuple[int, int]
    channels: tuple[str, ...]
    states: States
    parameters: tuple[Parameter, ...]
    condition: str
    observables: tuple[Observable, ...]
    clock: Clock = "step"
    stride: int | None = None
    stop_margin: int | None = None
    boundaries: tuple[Boundary, Boundary] = ("open", "open")
    labels: int = 0
    symmetries: tuple[Symmetry, ...] = ()
    dt: float | None = None
    time_unit: str = "1"
    units: tuple[str, ...] = ()
    space: str = ""

    def __post_init__(self) -> None:
        if self.states == "labels" and not (2 <= self.labels <= MOST_LABELS and len(self.channels) == 1):
            raise ValueError(
                f"states that are labels need 2 to {MOST_LABELS} of them in one channel, got {self.labels} in "
                f"{len(self.channels)}"
            )
        if self.states != "labels" and (self.labels or "labels" in self.symmetries):
            raise ValueError(f"states that are {self.states} have no labels")
        if self.units and len(self.units) != len(self.channels):
            raise ValueError(f"{len(self.channels)} channels have {len(self.units)} units")

    @property
    def sites(self) -> int:
        """The number of sites, H·W."""
        return self.shape[0] * self.shape[1]

    @property
    def varying(self) -> tuple[int, ...]:
        """The columns of ``params`` that differ between trajectories."""
        return tuple(i for i, p in enumerate(self.parameters) if p.varies)

    def column(self, parameter: str) -> int:
        """The column of ``params`` that holds the named parameter. Raises KeyError for an unknown name."""
        names = [p.name for p in self.parameters]
        if parameter not in names:
            raise KeyError(f"no parameter {parameter!r}; the domain has {', '.join(names)}")
        return names.index(parameter)

    def stop_sites(self) -> NDArray[np.bool_]:
        """The sites whose attachment ends a trajectory, bool[H, W]; none without a stop rule."""
        mask = np.zeros(self.shape, dtype=bool)
        if self.stop_margin is not None and self.lattice == "hexagon":
            i, j = np.indices(self.shape) - np.array(self.shape)[:, None, None] // 2
            mask = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j)) >= self.shape[0] // 2 - self.stop_margin
        elif self.stop_margin is not None:
            mask[self.shape[0] - self.stop_margin :, :] = True
            mask[:, self.shape[1] - self.stop_margin :] = True
        return mask

    def observe(self, state: NDArray[np.float32]) -> NDArray[np.float64]:
        """The observables of states float32[n, C, H, W], float64[n, number of observables]."""
        return np.stack([o.function(state) for o in self.observables], axis=1)

    def describe(self) -> dict[str, Any]:
        """The domain as plain data for JSON, which is stored beside arrays for readers without this program."""
        return {
            "lattice": self.lattice,
            "shape": list(self.shape),
            "channels": list(self.channels),
            "states": self.states,
            "parameters": [
                {"name": p.name, "low": p.low, "high": p.high, "unit": p.unit, "hidden": p.hidden}
                for p in self.parameters
            ],
            "condition": self.condition,
            "observables": [{"name": o.name, "unit": o.unit} for o in self.observables],
            "clock": self.clock,
            "stride": self.stride,
            "stop_margin": self.stop_margin,
            "boundaries": list(self.boundaries),
            "labels": self.labels,
            "symmetries": sorted(self.symmetries),
            "dt": self.dt,
            "time_unit": self.time_unit,
            "units": list(self.units),
            "space": self.space,
        }
