"""Seeds and generators of random numbers: one generator for each named purpose, from the suite's seed.

A seed is a list of words that say what it is for, e.g. [0, "simulate", "lca", 3]: suite seed, stream, dataset,
replicate. Simulators share the data, simulate and metric streams, so that they meet the same cases and their
differences are paired.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from nsbench.components.dataset import Split

Seed = list[int | str]


def generator(seed: Seed) -> np.random.Generator:
    """The generator of a seed: NumPy's SeedSequence over a digest of its words."""
    digest = hashlib.sha256(json.dumps(seed).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(np.frombuffer(digest, np.uint32).tolist()))


def data_seed(seed: int, split: Split, dataset: str) -> Seed:
    """The seed of a split. dataset: the component's name, so that its name in a suite changes nothing."""
    return [seed, f"data/{split}", dataset]
