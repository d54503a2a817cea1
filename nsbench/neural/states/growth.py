"""Growth: a site is attached, 1, or not, 0, and p(x' | x) is a product of Bernoullis over unattached sites.

An attached site stays attached with certainty where growth is frozen: it contributes exactly 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nsbench.components.protocol import Decode
from nsbench.neural.states.space import StateSpace, Step
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories


class Growth(StateSpace):
    """States of growth; a network puts out one logit a site, of its being attached in the next state.

    frozen: attached sites stay attached, x' = x + (1 − x)·new (the additive sampling of arXiv 2405.16608); otherwise
    each site is drawn anew.
    """

    inputs = outputs = 1

    def __init__(self, *, frozen: bool = True) -> None:
        super().__init__()
        self.frozen = frozen

    def settled(self, x: Tensor) -> Tensor:
        return x

    def site_loss(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(out.float(), x_next, reduction="none")

    def log_density(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        """The log-likelihood Σ log Bern(x'), over unattached sites where growth is frozen, over all elsewhere."""
        terms = -self.site_loss(out, x, x_next).double()
        if self.frozen:
            detached = torch.where(x_next > 0.5, 0.0, -torch.inf)
            terms = torch.where(x > 0.5, detached.double(), terms)
        return terms.flatten(1).sum(1)

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        if decode == "mode":
            new = out > 0
        else:
            noise = torch.rand(out.shape, generator=generator, device=out.device)
            new = noise < torch.sigmoid(out.float())
        return torch.where(x > 0.5, x, new.float()) if self.frozen else new.float()

    def rollout(
        self, start: Trajectories, x: Tensor, y: Tensor, steps: int, decode: Decode, step: Step, noise: torch.Generator
    ) -> Trajectories:
        if not self.frozen:
            return super().rollout(start, x, y, steps, decode, step, noise)
        growing = _Growing(x, y, torch.from_numpy(start.domain.stop_sites()).to(x.device))
        for frame in range(1, steps + 1):
            if not len(growing.alive):
                break
            growing.take(frame, self.next_state(growing.x, step(growing.x, growing.y), decode, noise))
        return GrowthTrajectories(
            start.params, growing.lengths.cpu().numpy(), start.domain, growing.arrival.cpu().numpy()
        )

    def changes(self, out: Tensor, other: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        free = 1 - x if self.frozen else torch.ones_like(x)
        sites = ((out > 0) != (other > 0)) * free
        probability = (torch.sigmoid(out.float()) - torch.sigmoid(other.float())).abs() * free
        return sites.double().flatten(1).sum(1), probability.double().flatten(1).sum(1)

    def changed(self, x: Tensor, x_next: Tensor) -> Tensor:
        return (x_next - x).abs().double().flatten(1).sum(1)


class _Growing:
    """The trajectories of a rollout while they grow, on the device; those that ended leave the batch."""

    def __init__(self, x: Tensor, y: Tensor, stop: Tensor) -> None:
        count = len(x)
        self.x, self.y, self.stop = x, y, stop
        self.arrival = torch.where(x[:, 0] > 0.5, 0, -1).int()  # [n, H, W]
        self.lengths = torch.ones(count, dtype=torch.int32, device=x.device)
        self.alive = torch.arange(count, device=x.device)
        self._leave_ended()

    def _leave_ended(self) -> None:
        """Keep the trajectories in which no site of the stop rule is attached."""
        going = ~((self.x[:, 0] > 0.5) & self.stop).flatten(1).any(1)
        self.alive, self.x, self.y = self.alive[going], self.x[going], self.y[going]

    def take(self, frame: int, x_next: Tensor) -> None:
        """Write down the next state of the trajectories that are alive, as `frame`."""
        self.x = x_next
        before = self.arrival[self.alive]
        self.arrival[self.alive] = torch.where((before < 0) & (self.x[:, 0] > 0.5), frame, before)
        self.lengths[self.alive] = frame + 1
        self._leave_ended()
