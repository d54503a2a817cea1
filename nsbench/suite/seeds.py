"""Where random numbers come from: one generator for each named purpose, from the suite's seed.

A seed is written as what it is for, e.g. [0, "simulate", "lca", 3]: suite seed, stream, dataset,
replicate. Simulators share the data, simulate and metric streams, so that they meet the same cases and
their differences are paired.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

Seed = list[int | str]


def generator(seed: Seed) -> np.random.Generator:
    """The generator of a seed: NumPy's SeedSequence over a digest of its words."""
    digest = hashlib.sha256(json.dumps(seed).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(np.frombuffer(digest, np.uint32).tolist()))
