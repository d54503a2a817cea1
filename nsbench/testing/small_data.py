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
from nsbench.trajectories.stored import in_pieces

FRAMES = 16
"""The number of frames that a trajectory should have, roughly: a dataset's stride is chosen for it."""


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
        """The source that is a dataset with these parameters."""
        return cls(spec.name, spec.target, spec.params, params, spec.floor)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Source:
        """The source that `to_json` wrote, without its floor, which another process does not need."""
        return cls(**content)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "floor"}

    def make(self) -> Dataset:
        """Build the dataset. Raises BrokenComponent, or pydantic's ValidationError."""
        if not self.name:
            return Growth(GrowthParams.model_validate(self.params))
        spec = DatasetSpec(self.name, self.target, self.params_model)
        return cast(Dataset, build("dataset", spec, self.params))

    def __str__(self) -> str:
        return f"dataset {self.name}" if self.name else "the growth of nsbench.testing"


@dataclass(frozen=True)
class Data:
    """The trajectories of a source, as recorded and in frames."""

    source: Source

    @cached_property
    def dataset(self) -> Dataset:
        return self.source.make()

    @cached_property
    def stride(self) -> int:
        """The stride of frames, such that the longest training trajectory has about FRAMES."""
        if not self.source.name:
            return 1  # the growth's law is that of a frame
        longest = int(self.recorded("train").framed(1, 1 << 30).lengths.max()) - 1
        return max(1, -(-longest // FRAMES))

    @cached_property
    def horizon(self) -> int:
        """The most frames that follow the first in a test trajectory."""
        return int(self.recorded("test").framed(self.stride, 1 << 30).lengths.max()) - 1

    def recorded(self, split: Split) -> Trajectories:
        """A split as recorded, with the seed that a suite of seed 0 gives it."""
        return self.dataset.prepare(split, generator(data_seed(0, split, self.source.name)))

    def framed(self, split: Split) -> Trajectories:
        """A split in frames."""
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
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        for piece in in_pieces(array):
            digest.update(piece.tobytes())
    return digest.hexdigest()


def truth_of(registry: Registry, source: Source) -> Any:
    """The simulator that is the source's ground truth; None where it has none."""
    from nsbench.testing.known_growth import GrowthTruth

    if not source.name:
        return GrowthTruth()
    if source.floor is None:
        return None
    return build("simulator", registry.spec("simulator", source.floor.name), source.floor.params)
