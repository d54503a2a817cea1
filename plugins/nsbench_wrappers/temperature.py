"""State spaces in which each site is drawn at a temperature.

    growth, labels   logits / T
    fields           standard deviation · T

T = 1 changes nothing, T > 1 spreads, T < 1 sharpens; the likeliest state is the same. Guo et al. 2017 (arXiv
1706.04599), of classifiers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nsbench.components.protocol import Decode
from nsbench.neural.states.fields import Fields
from nsbench.neural.states.growth import Growth
from nsbench.neural.states.labels import Labels
from nsbench.neural.states.space import StateSpace


class TemperedGrowth(Growth):
    """Growth at a temperature."""

    temperature: float = 1.0

    def site_loss(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        return super().site_loss(out.float() / self.temperature, x, x_next)

    def next_state(self, x: Tensor, out: Tensor, decode: Decode, generator: torch.Generator) -> Tensor:
        return super().next_state(x, out.float() / self.temperature, decode, generator)

    def changes(self, out: Tensor, other: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().changes(out.float() / self.temperature, other.float() / self.temperature, x)


class TemperedLabels(Labels):
    """Labels at a temperature."""

    temperature: float = 1.0

    def logits(self, out: Tensor, x: Tensor) -> Tensor:
        return super().logits(out, x) / self.temperature


class TemperedFields(Fields):
    """Fields at a temperature."""

    temperature: float = 1.0

    def distribution(self, out: Tensor) -> tuple[Tensor, Tensor]:
        mean, scale = super().distribution(out)
        return mean, scale * self.temperature


TemperedSpace = TemperedGrowth | TemperedLabels | TemperedFields


def tempered(space: StateSpace) -> TemperedSpace:
    """The space at temperature 1, with what it has learned. Raises ValueError for a space of another kind."""
    twin: TemperedSpace
    if type(space) is Growth:
        twin = TemperedGrowth(frozen=space.frozen)
    elif type(space) is Labels:
        twin = TemperedLabels(space.inputs, exchangeable=space.exchangeable)
    elif type(space) is Fields:
        twin = TemperedFields(space.inputs)
    else:
        raise ValueError(f"a temperature is defined for growth, labels and fields, not for {type(space).__name__}")
    twin.load_state_dict(space.state_dict())
    device = next((value.device for value in space.state_dict().values()), torch.device("cpu"))
    return twin.to(device).train(space.training)
