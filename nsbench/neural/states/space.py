"""State spaces: the one object through which a network knows what its states are.

A network turns maps into maps. A state space says which maps a state is, how many a network must put out, and what they
mean: a distribution of the next state, of which it gives the density, a loss, draws and the mode. Networks that are
written against it work on every kind of states; a new kind is a subclass, and a dataset names it (docs/states.md).

Shapes: x, x_next float32[b, C, H, W], as ``Trajectories.at`` gives them; out [b, outputs, H, W], of any precision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from nsbench.components.protocol import Decode
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories

Step = Callable[[Tensor, Tensor], Tensor]
"""A function (x, y float32[b, P]) -> out, what a network puts out for the next state."""


class StateSpace(nn.Module, ABC):
    """How states of one kind enter a network, and what its output says about the next state.

    inputs   channels of an encoded state.
    outputs  channels that a network puts out.
    frozen   settled sites keep their state, whatever a network puts out.
    """

    inputs: int
    outputs: int
    frozen: bool = False

    def measure(self, train: Trajectories) -> None:
        """Learn what scales states and their changes from the training set. Buffers are saved with the weights."""

    def encode(self, x: Tensor) -> Tensor:
        """A state as maps [b, inputs, H, W]."""
        return x

    def encode_next(self, x: Tensor, x_next: Tensor) -> Tensor:
        """The next state as maps [b, inputs, H, W], for a network that infers latents from a transition."""
        return self.encode(x_next)

    def settled(self, x: Tensor) -> Tensor:
        """1 at sites that are settled for good, 0 elsewhere, [b, 1, H, W]."""
        return torch.zeros_like(x[:, :1])

    @abstractmethod
    def site_loss(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        """−log p of what each site becomes, float32[b, ·, H, W], nats, up to a constant; at all sites."""

    @abstractmethod
    def log_density(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        """log p(x_next | x) of whole states, float64[b], nats: −inf where settled sites change."""

    @abstractmethod
    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        """The next state: each site's likeliest value ("mode"), or a draw ("sample")."""

    def rollout(
        self, start: Trajectories, x: Tensor, y: Tensor, steps: int, decode: Decode, step: Step, noise: torch.Generator
    ) -> Trajectories:
        """Trajectories of `steps` frames from x, fewer where the domain's stop rule holds. y: float32[n, P].

        They are held as fields, unless a kind has a way of its own.
        """
        values = np.empty((len(x), steps + 1, *x.shape[1:]), np.float32)
        values[:, 0] = x.cpu().numpy()
        for t in range(steps):
            x = self.next_state(x, step(x, y), decode, noise)
            values[:, t + 1] = x.cpu().numpy()
        lengths = np.full(len(x), steps + 1, np.int32)
        return FieldTrajectories(start.params, lengths, start.domain, values).stopped()

    @abstractmethod
    def changes(self, out: Tensor, other: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """How far two outputs differ: (sites that are decided otherwise, Σ over sites of the total variation).

        Each float64[b]. Where there is nothing to decide, the first is in the unit of ``changed``.
        """

    @abstractmethod
    def changed(self, x: Tensor, x_next: Tensor) -> Tensor:
        """The size of a step, float64[b]: sites that change, or changes in units of their standard deviation."""

    def exchange(self, count: int, noise: torch.Generator) -> Exchange:
        """A random symmetry of the law for each of `count` transitions that are trained on; none by default."""
        return Exchange()


class Exchange:
    """A symmetry of the law under which transitions are trained on: the identity here."""

    def there(self, x: Tensor) -> Tensor:
        """The states [b, C, H, W] under the symmetry."""
        return x

    def back(self, x: Tensor) -> Tensor:
        """The states of which ``there`` made these."""
        return x
