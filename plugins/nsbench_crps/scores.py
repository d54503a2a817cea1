"""Proper scores of a few members that may be trained on.

With a distance d, m members X_j, a truth y and ε = (1 − α) / m:

    S_α = 1/m Σ_j d(X_j, y) − (1 − ε) / (2 m (m − 1)) Σ_{j ≠ k} d(X_j, X_k)

α = 1 is the fair score, whose mean over ensembles is that of infinitely many members and is least where they follow the
law of y (Ferro 2014, doi 10.1002/qj.2270); α = 0 the score of the m members as they are. A little less than 1 keeps the
fair score from not caring about one member where all others are y: Lang et al. 2024 (arXiv 2412.15832), α = 0.95, where
the sum is written as here, term by term, to be stable in low precision. d = |·| at a site is the CRPS, d = ‖·‖ of
states the energy score (Gneiting & Raftery 2007, doi 10.1198/016214506000001437); Alet et al. 2025 (arXiv 2506.10772).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]


def almost_fair(members: Tensor, truth: Tensor, fair: float, distance: Distance) -> Tensor:
    """The almost fair score, in the shape that `distance` returns. members: [m, …], m >= 2; truth: […]; fair: α."""
    m = len(members)
    if m < 2:
        raise ValueError(f"a fair score needs two members or more, got {m}")
    shrunk = 1 - (1 - fair) / m
    to_truth = [distance(member, truth) for member in members]
    pairs = [
        to_truth[j] + to_truth[k] - shrunk * distance(members[j], members[k]) for j, k in combinations(range(m), 2)
    ]
    return torch.stack(pairs).sum(0) / (m * (m - 1))


def absolute(one: Tensor, other: Tensor) -> Tensor:
    """|one − other|, number by number: the distance of the CRPS."""
    return (one - other).abs()


def root_mean_square(one: Tensor, other: Tensor) -> Tensor:
    """‖one − other‖ / √numbers of states [b, C, H, W], [b]: the distance of the energy score, whatever the lattice.

    The gradient is 0 where two states are equal.
    """
    square = ((one - other) ** 2).flatten(1).mean(1)
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)
