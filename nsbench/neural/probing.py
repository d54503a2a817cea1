"""The effect of the latents of a network, measured through its prior, posterior and decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nsbench.components.evidence import LatentUse
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import Simulator
from nsbench.neural.devices import autocast, device_of
from nsbench.neural.gaussian import kl_divergence
from nsbench.neural.model import LatentModel
from nsbench.neural.randomness import draw_seed, generator

DECODED_SITES = 512 * 32 * 32
"""The number of sites that are decoded at once at most: bounds memory."""


class Answers(NamedTuple):
    """The measurements of one batch: kl and shift of each latent [b, d]; changes of each transition, float64[b]."""

    kl: Tensor
    shift: Tensor
    changed: Tensor
    redrawn: Tensor
    redrawn_probability: Tensor
    shuffled: Tensor
    shuffled_probability: Tensor


class Neural(Protocol):
    """The attributes of a ``NeuralSimulator`` that are read here.

    The class itself is not imported: evidence would depend on how networks are trained.
    """

    network: Any
    columns: Sequence[int]
    conditions: Conditions


@dataclass(frozen=True, eq=False)
class Probe:
    """A latent-variable model that is to be asked, on its device, with randomness of its own."""

    model: LatentModel[Any]
    simulator: Neural
    device: torch.device
    noise: torch.Generator

    def states(self, *states: NDArray[np.float32]) -> Iterator[Tensor]:
        """States on the device."""
        return (torch.from_numpy(x).to(self.device) for x in states)

    def standardised(self, params: NDArray[np.float64]) -> Tensor:
        """The standardised parameters y, float32[b, P], of float64[b, all]."""
        columns = torch.from_numpy(params[:, list(self.simulator.columns)])
        y: Tensor = self.simulator.network.standardise(columns.to(self.device, torch.float32))
        return y


def probe(simulator: Simulator, rng: np.random.Generator) -> Probe | None:
    """A probe of a simulator; None for one that is not neural with a LatentModel model."""
    model = getattr(getattr(simulator, "network", None), "model", None)
    if not isinstance(model, LatentModel):
        return None
    neural = cast(Neural, simulator)
    device = device_of(neural.conditions)
    noise = generator(device, draw_seed(rng))
    neural.network.to(device).eval()
    return Probe(model, neural, device, noise)


def neural_latent_use(
    simulator: Simulator,
    x: NDArray[np.float32],
    x_next: NDArray[np.float32],
    params: NDArray[np.float64],
    trajectory: NDArray[np.int64],
    rng: np.random.Generator,
) -> LatentUse | None:
    """The use that a simulator makes of its latents; None for one that is not neural with a LatentModel model.

    Arguments as of ``nsbench.stages.probing``.
    """
    asking = probe(simulator, rng)
    if asking is None:
        return None
    parts = []
    with torch.inference_mode(), autocast(asking.simulator.conditions):
        for rows in np.array_split(np.arange(len(x)), -(-len(x) * x[0].size // DECODED_SITES)):
            before, after = asking.states(x[rows], x_next[rows])
            parts.append(asked(asking.model, before, after, asking.standardised(params[rows]), asking.noise))
    answers = {name: torch.cat([getattr(part, name) for part in parts]).cpu().numpy() for name in Answers._fields}
    return LatentUse(
        trajectory=trajectory,
        kl=answers["kl"].sum(axis=1),
        latents=answers["kl"].mean(axis=0),
        spread=answers["shift"].var(axis=0),
        **{name: answers[name] for name in Answers._fields[2:]},
    )


def asked(model: LatentModel[Any], x: Tensor, x_next: Tensor, y: Tensor, noise: torch.Generator) -> Answers:
    """The measurements of b transitions; shuffling gives each transition's z to the next one in the batch."""
    context, prior, posterior = model.inferred(x, x_next, y)
    z = prior.sample(noise)
    out = model.decode(context, z)
    redrawn = model.space.changes(out, model.decode(context, prior.sample(noise)), x)
    shuffled = model.space.changes(out, model.decode(context, z.roll(1, 0)), x)
    shift = (posterior.mean - prior.mean) / prior.scale
    kl, changed = kl_divergence(posterior, prior), model.space.changed(x, x_next)
    return Answers(kl.flatten(1).double(), shift.flatten(1).double(), changed, *redrawn, *shuffled)
