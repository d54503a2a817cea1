"""The networks of PNS: forward model, latent encoders, decoder.

Minartz et al. 2023 (arXiv 2305.14286). All maps have `width` channels at every resolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, positive_gaussian
from nsbench.neural.networks.layers import ResidualBlock, concatenate
from nsbench.neural.networks.padding import OPEN, Boundaries, Convolution, convolved
from nsbench.neural.networks.resampling import double, halve
from nsbench_pns.params import PNSParams


def residual_blocks(inputs: int, params: PNSParams) -> nn.Sequential:
    """The residual blocks of one level, from `inputs` channels to `width`."""
    channels = [inputs] + [params.width] * (params.blocks - 1)
    return nn.Sequential(*(ResidualBlock(c, params.width, params.norm_groups) for c in channels))


class UNet(nn.Module):
    """A UNet: residual blocks at each level on the way down (max-pool 2) and up (nearest neighbour), with skips."""

    def __init__(self, params: PNSParams) -> None:
        super().__init__()
        w = params.width
        self.down = nn.ModuleList(residual_blocks(w, params) for _ in range(params.levels))
        self.up = nn.ModuleList(residual_blocks(2 * w, params) for _ in range(params.levels - 1))

    def forward(self, features: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            features = blocks(features if level == 0 else halve(features))
            skips.append(features)
        skips.pop()
        for blocks in self.up:
            features = blocks(concatenate(double(features), skips.pop()))
        return features


class LatentEncoder(nn.Module):
    """An encoder of maps [b, C, H, W] to a Gaussian over a vector: convolutions and max-pools, global mean, linear."""

    def __init__(self, inputs: int, params: PNSParams) -> None:
        super().__init__()
        channels = [inputs] + [params.width] * (params.encoder_layers - 1)
        self.convolutions = nn.ModuleList(Convolution(c, params.width) for c in channels)
        self.head = nn.Linear(params.width, 2 * params.latents)

    def forward(self, maps: Tensor) -> Gaussian:
        for convolution in self.convolutions:
            maps = F.max_pool2d(F.relu(convolution(maps)), 2, ceil_mode=True)
        return positive_gaussian(self.head(maps.mean((2, 3))))


class Decoder(nn.Module):
    """The decoder of (h, z broadcast): a wide convolution and further 3×3 ones, ReLU between; a map of `width`."""

    def __init__(self, params: PNSParams) -> None:
        super().__init__()
        w, kernel = params.width, params.decoder_kernel
        self.wide = Convolution(w + params.latents, w, kernel)
        self.further = nn.ModuleList(Convolution(w, w) for _ in range(params.decoder_layers))

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        of_h, of_z = self.wide.weight[:, : h.shape[1]], self.wide.weight[:, h.shape[1] :]
        features = convolved(h, of_h, self.wide.bias, self.wide.boundaries)
        features = features + convolved_constant(z, of_z, (h.shape[2], h.shape[3]), self.wide.boundaries)
        for convolution in self.further:
            features = convolution(F.relu(features))
        return features


def convolved_constant(z: Tensor, weight: Tensor, shape: tuple[int, int], boundaries: Boundaries = OPEN) -> Tensor:
    """The "same" convolution of z [b, C] broadcast over a lattice, without the lattice: [b, O, H, W].

    A constant map gives Σ_ij R_yi (Σ_c z_c w_ocij) C_xj at site (y, x), R and C saying which taps fall inside, or on
    what stands beyond a boundary that is not open: the kernel is summed once a sample, not once a site.
    weight: [O, C, k, k], k odd.
    """
    kernel = torch.einsum("bc,ocij->boij", z, weight)
    taps, device = weight.shape[-1], weight.device
    rows, columns = (
        taps_inside(size, taps, device) if boundary == "open" else torch.ones(size, taps, device=device)
        for size, boundary in zip(shape, boundaries, strict=True)
    )
    return rows @ kernel @ columns.T


def taps_inside(size: int, taps: int, device: torch.device) -> Tensor:
    """The taps of a centred kernel that fall inside the lattice, float32[size, taps]: 1 inside, 0 outside."""
    reached = torch.arange(size, device=device)[:, None] + torch.arange(taps, device=device) - taps // 2
    return ((reached >= 0) & (reached < size)).float()
