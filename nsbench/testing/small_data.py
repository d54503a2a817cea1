"""The small data that components are checked on, named so that another process can make it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, cast

import numpy as np

from nsbench.components.dataset import Dataset, DatasetSpec, SimulatorReference, Split
from nsbench.registry.loading import build
from nsbench.registry.registry import Registry
from nsbench.suite.seeds import data_seed, generator
from nsbench.testing.known_growth import Growth, GrowthParams
from nsbench.trajectories.base import Trajectories

FRAMES = 16
"""About so many frames a trajectory: the stride of a dataset's record is chosen for it."""


@dataclass(frozen=True)
class Source:
    """A dataset by name, with its parameters; the growth of nsbench.testing.known_growth where there is no name."""

    name: str = ""
    target: str = "nsbench.testing.known_growth:Growth"
    params_model: str | None = "nsbench.testing.known_growth:GrowthParams"
    params: dict[str, Any] = field(default_factory=dict)
    floor: SimulatorReference | None = None

    @classmethod
    def of(cls, spec: DatasetSpec, params: dict[str, Any]) -> Source:
        return cls(spec.name, spec.target, spec.params, params, spec.floor)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Source:
        """What `to_json` made; without the floor, which another process has no need of."""
        return cls(**content)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "floor"}

    def make(self) -> Dataset:
        """The dataset. Raises BrokenComponent, or pydantic's ValidationError."""
        if not self.name:
            return Growth(GrowthParams.model_validate(self.params))
        spec = DatasetSpec(self.name, self.target, self.params_model)
        return cast(Dataset, build("dataset", spec, self.params))

    def __str__(self) -> str:
        return f"dataset {self.name}" if self.name else "the growth of nsbench.testing"


@dataclass(frozen=True)
class Data:
    """Framed trajectories of a source: its splits, and the frames that follow the first at most."""

    source: Source

    @cached_property
    def dataset(self) -> Dataset:
        return self.source.make()

    @cached_property
    def stride(self) -> int:
        if not self.source.name:
            return 1  # the growth's law is that of a frame
        longest = int(self.recorded("train").framed(1, 1 << 30).lengths.max()) - 1
        return max(1, -(-longest // FRAMES))

    @cached_property
    def horizon(self) -> int:
        return int(self.recorded("test").framed(self.stride, 1 << 30).lengths.max()) - 1

    def recorded(self, split: Split) -> Trajectories:
        return self.dataset.prepare(split, generator(data_seed(0, split, self.source.name)))

    def framed(self, split: Split) -> Trajectories:
        return self.recorded(split).framed(self.stride, 1 << 30)

    @cached_property
    def train(self) -> Trajectories:
        return self.framed("train")

    @cached_property
    def val(self) -> Trajectories:
        return self.framed("val")

    @cached_property
    def test(self) -> Trajectories:
        return self.framed("test")

    def starts(self) -> Trajectories:
        """Four test cases from frame 0, each twice, side by side: what is random differs between the two."""
        cases = np.linspace(0, len(self.test) - 1, min(4, len(self.test))).astype(int)
        return self.test.start().select(np.repeat(np.unique(cases), 2))


def bits(trajectories: Trajectories) -> str:
    """A digest of every bit of the trajectories."""
    digest = blake2b(type(trajectories).__name__.encode(), digest_size=16)
    for name, array in sorted(trajectories.arrays().items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def truth_of(registry: Registry, source: Source) -> Any:
    """The simulator that is the source's ground truth; None where it has none."""
    from nsbench.testing.known_growth import GrowthTruth

    if not source.name:
        return GrowthTruth()
    if source.floor is None:
        return None
    return build("simulator", registry.spec("simulator", source.floor.name), source.floor.params)
