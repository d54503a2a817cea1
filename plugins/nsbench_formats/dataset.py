"""Trajectories that lie in files, as a dataset."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import nsbench
from nsbench.components.dataset import Dataset, Split, UnreadableData
from nsbench.components.format import Format, Header, unreadable
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench_formats.domains import common_dt, merged
from nsbench_formats.params import TrajectoriesParams
from nsbench_formats.splits import cut, find_splits


class TrajectoriesDataset(Dataset):
    """A dataset of the splits that lie at its path, or that it cuts from the data there."""

    params: TrajectoriesParams

    @property
    def domain(self) -> Domain:
        return self._domain

    def prepare(self, split: Split, rng: np.random.Generator) -> Trajectories:
        """The files' trajectories: nothing is drawn from `rng`."""
        path, index = self._where(split)
        trajectories = self._format.read(path, index[: self.params.limit])
        return replace(trajectories, domain=self.domain)

    @cached_property
    def _format(self) -> Format:
        reader: Format = nsbench.load("format", self.params.format, **self.params.options)
        return reader

    @cached_property
    def _paths(self) -> dict[Split, Path]:
        root = Path(os.path.expanduser(self.params.path))
        if not root.exists():
            raise UnreadableData(f"{root}: no such file or folder")
        splits = find_splits(root)
        if splits and self.params.split is not None:
            raise UnreadableData(f"{root}: has splits of its own; leave out `split`")
        if not splits and self.params.split is None:
            raise UnreadableData(f"{root}: has no train, val and test; say how to cut them, e.g. split: {{val: 0.1}}")
        return splits or dict.fromkeys(("train", "val", "test"), root)

    @cached_property
    def _headers(self) -> dict[Path, Header]:
        return {path: self._format.header(path) for path in sorted(set(self._paths.values()))}

    @cached_property
    def _domain(self) -> Domain:
        try:
            common_dt(self._headers)
            return merged([header.domain for header in self._headers.values()])
        except ValueError as error:
            raise unreadable(self.params.path, error) from error

    def _where(self, split: Split) -> tuple[Path, NDArray[np.int64]]:
        """The path of a split, and the index of its trajectories in the header's order."""
        path = self._paths[split]
        params = self._headers[path].params
        if self.params.split is None:
            return path, np.arange(len(params))
        try:
            return path, cut(params, split, self.params.split)
        except ValueError as error:
            raise unreadable(path, error) from error
