"""A plugin package written for a test: components that inherit, import and share, so that each file can be edited
and the keys that change be held against those that should."""

from __future__ import annotations

import itertools
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from conftest import TOY
from nsbench.registry.registry import Registry

FILES = {
    "{lab}/__init__.py": '''
        from nsbench import hookimpl
        from nsbench.components.dataset import DatasetSpec, SimulatorReference
        from nsbench.components.metric import MetricSpec
        from nsbench.components.simulator import SimulatorSpec

        @hookimpl
        def nsbench_datasets():
            return [DatasetSpec("grown", "{lab}.grown:Grown", "toy:LineParams", floor=SimulatorReference("coin"))]

        @hookimpl
        def nsbench_simulators():
            return [SimulatorSpec("mine", "{lab}.mine:Mine", "{lab}.params:MineParams"),
                    SimulatorSpec("other", "{lab}.other:Other")]

        @hookimpl
        def nsbench_metrics():
            return [MetricSpec("gap", "{lab}.gap:Gap")]
    ''',
    "{lab}/params.py": '''
        from nsbench.components.component import Params

        class MineParams(Params):
            width: int = 3
    ''',
    "{lab}/base.py": '''
        """What simulators of this laboratory have in common."""
        from nsbench.components.simulator import Simulator
        from . import helper

        class Base(Simulator):
            """A base class."""

            def rollout(self, start, steps, rng):
                return helper.shift(start)  # as far as the helper thinks right
    ''',
    "{lab}/helper.py": '''
        def shift(start):
            return start, 1
    ''',
    "{lab}/mine.py": '''
        from {lab}.base import Base
        from {lab}_loose import FACTOR

        class Mine(Base):
            factor = FACTOR
    ''',
    "{lab}/other.py": '''
        import {lab}.tables

        from nsbench.components.simulator import Simulator

        class Other(Simulator):
            table = {lab}.tables.TABLE
    ''',
    "{lab}/tables.py": "TABLE = (1, 2)",
    "{lab}/gap.py": '''
        from nsbench.components.metric import Metric
        from .distance import far

        class Gap(Metric):
            direction, unit = "min", "sites"

            def score(self, evidence, reference, rng):
                return far(evidence)
    ''',
    "{lab}/distance.py": "def far(evidence):\n    return 1",
    "{lab}/grown.py": '''
        from nsbench.components.dataset import Dataset
        from {lab}.sown import SEEDS

        class Grown(Dataset):
            seeds = SEEDS
    ''',
    "{lab}/sown.py": "SEEDS = 1",
    "{lab}/unused.py": "NOTHING = 1",
    "{lab}_loose.py": "FACTOR = 1",
}  # fmt: skip

SUITE = """\
name: laboratory
datasets:
  - {use: line}
  - {use: grown}
simulators:
  - {use: coin}
  - {use: mine}
  - {use: other}
metrics: [length, gap]
protocol: {stride: 1, horizon: 6, bounds: null}
budget: {transitions: 100}
"""

_numbers = itertools.count()


class Laboratory:
    """The package on disk below `folder`, under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"laboratory_{os.getpid()}_{next(_numbers)}"
        (folder / self.name).mkdir(parents=True)
        for path, text in FILES.items():
            self._write(path, text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file, which must hold it."""
        assert old in FILES[path]
        self._write(path, FILES[path].replace(old, new))

    def registry(self) -> Registry:
        return Registry([*entry_points(group="nsbench"), TOY, EntryPoint("laboratory", self.name, "nsbench")])

    def forget(self) -> None:
        for module in [m for m in sys.modules if m.partition(".")[0] in (self.name, f"{self.name}_loose")]:
            del sys.modules[module]

    def _write(self, path: str, text: str) -> None:
        lines = [line.removeprefix(" " * 8) for line in text.lstrip("\n").splitlines()]
        file = self.folder / path.replace("{lab}", self.name)
        file.write_text("\n".join(lines).rstrip().replace("{lab}", self.name) + "\n")
        os.utime(file, ns=(0, next(_numbers) * 10**9))  # clocks are too coarse to tell two edits apart
