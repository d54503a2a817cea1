"""The networks of CGNE: encoders, embedding of the latents, UNet decoder, regressor.

Timmer et al. 2024 (arXiv 2405.16608). Latents live on a lattice of 1/8 of the resolution, [b, dz, H/8, W/8],
or with ``latent_halvings`` 2 of a quarter of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, positive_gaussian
from nsbench.neural.networks.layers import Down, ResidualBlock, Up, concatenate, perceptron
from nsbench.neural.networks.padding import Convolution
from nsbench.neural.networks.resampling import double
from nsbench_cgne.params import CGNEParams


class Unshuffle(nn.Module):
    """A layer that packs 2 × 2 sites into one with four times the channels: nothing is lost."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.pixel_unshuffle(maps, 2).contiguous(memory_format=torch.channels_last)


class LatentEncoder(nn.Module):
    """An encoder of maps [b, C, H, W] to a Gaussian over latents: down w, down 2w, down 4w, block 4w, conv to 2·dz.

    The first down takes the maximum of each 2 × 2 sites, so that a site which attaches beside attached ones
    goes unseen, unless ``encoder_entry`` is "unshuffle". With two halvings the third down is a block.
    """

    def __init__(self, inputs: int, params: CGNEParams) -> None:
        super().__init__()
        w, groups = params.width, params.norm_groups
        if params.encoder_entry == "unshuffle":
            enter: nn.Module = nn.Sequential(Unshuffle(), ResidualBlock(4 * inputs, w, groups))
        else:
            enter = Down(inputs, w, groups)
        third = Down if params.latent_halvings == 3 else ResidualBlock
        self.layers = nn.Sequential(
            enter,
            Down(w, 2 * w, groups),
            third(2 * w, 4 * w, groups),
            ResidualBlock(4 * w, 4 * w, groups),
            Convolution(4 * w, 2 * params.latent_channels),
        )

    def forward(self, maps: Tensor) -> Gaussian:
        return positive_gaussian(self.layers(maps))


def latent_embedding(params: CGNEParams) -> nn.Sequential:
    """The network from z [b, dz, h, w] to its embedding [b, latent_width, h, w]: residual blocks, GELU between them."""
    layers: list[nn.Module] = []
    channels = params.latent_channels
    for _ in range(params.latent_blocks):
        layers += [ResidualBlock(channels, params.latent_width, params.norm_groups), nn.GELU()]
        channels = params.latent_width
    return nn.Sequential(*layers[:-1])


class Decoder(nn.Module):
    """A UNet from x and z to the output for the next state.

    Block w; down 2w, 4w, 4w; up 4w, 2w, w; block w; conv to `outputs` maps. The embedded z, upsampled by
    nearest neighbour, stands beside the features at every level of the encoder that is as fine as z or
    finer, and so in the skips.
    """

    def __init__(self, inputs: int, outputs: int, params: CGNEParams) -> None:
        super().__init__()
        w, z, groups = params.width, params.latent_width, params.norm_groups
        self.halvings = params.latent_halvings
        self.embed = latent_embedding(params)
        self.enter = ResidualBlock(inputs, w, groups)
        self.down1 = Down(w + z, 2 * w, groups)
        self.down2 = Down(2 * w + z, 4 * w, groups)
        self.down3 = Down(4 * w + z, 4 * w, groups)
        self.up3 = Up(4 * w + (z if self.halvings == 3 else 0), 4 * w, groups)
        self.up2 = Up(4 * w + 4 * w + z, 2 * w, groups)
        self.up1 = Up(2 * w + 2 * w + z, w, groups)
        self.leave = ResidualBlock(w + w + z, w, groups)
        self.logit = Convolution(w, outputs)

    def forward(self, seen: Tensor, z: Tensor) -> Tensor:
        """The output for the next state. seen: the part of the present that the decoder is shown, [b, C, H, W]."""
        embedded = self.embed(z)
        quarter = double(embedded) if self.halvings == 3 else embedded
        half = double(quarter)
        at_full = concatenate(self.enter(seen), double(half))
        at_half = concatenate(self.down1(at_full), half)
        at_quarter = concatenate(self.down2(at_half), quarter)
        at_eighth = self.down3(at_quarter)
        features = self.up3(concatenate(at_eighth, embedded) if self.halvings == 3 else at_eighth)
        features = self.up2(concatenate(features, at_quarter))
        features = self.up1(concatenate(features, at_half))
        out: Tensor = self.logit(self.leave(concatenate(features, at_full)))
        return out


class Regressor(nn.Module):
    """The regressor of y from z: block 2dz, downs 4dz, 4dz, then a perceptron of four layers on 2 × 2 cells.

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
