"""The global generators of Python, NumPy and torch, and what else a component neither uses nor changes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from nsbench.registry.process_state import Keeper
from nsbench.testing.findings import Finding

GENERATOR_RIGHT = "draw every random number from the generator given, and keep no other"
"""The cure for a component that draws from anything else."""


def reseed(seed: int) -> None:
    """Seed all global generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


@contextmanager
def preserved() -> Iterator[None]:
    """Restore the states of the global generators after the block."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch_state = None
    if "torch" in sys.modules:
        import torch

        torch_state = torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch_state is not None:
            import torch

            torch.set_rng_state(torch_state)


@contextmanager
def watched(changed: set[str], seed: int) -> Iterator[None]:
    """Seed the global generators, run the block, add to `changed` what it changed in the process, and put that back."""
    with preserved():
        reseed(seed)
        keeper = Keeper()
        yield
        changed.update(keeper.put_back(everything=True))


CHANGE_RIGHT = f"{GENERATOR_RIGHT}; and set what others share for the length of a call only, in a with-block"
"""The cure for a component that changes its process."""


def changes(where: str, changed: Iterable[str]) -> Iterator[Finding]:
    """The finding about a component that changes its process, if it does."""
    if changed:
        yield Finding(where, f"changes its process: {'; '.join(sorted(changed))}", CHANGE_RIGHT)
