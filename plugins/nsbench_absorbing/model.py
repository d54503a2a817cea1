"""A network that predicts masked sites of the next state, and the process that draws them round by round.

    p(x' | x, y) = E_σ Π over rounds r = 1 … n, sites s of round r: p_θ(x'_s; x, y, sites of rounds before r)

The N sites that may change are put into a uniformly random order σ, which is cut into n rounds. The sites of a round
are independent given all that were drawn before: n = 1 is a factorised model, n = N any-order autoregression.

Lou et al. 2023 (arXiv 2310.16834), Sahoo et al. 2024 (arXiv 2406.07524); orders and bounds: Liu et al. 2023 (arXiv
2310.12920), Hoogeboom et al. 2021 (arXiv 2110.02037).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from nsbench.neural.model import StepLoss, TransitionModel
from nsbench.neural.networks.layers import broadcast, concatenate, perceptron
from nsbench.neural.networks.unet import UNet
from nsbench.neural.states.space import StateSpace
from nsbench_absorbing.order import drawn_before, places
from nsbench_absorbing.params import AbsorbingParams

CERTAIN = 1e4
"""The logit of what is certain: probabilities 1 and 0 to the last bit of single precision."""


class AbsorbingModel(TransitionModel):
    """A UNet of x, of the part of x' that is known, of where it is known, and of y."""

    def __init__(self, params: AbsorbingParams, space: StateSpace, inputs: int) -> None:
        super().__init__(space)
        self.params = params
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        seen = 2 * space.inputs + 1 + params.embedding
        self.unet = UNet(seen, space.outputs, params.width, params.norm_groups)

    def sites(self, x: Tensor, partial: Tensor, masked: Tensor, y: Tensor) -> Tensor:
        """The output for masked sites. partial: a state [b, 1, H, W], of which masked sites are not looked at.

        masked: bool[b, 1, H, W].
        """
        known = (~masked).float()
        maps = (self.space.encode(x), self.space.encode_next(x, partial) * known, known)
        out: Tensor = self.unet(concatenate(*maps, broadcast(self.embed(y), like=x)))
        return out

    def free(self, x: Tensor) -> Tensor:
        """The sites that may change, bool[b, 1, H, W]."""
        return self.space.settled(x) < 0.5

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss: minus ``any_order_bound``, a site of the lattice; in a share `all_masked` of the batch k = N."""
        nats, out = self.any_order_bound(x, x_next, y, self.params.all_masked, generator)
        error = -nats.mean()
        return StepLoss(error / x[0, 0].numel(), out, {"error": error.detach()})

    def any_order_bound(
        self, x: Tensor, x_next: Tensor, y: Tensor, all_masked: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """N · (the mean of log p over k masked sites), float32[b], and the output that it is of; by one evaluation.

        k is uniform on 1 … N and the masked sites a random set of that size, so that the mean is the bound of any-order
        autoregression, whatever `evaluations` is. The k of a batch are stratified. all_masked: the share with k = N.
        """
        free = self.free(x)
        count = free.flatten(1).sum(1)
        place = places(free, generator)
        revealed = (self._uniform(len(x), generator) * count).long().clamp(max=(count - 1).clamp(min=0))
        blank = torch.rand(len(x), generator=generator, device=x.device) < all_masked
        revealed = torch.where(blank, 0, revealed)
        masked = place >= revealed[:, None, None, None]
        out = self.sites(x, x_next, masked, y)
        losses = (self.space.site_loss(out, x, x_next) * masked).flatten(1).sum(1)
        return -losses * count / (count - revealed).clamp(min=1), out

    @staticmethod
    def _uniform(count: int, generator: torch.Generator) -> Tensor:
        """Numbers uniform on [0, 1), float32[count], one in each of `count` equal parts of it."""
        noise = torch.rand(count, generator=generator, device=generator.device)
        return (torch.arange(count, device=generator.device) + noise) / count

    def rounds(self, free: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """For each round (masked, drawn), bool[b, 1, H, W]: the sites unknown as it begins, those that it draws."""
        count = free.flatten(1).sum(1)
        most = int(count.max()) if len(count) else 0
        rounds = max(1, most) if self.params.evaluations == "sites" else self.params.evaluations
        place = places(free, generator)
        before = [drawn[:, None, None, None] for drawn in drawn_before(count, rounds, self.params.schedule)]
        for begin, end in pairwise(before[: most + 1]):  # each round draws a site, while there are any
            masked = place >= begin
            yield masked, masked & (place < end)

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """The output that is certain of a state which was drawn round by round."""
        state = x
        for masked, drawn in self.rounds(self.free(x), generator):
            out = self.sites(x, state, masked, y)
            state = torch.where(drawn, self.space.next_state(x, out, "sample", generator), state)
        return self.certain(state)

    def certain(self, state: Tensor) -> Tensor:
        """The output under which the next state is the given one; a logit belongs to each channel of its encoding."""
        return CERTAIN * (2 * self.space.encode(state) - 1)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """log p(x_next | x, y, σ) for random orders σ, whose exponential is p(x_next | x, y) on average."""
        x, x_next, y = (part.repeat_interleave(samples, 0) for part in (x, x_next, y))
        free = self.free(x)
        nats = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for masked, drawn in self.rounds(free, generator):
            losses = self.space.site_loss(self.sites(x, x_next, masked, y), x, x_next)
            nats -= torch.where(drawn, losses.double(), 0.0).flatten(1).sum(1)
        impossible = ((x_next != x) & ~free).flatten(1).any(1)
        return nats.masked_fill(impossible, -torch.inf).view(-1, samples).T
