"""CGNE as a simulator."""

from __future__ import annotations

import numpy as np

from nsbench.neural.simulator import NeuralSimulator
from nsbench_cgne.model import CGNEModel
from nsbench_cgne.params import CGNEParams


class CGNE(NeuralSimulator):
    """The Crystal Growth Neural Emulator (Timmer et al. 2024, arXiv 2405.16608)."""

    params: CGNEParams

    def build(self, inputs: int) -> CGNEModel:
        return CGNEModel(self.params, inputs)

    def lattice_multiple(self) -> int:
        return 8

    def unroll_length(self, fraction: float, longest: int, rng: np.random.Generator) -> int:
        return 1 if fraction < self.params.unroll_from else int(rng.integers(1, self.params.unroll + 1))
