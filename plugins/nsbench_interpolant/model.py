"""The drift of an interpolant as a network, and its regression."""

from __future__ import annotations

import torch
from torch import Tensor

from nsbench.neural.model import StepLoss, TransitionModel
from nsbench.neural.networks.embeddings import Embedding
from nsbench.neural.networks.layers import concatenate
from nsbench.neural.networks.unet import UNet
from nsbench.neural.states.relaxed import Relaxed
from nsbench_interpolant.params import InterpolantParams
from nsbench_interpolant.paths import follow, noise_of


class InterpolantModel(TransitionModel):
    """A UNet of (x_t, x_s), modulated by s and y, that puts out the drift b(s, x_s)."""

    space: Relaxed

    def __init__(self, params: InterpolantParams, space: Relaxed, inputs: int) -> None:
        super().__init__(space)
        self.params = params
        self.embed = Embedding(inputs, params.embedding_width, params.embedding)
        self.unet = UNet(
            space.inputs + space.outputs, space.outputs, params.width, params.norm_groups, params.embedding
        )

    def drift(self, encoded: Tensor, at: Tensor, s: Tensor, y: Tensor) -> Tensor:
        """The drift, float32[b, C, H, W], at x_s = `at`. encoded: x_t, as the space encodes it; s: float32[b]."""
        out: Tensor = self.unet(concatenate(encoded, at), self.embed(s, y))
        return out.float()

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The mean square of b − (x_{t+1} − x_t − εW_s) at a time s ~ U(0, 1) a transition."""
        present, after = self.space.relaxed(x, x), self.space.relaxed(x, x_next)
        s = torch.rand(len(x), generator=generator, device=x.device)
        time = s[:, None, None, None]
        noise = self.params.noise * noise_of(self.params.path, time, after, generator)
        at = (1 - time) * (present + noise) + time * after
        drift = self.drift(self.space.encode(x), at, s, y)
        total = ((drift - (after - present - noise)) ** 2 * self.space.free(x)).mean()
        return StepLoss(total, at + (1 - time) * drift)

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """The next state, relaxed, drawn along the path."""
        encoded, present = self.space.encode(x), self.space.relaxed(x, x)

        def drift(s: float, at: Tensor) -> Tensor:
            return self.drift(encoded, at, torch.full((len(at),), s, device=at.device), y)

        return follow(drift, present, self.space.free(x), self.params, generator)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        raise TypeError("an interpolant has no likelihood: only the end of its path is a state")
