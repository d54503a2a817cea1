"""Trajectories drawn from a network of growth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nsbench.components.protocol import Decode
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories

Step = Callable[[Tensor, Tensor], Tensor]
"""A function (x float32[b, 1, H, W], y float32[b, P]) -> logits of the next state."""


def next_state(x: Tensor, logits: Tensor, decode: Decode, frozen: bool, generator: torch.Generator) -> Tensor:
    """The next state: each site takes its likelier state ("mode") or is drawn ("sample").

    Frozen: x' = x + (1 − x)·new, so attached sites stay (the additive sampling of arXiv 2405.16608).
    """
    if decode == "mode":
        new = logits > 0
    else:
        noise = torch.rand(logits.shape, generator=generator, device=logits.device)
        new = noise < torch.sigmoid(logits.float())
    return torch.where(x > 0.5, x, new.float()) if frozen else new.float()


class Growing:
    """The trajectories of a rollout while they grow, on the device; those that ended leave the batch."""

    def __init__(self, x: Tensor, y: Tensor, stop: Tensor) -> None:
        count = len(x)
        self.x, self.y, self.stop = x, y, stop
        self.arrival = torch.where(x[:, 0] > 0.5, 0, -1).int()  # [n, H, W]
        self.lengths = torch.ones(count, dtype=torch.int32, device=x.device)
        self.alive = torch.arange(count, device=x.device)
        self.leave_ended()

    def leave_ended(self) -> None:
        """Keep the trajectories in which no site of the stop rule is attached."""
        going = ~((self.x[:, 0] > 0.5) & self.stop).flatten(1).any(1)
        self.alive, self.x, self.y = self.alive[going], self.x[going], self.y[going]

    def grow(self, frame: int, step: Step, decode: Decode, generator: torch.Generator) -> None:
        """Take one step with the trajectories that are alive, and write it down as `frame`."""
        self.x = next_state(self.x, step(self.x, self.y), decode, True, generator)
        before = self.arrival[self.alive]
        self.arrival[self.alive] = torch.where((before < 0) & (self.x[:, 0] > 0.5), frame, before)
        self.lengths[self.alive] = frame + 1
        self.leave_ended()


def grow(
    start: Trajectories, x: Tensor, y: Tensor, steps: int, decode: Decode, step: Step, generator: torch.Generator
) -> GrowthTrajectories:
    """Trajectories of frozen growth from x, float32[n, 1, H, W]: `steps` frames, fewer where the stop rule holds."""
    growing = Growing(x, y, torch.from_numpy(start.domain.stop_sites()).to(x.device))
    for frame in range(1, steps + 1):
        if not len(growing.alive):
            break
        growing.grow(frame, step, decode, generator)
    return GrowthTrajectories(start.params, growing.lengths.cpu().numpy(), start.domain, growing.arrival.cpu().numpy())


def evolve(
    start: Trajectories, x: Tensor, y: Tensor, steps: int, decode: Decode, step: Step, generator: torch.Generator
) -> FieldTrajectories:
    """Trajectories of `steps` frames in which sites may detach too, cut where the stop rule holds."""
    frames = [x]
    for _ in range(steps):
        frames.append(next_state(frames[-1], step(frames[-1], y), decode, False, generator))
    values = torch.stack(frames, dim=1).cpu().numpy()  # [n, T, 1, H, W]
    lengths = torch.full((len(x),), steps + 1, dtype=torch.int32).numpy()
    return FieldTrajectories(start.params, lengths, start.domain, values).stopped()
