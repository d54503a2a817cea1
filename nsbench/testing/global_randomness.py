"""The global generators of Python, NumPy and torch, which a component neither uses nor changes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np

GENERATOR_RIGHT = "draw every random number from the generator given, and keep no other"
"""The cure for a component that draws from anything else."""


def states() -> dict[str, str]:
    """A digest of each global generator's state, by the name of its module; torch's only where it is loaded."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - the state that nobody should touch
    texts = {"random": repr(random.getstate()), "numpy.random": repr(numpy_state)}
    if "torch" in sys.modules:
        import torch

        texts["torch"] = torch.get_rng_state().numpy().tobytes().hex()
    return {name: blake2b(text.encode()).hexdigest() for name, text in texts.items()}


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
    """Seed the global generators, run the block, and add to `changed` the names of those whose state it changed."""
    with preserved():
        reseed(seed)
        before = states()
        yield
        after = states()
        changed.update(name for name in before if after[name] != before[name])
