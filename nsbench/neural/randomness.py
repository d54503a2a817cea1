"""Randomness from the given generator alone: torch's global one is neither used nor changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for torch, from numpy."""
    return int(rng.integers(2**63))


def generator(device: torch.device, *entropy: int) -> torch.Generator:
    """A torch generator on the device, a pure function of the integers given."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(seed)


def initialised(build: Callable[[], T], seed: int) -> T:
    """The module that `build` returns, with torch's default initialisation drawn from `seed`.

    torch.nn initialises from the global CPU generator: it is put back as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()
