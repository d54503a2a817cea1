"""Relaxed states: the next state as real numbers of unit scale, for networks that draw numbers and not distributions.

Growth is −1 or 1 at a site; labels are a map for each, 1 where a site holds it and −1 elsewhere, as analog bits are
(Chen, Zhang & Hinton 2022, arXiv 2208.04202); fields are increments in units of the training set's. The state is read
off the numbers by their sign, by the largest of them, or as they are.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from nsbench.components.protocol import Decode
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.fields import Fields
from nsbench.neural.states.growth import Growth
from nsbench.neural.states.labels import Labels
from nsbench.neural.states.space import StateSpace


class Relaxed(StateSpace):
    """A state space in which a network's output is the next state itself, relaxed; it has no density."""

    @abstractmethod
    def relaxed(self, x: Tensor, x_next: Tensor) -> Tensor:
        """The next state as real numbers, float32[b, outputs, H, W]; the present one is relaxed(x, x)."""

    @abstractmethod
    def free(self, x: Tensor) -> Tensor:
        """1 where the next state may be another than the present one, else 0; it expands to [b, outputs, H, W]."""

    def site_loss(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        """The square of the distance from the next state, 0 where that is known beforehand."""
        return (out.float() - self.relaxed(x, x_next)) ** 2 * self.free(x)

    def log_density(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        raise TypeError("relaxed states are drawn as they are: an output has no density")

    def changes(self, out: Tensor, other: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """How far apart the two states are, as ``changed`` says, and the number of sites at which they differ."""
        generator = torch.Generator(out.device)
        one, two = (self.next_state(x, each, "mode", generator) for each in (out, other))
        return self.changed(one, two), (one != two).double().flatten(1).sum(1)


class RelaxedGrowth(Relaxed, Growth):
    """Growth as −1 and 1. Attached sites stay attached, whatever a network puts out."""

    def relaxed(self, x: Tensor, x_next: Tensor) -> Tensor:
        return 2 * x_next - 1

    def free(self, x: Tensor) -> Tensor:
        return 1 - self.settled(x)

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        return Growth.next_state(self, x, out, "mode", generator)


class RelaxedLabels(Relaxed, Labels):
    """Labels as maps of −1 and 1, of which the largest decides."""

    def __init__(self, labels: int, *, exchangeable: bool) -> None:
        super().__init__(labels, exchangeable=exchangeable)
        del self.stay  # a preference among logits, and these are none

    def relaxed(self, x: Tensor, x_next: Tensor) -> Tensor:
        return 2 * self.encode(x_next) - 1

    def free(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        return out.argmax(1, keepdim=True).float()


class RelaxedFields(Relaxed, Fields):
    """Fields as standardised increments. A channel that never changes is carried over."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.outputs = channels

    def relaxed(self, x: Tensor, x_next: Tensor) -> Tensor:
        return self.encode_next(x, x_next)

    def free(self, x: Tensor) -> Tensor:
        return self.moves[None]

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        return x + (self.drift + self.spread * out.float()) * self.moves


def relaxed_space(facts: StateFacts, name: str) -> Relaxed:
    """The relaxed state space of states with such facts, for the simulator of that name.

    Raises ValueError where there is none.
    """
    if facts.space:
        raise ValueError(f"{name} draws relaxed states, and nothing says how {facts.space} is relaxed")
    if facts.states == "labels":
        return RelaxedLabels(facts.labels, exchangeable=facts.exchangeable)
    if facts.states == "fields":
        return RelaxedFields(facts.channels)
    if facts.channels != 1:
        raise ValueError(f"{name} takes growth of one channel, got {facts.channels}")
    return RelaxedGrowth()
