"""The refiner's network, its loss, and its steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nsbench.neural.model import StepLoss, TransitionModel
from nsbench.neural.networks.embeddings import Embedding
from nsbench.neural.networks.fourier import FNO
from nsbench.neural.networks.layers import concatenate
from nsbench.neural.networks.unet import UNet
from nsbench.neural.states.relaxed import Relaxed
from nsbench_refiner.params import RefinerParams

Answer = Callable[[Tensor, int], Tensor]
"""A function (u, k) -> the prediction of the increment for k = 0, u being 0; else that of the noise in u."""


def refine(answer: Answer, like: Tensor, levels: list[float], generator: torch.Generator) -> Tensor:
    """The increment that a prediction and its refinements end with, shaped like the maps [b, C, H, W].

        u ← f(0, 0);   for k = 1 … K:  v = u + σ_k ξ,  u ← v − σ_k f(v, k),   ξ ~ N(0, 1)

    levels: σ_1 … σ_K. Lippe et al. 2023 (arXiv 2308.05732), section 3.1.
    """
    u = answer(torch.zeros_like(like), 0)
    for k, level in enumerate(levels, start=1):
        noised = u + level * torch.randn(like.shape, generator=generator, device=like.device)
        u = noised - level * answer(noised, k)
    return u


class RefinerModel(TransitionModel):
    """A network of (x_t, u), modulated by k and y: it predicts the increment from u = 0, or the noise in u."""

    space: Relaxed

    def __init__(self, params: RefinerParams, space: Relaxed, inputs: int) -> None:
        super().__init__(space)
        count = params.refinements
        self.levels = [params.smallest_noise ** (k / count) for k in range(1, count + 1)]
        self.embed = Embedding(inputs, params.embedding_width, params.embedding)
        seen, shown = space.inputs + space.outputs, space.outputs
        self.network: nn.Module = (
            FNO(seen, shown, params.width, params.modes, params.layers, params.embedding)
            if params.backbone == "fno"
            else UNet(seen, shown, params.width, params.norm_groups, params.embedding)
        )

    def answer(self, encoded: Tensor, u: Tensor, k: Tensor, y: Tensor) -> Tensor:
        """The answer of the network, float32[b, C, H, W]. encoded: x_t, as the space encodes it; k: int64[b]."""
        level = k / max(1, len(self.levels))
        out: Tensor = self.network(concatenate(encoded, u), self.embed(level, y))
        return out.float()

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The mean square error at a random k a transition: of the increment for k = 0, of the noise for others."""
        after = self.space.relaxed(x, x_next)
        k = torch.randint(len(self.levels) + 1, (len(x),), generator=generator, device=x.device)
        level = torch.tensor([0.0, *self.levels], device=x.device)[k][:, None, None, None]
        noise = torch.randn(after.shape, generator=generator, device=x.device)
        predicts = (k == 0)[:, None, None, None]
        u = torch.where(predicts, 0.0, after + level * noise)
        out = self.answer(self.space.encode(x), u, k, y)
        total = ((out - torch.where(predicts, after, noise)) ** 2 * self.space.free(x)).mean()
        return StepLoss(total, torch.where(predicts, out, u - level * out))

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """The increment, standardised, after all refinements."""
        encoded = self.space.encode(x)

        def answer(u: Tensor, k: int) -> Tensor:
            return self.answer(encoded, u, torch.full((len(u),), k, device=u.device), y)

        return refine(answer, self.space.relaxed(x, x), self.levels, generator)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        raise TypeError("a refiner has no likelihood: what its steps leave of the noise has no known density")
