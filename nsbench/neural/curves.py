"""The curves of a training, in a few hundred points however long it is."""

from __future__ import annotations

import math

from torch import Tensor

from nsbench.components.simulator import Diverged, FitContext

POINTS = 200
"""Points of a curve."""


class Curves:
    """The curves of a training, logged point by point; a point's step is the number of transitions.

    A point is the mean, weighted by transitions, of the values that were added since the last point.
    """

    def __init__(self, ctx: FitContext) -> None:
        self.ctx = ctx
        self.sums: dict[str, Tensor] = {}
        self.counted = 0

    def add(self, transitions: int, terms: dict[str, Tensor]) -> None:
        """Add values by name, each a mean over that many transitions."""
        self.counted += transitions
        for name, value in terms.items():
            weighted = value.detach().double() * transitions
            self.sums[name] = self.sums[name] + weighted if name in self.sums else weighted

    def check(self, done: int) -> None:
        """Raise Diverged if the loss is not finite any more."""
        loss = float(self.sums["loss"])
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} after {done} transitions; the last checkpoint is kept")

    def write(self, done: int) -> None:
        """Log a point when it is due: after each 1/200 of the budget, and at its end."""
        if self.counted * POINTS < self.ctx.transitions and done < self.ctx.transitions:
            return
        for name, total in self.sums.items():
            self.ctx.log(f"train/{name}", float(total) / self.counted, done)
        self.sums, self.counted = {}, 0
