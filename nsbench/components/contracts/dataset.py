"""Checks of the trajectories that a dataset returns, made by the stages where they are returned."""

from __future__ import annotations

import numpy as np

from nsbench.components.contracts.broken import BrokenContract, kind_of
from nsbench.components.contracts.numbers import whole
from nsbench.components.dataset import Dataset, Split
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.stored import in_pieces


def require_recorded(dataset: Dataset, made: object, domain: object, method: str, split: Split) -> Trajectories:
    """The trajectories that a dataset made for a split, if they can be used. Raises BrokenContract."""
    if not isinstance(domain, Domain):
        raise BrokenContract(dataset, "domain", f"is {kind_of(domain)}", "it must be a nsbench.Domain")
    if not isinstance(made, Trajectories):
        raise BrokenContract(dataset, method, f"returned {kind_of(made)} for {split}", "it must return Trajectories")
    if made.domain.describe() != domain.describe():
        differing = [name for name, fact in domain.describe().items() if made.domain.describe()[name] != fact]
        raise BrokenContract(
            dataset,
            method,
            f"returned trajectories of another domain for {split} ({', '.join(differing)} differ)",
            "they must be of the dataset's own domain, unframed (stride=None)",
        )
    if not len(made):
        raise BrokenContract(dataset, method, f"returned no trajectory for {split}", "a split holds at least one")
    for name, array in made.arrays().items():
        if not all(np.isfinite(piece).all() for piece in in_pieces(array)):
            got = f"returned {name} for {split} that are NaN or infinite"
            raise BrokenContract(dataset, method, got, "all numbers must be finite, also behind a trajectory's end")
    return made


def require_parts(dataset: Dataset, parts: object) -> int:
    """The number of parts in which a split is made. Raises BrokenContract."""
    count = whole(parts)
    if count is not None and count >= 1:
        return count
    raise BrokenContract(dataset, "parts", f"returned {parts!r:.60}", "it must return a whole number >= 1")
