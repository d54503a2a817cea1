"""The effect of the latents of a network, measured through its prior, posterior and decoder."""

from __future__ import annotations

from collections.abc import Sequence
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
    model = getattr(getattr(simulator, "network", None), "model", None)
    if not isinstance(model, LatentModel):
        return None
    neural = cast(Neural, simulator)
    device = device_of(neural.conditions)
    noise, network = generator(device, draw_seed(rng)), neural.network.to(device).eval()
    parts = []
    with torch.inference_mode(), autocast(neural.conditions):
        for rows in np.array_split(np.arange(len(x)), -(-len(x) * x[0].size // DECODED_SITES)):
            columns = torch.from_numpy(params[rows][:, list(neural.columns)])
            y = network.standardise(columns.to(device, torch.float32))
            before, after = (torch.from_numpy(states[rows]).to(device) for states in (x, x_next))
            parts.append(asked(model, before, after, y, noise))
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
