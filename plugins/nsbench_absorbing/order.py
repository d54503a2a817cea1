"""The random order in which the sites of a state are drawn, and the rounds into which it is cut."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nsbench_absorbing.params import Schedule

KNOWN = -1
"""The place of a site that is not drawn."""


def places(free: Tensor, generator: torch.Generator) -> Tensor:
    """The place of each free site in a uniformly random order of them, int64[b, 1, H, W]: 0 … N − 1; KNOWN elsewhere.

    free: bool[b, 1, H, W].
    """
    noise = torch.rand(free.shape, generator=generator, device=free.device)
    ordered = torch.where(free, noise, 2.0).flatten(1).argsort(1)  # sites that are not free come last
    place: Tensor = torch.where(free, ordered.argsort(1).view(free.shape), KNOWN)
    return place


def drawn_before(count: Tensor, rounds: int, schedule: Schedule) -> list[Tensor]:
    """The numbers of sites that are drawn before rounds 0 … `rounds` begin, int64[b] each: at first 0, at last all.

    count: int64[b], N, the sites to draw. Where there are as many rounds as sites or more, each round draws one site
    until none is left.
    """
    steps = range(rounds + 1)
    single = [count.clamp(max=i) for i in steps]
    if schedule == "linear":
        grouped = [(count * i + rounds - 1) // rounds for i in steps]
    else:
        masked = [math.cos(math.pi / 2 * i / rounds) if i < rounds else 0.0 for i in steps]
        grouped = [count - torch.floor(count.double() * share).long() for share in masked]
    return [torch.where(count <= rounds, *pair) for pair in zip(single, grouped, strict=True)]
