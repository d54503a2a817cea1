"""Averaged weights: stochastic weight averaging, or an exponential moving average."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Average:
    """The average of a module's weights over the steps of training that it was shown.

    decay None: all weigh the same (Izmailov et al. 2018, arXiv 1803.05407). Otherwise an exponential
    moving average, which starts as the plain one, so that the first weights seen do not linger.
    """

    def __init__(self, module: nn.Module, decay: float | None) -> None:
        self.module, self.decay = module, decay
        self.count = 0
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    def update(self) -> None:
        """Add the module's present weights to the average."""
        self.count += 1
        share = 1 / self.count if self.decay is None else max(1 / self.count, 1 - self.decay)
        names, now = zip(*((name, p.detach()) for name, p in self.module.named_parameters()), strict=True)
        torch._foreach_lerp_([self.weights[name] for name in names], now, share)

    def swap(self) -> None:
        """Exchange the module's weights with the average."""
        with torch.no_grad():
            for name, p in self.module.named_parameters():
                average: Tensor = p.detach().clone()
                p.copy_(self.weights[name])
                self.weights[name].copy_(average)
