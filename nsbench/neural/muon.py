"""Muon: momentum that is orthogonalised, for the weights of convolutions; AdamW for all others.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

RATE = 10.0
"""The learning rate of orthogonalised steps, in multiples of AdamW's."""

MOMENTUM = 0.95

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial a·s + b·s³ + c·s⁵, which moves singular values from near 0 to about 1 in few iterations."""

ITERATIONS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices whose singular values are all about 1 (0.7 to 1.2), with the same singular vectors, float32[n, r, c].

    A Newton–Schulz iteration of a polynomial in place of the singular value decomposition, which is exact and dear.
    """
    a, b, c = COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.transpose(1, 2)
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(ITERATIONS):
        gram = torch.bmm(x, x.transpose(1, 2))
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, factor, x, beta=a)
    return x if wide else x.transpose(1, 2)


class Muon(torch.optim.AdamW):
    """An optimizer that steps along orthogonalised momentum in the weights of convolutions, [out, in · k · k].

        m ← µ m + g,   w ← w (1 − η λ) − 10 η √max(1, rows / columns) · O(g + µ m)

    η: the learning rate of each group, of AdamW's steps. Momentum is Nesterov's; λ is decoupled.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(weights, lr=lr, weight_decay=weight_decay, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for group in self.param_groups:
            if weights := [w for w in group["params"] if w.grad is not None and w.ndim == 4]:
                self._turn(weights, group["lr"], group["weight_decay"])
        return super().step(closure)  # of those that still have a gradient

    def _turn(self, weights: list[Tensor], rate: float, decay: float) -> None:
        """Take a step in weights of convolutions, and take their gradients away."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}  # as Adam counts
        gradients: list[Tensor] = [w.grad for w in weights if w.grad is not None]
        momenta: list[Tensor] = [self.state[w]["momentum"] for w in weights]
        torch._foreach_add_([self.state[w]["step"] for w in weights], 1)
        torch._foreach_mul_(momenta, MOMENTUM)
        torch._foreach_add_(momenta, gradients)
        steps: list[Tensor] = [*torch._foreach_add(gradients, momenta, alpha=MOMENTUM)]
        shapes: dict[tuple[int, ...], list[int]] = {}
        for k, weight in enumerate(weights):
            shapes.setdefault(tuple(weight.shape), []).append(k)
        for shape, places in shapes.items():  # those of one shape together
            matrices = torch.stack([steps[k] for k in places]).flatten(2)
            size = RATE * rate * max(1.0, matrices.shape[1] / matrices.shape[2]) ** 0.5
            for k, step in zip(places, orthogonalised(matrices).mul_(size), strict=True):
                steps[k] = step.view(shape)
        torch._foreach_mul_(weights, 1 - rate * decay)
        torch._foreach_sub_(weights, steps)
        for weight in weights:
            weight.grad = None
