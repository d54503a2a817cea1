"""CGNE and PNS as one writes them down: the same networks by torch's own operations, in float32, in its layout.

What is plain: upsampling by ``interpolate`` before each convolution, max-pooling and group norm by torch, z
broadcast over the lattice before PNS's wide convolution, an optimizer that is not fused, and a training step
that decodes samples of the posterior and of the prior. Weights have the names that they have in nsbench, so that
the two compute the same thing: ``tests/test_plain.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nsbench.neural.networks.layers as layers
import nsbench_cgne.network as cgne
import nsbench_pns.network as pns
from nsbench.neural.model import LatentModel


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def up(self: layers.Up, x: Tensor) -> Tensor:
    return layers.ResidualBlock.forward(self, double(x))


def halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def decode(self: pns.Decoder, h: Tensor, z: Tensor) -> Tensor:
    features = self.wide(torch.cat([h, z[:, :, None, None].expand(-1, -1, *h.shape[2:])], dim=1))
    for convolution in self.further:
        features = convolution(F.relu(features))
    return features


def unshuffle(self: cgne.Unshuffle, maps: Tensor) -> Tensor:
    return F.pixel_unshuffle(maps, 2)


@contextmanager
def plainly() -> Iterator[None]:
    """While it lasts, networks compute by torch's own operations. Make them ``contiguous`` first."""
    with ExitStack() as swaps:
        for owner, name, plain in (
            (layers.Up, "forward", up),
            (layers.GroupNorm, "forward", nn.GroupNorm.forward),
            (layers, "halve", halve),
            (cgne, "double", double),
            (cgne.Unshuffle, "forward", unshuffle),
            (pns, "double", double),
            (pns, "halve", halve),
            (pns.Decoder, "forward", decode),
        ):
            swaps.enter_context(patch.object(owner, name, plain))
        yield


def contiguous(model: LatentModel) -> LatentModel:
    """The model with its weights in torch's default layout."""
    return model.to(memory_format=torch.contiguous_format)


def train(
    model: LatentModel, optimizer: torch.optim.Optimizer, x: Tensor, x_next: Tensor, y: Tensor, noise: torch.Generator
) -> None:
    """One step that decodes both samples; the prior's, which tells what a rollout would look like, teaches nothing."""
    optimizer.zero_grad()
    model.loss(x, x_next, y, 1.0, noise).total.backward()
    with torch.no_grad():
        model.output(x, y, noise)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
