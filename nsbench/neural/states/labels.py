"""Labels: a site holds one of K, and p(x' | x) is a product of categorical distributions over sites."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.components.protocol import Decode
from nsbench.neural.states.space import Exchange, StateSpace, Step
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.labels import LabelTrajectories, label_type

MOST = 256
"""The largest number of labels: a network sees a channel for each."""

STAY = 3.0
"""Nats by which a site prefers its present label before anything is learned."""


class Labels(StateSpace):
    """States of K labels: a channel for each, which the first convolution embeds.

    A network puts out K logits a site, to which a learned preference for the present label is added, so that what it
    learns is change. exchangeable: transitions are trained on with their labels permuted at random.
    """

    def __init__(self, labels: int, *, exchangeable: bool) -> None:
        super().__init__()
        if labels > MOST:
            raise ValueError(f"networks see a channel for each label, at most {MOST} of them, got {labels}")
        self.inputs = self.outputs = labels
        self.exchangeable = exchangeable
        self.stay = nn.Parameter(torch.tensor(STAY))

    def encode(self, x: Tensor) -> Tensor:
        return _one_hot(x, self.inputs)

    def logits(self, out: Tensor, x: Tensor) -> Tensor:
        """The logits of the next labels, float32[b, K, H, W]."""
        return out.float() + self.stay * self.encode(x)

    def site_loss(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(out, x), x_next[:, 0].long(), reduction="none")[:, None]

    def log_density(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        return -self.site_loss(out, x, x_next).double().flatten(1).sum(1)

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        logits = self.logits(out, x)
        if decode == "sample":  # the largest logit with Gumbel noise is a draw
            uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
            logits = logits - torch.log(-torch.log(uniform.clamp(1e-30, 1 - 1e-7)))
        return logits.argmax(1, keepdim=True).float()

    def rollout(
        self, start: Trajectories, x: Tensor, y: Tensor, steps: int, decode: Decode, step: Step, noise: torch.Generator
    ) -> Trajectories:
        kind = label_type(start.domain.labels)
        frames = [x[:, 0].cpu().numpy().astype(kind)]
        for _ in range(steps):
            x = self.next_state(x, step(x, y), decode, noise)
            frames.append(x[:, 0].cpu().numpy().astype(kind))
        lengths = np.full(len(x), steps + 1, np.int32)
        return LabelTrajectories(start.params, lengths, start.domain, np.stack(frames, axis=1))

    def changes(self, out: Tensor, other: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, others = self.logits(out, x), self.logits(other, x)
        sites = logits.argmax(1) != others.argmax(1)
        apart = 0.5 * (logits.softmax(1) - others.softmax(1)).abs().sum(1)
        return sites.double().flatten(1).sum(1), apart.double().flatten(1).sum(1)

    def changed(self, x: Tensor, x_next: Tensor) -> Tensor:
        return (x_next != x).double().flatten(1).sum(1)

    def exchange(self, count: int, noise: torch.Generator) -> Exchange:
        return Permuted(count, self.inputs, noise) if self.exchangeable else Exchange()


class Permuted(Exchange):
    """A random permutation of the labels of each transition."""

    def __init__(self, count: int, labels: int, noise: torch.Generator) -> None:
        self.new = torch.rand((count, labels), generator=noise, device=noise.device).argsort(1)
        self.old = self.new.argsort(1)

    def there(self, x: Tensor) -> Tensor:
        return _looked_up(self.new, x)

    def back(self, x: Tensor) -> Tensor:
        return _looked_up(self.old, x)


def _looked_up(table: Tensor, x: Tensor) -> Tensor:
    """table[b, label] at each site's label."""
    return table.gather(1, x.long().flatten(1)).view(x.shape).float()


def _one_hot(x: Tensor, labels: int) -> Tensor:
    """Labels [b, 1, H, W] as a channel each, float32[b, labels, H, W]."""
    return (x.long() == torch.arange(labels, device=x.device)[:, None, None]).float()
