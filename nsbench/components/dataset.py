"""Datasets: sources of trajectories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nsbench.components.component import Component, ComponentSpec
from nsbench.errors import Refusal
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class SimulatorReference:
    """A simulator by name, with the parameters that it is given."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetSpec(ComponentSpec):
    """The spec of a dataset.

    floor       the simulator that is the ground truth; noise_free: the same without its randomness. Both give every
                table its scale; None where a dataset has no such simulator.
    small       parameters with which the dataset is made in about a second, for `nsbench check`.
    reading     "module:function", (params) -> Reading, of a dataset that reads files: called while planning, so keep
                it in a module that imports quickly. None for a dataset that is made from its parameters alone.
    space       "module:Class", the state space that the domain names: its code counts as the dataset's own. None for
                growth, labels and fields.
    """

    floor: SimulatorReference | None = None
    noise_free: SimulatorReference | None = None
    reading: str | None = None
    space: str | None = None
    small: dict[str, Any] = field(default_factory=dict)

    def code(self) -> tuple[str, ...]:
        return (*super().code(), *(text for text in (self.reading, self.space) if text is not None))


@dataclass(frozen=True)
class Reading:
    """The content of the files that a dataset reads; in the dataset's key it takes the place of the parameters.

    content  plain data: digests of what the files hold, and the parameters that are not paths.
    formats  (name, parameters) of the formats that read them, whose code counts as the dataset's own.
    files    the files that `content` covers: a dataset that opens another one below its paths makes nothing. None if
             they are not told apart.
    """

    content: dict[str, Any]
    formats: tuple[tuple[str, dict[str, Any]], ...] = ()
    files: tuple[Path, ...] | None = None


class UnreadableData(Refusal, ValueError):
    """The error of files that are missing, damaged, foreign or contradictory; it names the file and the fault."""


class Dataset(Component, ABC):
    """A source of trajectories, in three splits."""

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """The facts of the system; ``stride`` is None, as in every record that is not framed yet."""

    @abstractmethod
    def prepare(self, split: Split, rng: np.random.Generator) -> Trajectories:
        """The trajectories of a split, as recorded. The same generator state gives the same bits."""

    def parts(self, split: Split) -> int:
        """The number of parts in which the harness makes a split; finished parts survive an interruption."""
        return 1

    def part(self, split: Split, rng: np.random.Generator, k: int) -> Trajectories:
        """Part k of a split. All parts joined equal what ``prepare`` makes from the same generator state."""
        return self.prepare(split, rng)

    def continued(self, starts: Trajectories, members: int, rng: np.random.Generator) -> Trajectories | None:
        """The ground truth from given starts on, `members` times each with other noise; None where it cannot be had.

        starts: their first frames and parameters count. Returns a record, as ``prepare`` does, of len(starts) · members
        trajectories: all members of the first start, then those of the next.
        """
        return None
