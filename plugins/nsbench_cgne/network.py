"""The networks of CGNE: encoders, embedding of the latents, UNet decoder, regressor.

Timmer et al. 2024 (arXiv 2405.16608). Latents live on a lattice of 1/8 of the resolution, [b, dz, H/8, W/8].
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, positive_gaussian
from nsbench.neural.layers import Down, ResidualBlock, Up, beside, perceptron
from nsbench.neural.resampling import double
from nsbench_cgne.params import CGNEParams


class LatentEncoder(nn.Module):
    """Maps [b, C, H, W] to a Gaussian over latents: down w, down 2w, down 4w, block 4w, conv to 2·dz."""

    def __init__(self, inputs: int, params: CGNEParams) -> None:
        super().__init__()
        w, groups = params.width, params.norm_groups
        self.layers = nn.Sequential(
            Down(inputs, w, groups),
            Down(w, 2 * w, groups),
            Down(2 * w, 4 * w, groups),
            ResidualBlock(4 * w, 4 * w, groups),
            nn.Conv2d(4 * w, 2 * params.latent_channels, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Gaussian:
        return positive_gaussian(self.layers(maps))


def latent_embedding(params: CGNEParams) -> nn.Sequential:
    """z [b, dz, h, w] to its embedding [b, latent_width, h, w]: residual blocks, GELU between them."""
    layers: list[nn.Module] = []
    channels = params.latent_channels
    for _ in range(params.latent_blocks):
        layers += [ResidualBlock(channels, params.latent_width, params.norm_groups), nn.GELU()]
        channels = params.latent_width
    return nn.Sequential(*layers[:-1])


class Decoder(nn.Module):
    """A UNet from x and z to one logit a site.

    Block w; down 2w, 4w, 4w; up 4w, 2w, w; block w; conv to the logit. The embedded z, upsampled by
    nearest neighbour, stands beside the features at every level of the encoder, and so in the skips.
    """

    def __init__(self, inputs: int, params: CGNEParams) -> None:
        super().__init__()
        w, z, groups = params.width, params.latent_width, params.norm_groups
        self.embed = latent_embedding(params)
        self.enter = ResidualBlock(inputs, w, groups)
        self.down1 = Down(w + z, 2 * w, groups)
        self.down2 = Down(2 * w + z, 4 * w, groups)
        self.down3 = Down(4 * w + z, 4 * w, groups)
        self.up3 = Up(4 * w + z, 4 * w, groups)
        self.up2 = Up(4 * w + 4 * w + z, 2 * w, groups)
        self.up1 = Up(2 * w + 2 * w + z, w, groups)
        self.leave = ResidualBlock(w + w + z, w, groups)
        self.logit = nn.Conv2d(w, 1, 3, padding=1)

    def forward(self, seen: Tensor, z: Tensor) -> Tensor:
        """seen: what the decoder is shown of the present, [b, C, H, W]."""
        eighth = self.embed(z)
        quarter = double(eighth)
        half = double(quarter)
        at_full = beside(self.enter(seen), double(half))
        at_half = beside(self.down1(at_full), half)
        at_quarter = beside(self.down2(at_half), quarter)
        features = self.up3(beside(self.down3(at_quarter), eighth))
        features = self.up2(beside(features, at_quarter))
        features = self.up1(beside(features, at_half))
        logits: Tensor = self.logit(self.leave(beside(features, at_full)))
        return logits


class Regressor(nn.Module):
    """y from z: block 2dz, downs 4dz, 4dz, then a perceptron of four layers on 2 × 2 cells.

    At the reference's 8 × 8 latents the downs end at 2 × 2; other sizes are pooled to it, so that the
    weights do not depend on the lattice.
    """

    def __init__(self, outputs: int, params: CGNEParams) -> None:
        super().__init__()
        dz, groups, hidden = params.latent_channels, params.norm_groups, params.auxiliary_width
        self.block = ResidualBlock(dz, 2 * dz, groups)
        self.down1 = ResidualBlock(2 * dz, 4 * dz, groups)
        self.down2 = ResidualBlock(4 * dz, 4 * dz, groups)
        flat = 4 * 4 * dz
        self.head = perceptron([flat, (flat + hidden) // 2, hidden, max(1, hidden // 2), outputs])

    def forward(self, z: Tensor) -> Tensor:
        features = self.block(z)
        features = self.down1(F.max_pool2d(features, 2, ceil_mode=True))
        features = self.down2(F.max_pool2d(features, 2, ceil_mode=True))
        y: Tensor = self.head(F.adaptive_avg_pool2d(features, 2).flatten(1))
        return y
