"""A simulator of dense fields that steps once a frame: each site drifts by a normal number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench import Simulator, SimulatorSpec, hookimpl


class Drift(Simulator):
    def fit(self, train, val, ctx):
        index, t = train.transitions()
        some = np.random.default_rng(0).permutation(len(index))[:256]
        change = train.at(index[some], t[some] + 1) - train.at(index[some], t[some])
        self.scale = np.float32(change.std())

    def rollout(self, start, steps, rng):
        shape = (len(start), steps + 1, *start.values.shape[2:])
        values = rng.standard_normal(shape, np.float32) * self.scale
        values[:, 0] = start.values[:, 0]
        np.cumsum(values, axis=1, out=values)
        return replace(start, values=values, lengths=np.full(len(start), steps + 1, np.int32))

    def save(self, directory):
        np.save(directory / "scale.npy", self.scale)

    def load(self, directory):
        self.scale = np.load(directory / "scale.npy")


@hookimpl
def nsbench_simulators():
    return [SimulatorSpec("drift", "drift:Drift")]
