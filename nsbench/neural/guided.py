"""The bound that CGNE's authors publish: a mean along unrolls that the posterior guides, a site.

Timmer et al. 2024 (arXiv 2405.16608): the quantity behind their ELBO of −0.0428. It is no bound on a likelihood of the
test data, whose states the unroll leaves, and can be compared with nothing but itself.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nsbench.components.simulator import Simulator
from nsbench.neural.devices import autocast
from nsbench.neural.gaussian import kl_divergence
from nsbench.neural.probing import probe
from nsbench.trajectories.base import Trajectories

SEQUENCES = 64
"""Sequences that are unrolled together."""


def neural_guided_bound(
    simulator: Simulator, test: Trajectories, longest: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """The bound of each frame, float64[f]: see ``nsbench.stages.guided``; None for one without a LatentModel."""
    asking = probe(simulator, rng)
    if asking is None:
        return None
    model, space, noise = asking.model, asking.model.space, asking.noise
    trajectory, t = test.transitions()
    starts = np.flatnonzero(t % max(1, longest - 1) == 0)
    frames = rng.integers(1, longest + 1, len(starts))
    bounds = [np.empty(0)]
    with torch.inference_mode(), autocast(asking.simulator.conditions):
        for first in range(0, len(starts), SEQUENCES):
            chosen = starts[first : first + SEQUENCES]
            index, at, left = trajectory[chosen], t[chosen], frames[first : first + SEQUENCES]
            (x,) = asking.states(test.at(index, at))
            while len(index):
                truth, x_next = asking.states(test.at(index, at), test.at(index, at + 1))
                context, prior, posterior = model.inferred(x, x_next, asking.standardised(test.params[index]))
                out = model.decode(context, posterior.sample(noise))
                error = space.site_loss(out, x, x_next)
                open_ = 1 - space.settled(truth) if space.frozen else torch.ones_like(error)
                nats = (error * open_).flatten(1).mean(1) + kl_divergence(posterior, prior).flatten(1).mean(1)
                bounds.append(-nats.double().cpu().numpy())
                x, at, left = space.next_state(x, out, "mode", noise), at + 1, left - 1
                going = (left > 0) & (at + 1 < test.lengths[index])
                index, at, left = index[going], at[going], left[going]
                x = x[torch.from_numpy(going).to(x.device)]
    return np.concatenate(bounds)
