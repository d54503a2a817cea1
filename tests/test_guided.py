"""The bound that CGNE's authors publish, held against loops over sequences, frames and sites."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nsbench.components.evidence import Evidence, Likelihood
from nsbench.components.protocol import Conditions
from nsbench.neural.gaussian import Gaussian
from nsbench.neural.model import LatentModel
from nsbench.neural.randomness import draw_seed
from nsbench.neural.states.growth import Growth
from nsbench.stages.guided import guided_bound
from nsbench_metrics.elbo import ELBO, ELBOParams

pytestmark = pytest.mark.usefixtures("one_thread")

SURE = 1e-9
"""A scale at which a draw is the mean."""


class Share(LatentModel):
    """Grows, or not, all open sites alike, by the share of sites that the true next state has beyond this one."""

    def context(self, x, y):
        return x

    def repeat(self, context, times):
        return context.repeat_interleave(times, 0)

    def prior(self, context):
        return Gaussian(torch.zeros(len(context), 2), torch.ones(len(context), 2))

    def posterior(self, context, x_next):
        share = (x_next - context).flatten(1).mean(1, keepdim=True).expand(-1, 2)
        return Gaussian(share, torch.full_like(share, SURE))

    def decode(self, context, z):
        return 40 * z[:, :1, None, None] - 1 + torch.zeros_like(context)


def simulator():
    network = torch.nn.Module()
    network.model, network.standardise = Share(Growth()), torch.nn.Identity()
    return SimpleNamespace(network=network, columns=[0], conditions=Conditions())


def by_loops(truth, longest, rng):
    """The bound of each frame, sequence by sequence."""
    draw_seed(rng)
    starts = [(n, t) for n, t in zip(*truth.transitions(), strict=True) if t % (longest - 1) == 0]
    frames, bounds = rng.integers(1, longest + 1, len(starts)), []
    for (n, start), count in zip(starts, frames, strict=True):
        x = truth.at(np.array([n]), np.array([start]))[0, 0]
        for t in range(start, min(start + count, truth.lengths[n] - 1)):
            true, after = (truth.at(np.array([n]), np.array([s]))[0, 0] for s in (t, t + 1))
            share = (after - x).mean()
            logit = 40 * share - 1
            losses = [
                0.0 if true[site] else math.log1p(math.exp(-logit if after[site] else logit))
                for site in np.ndindex(x.shape)
            ]
            kl = -math.log(SURE) + (SURE**2 + share**2) / 2 - 0.5
            bounds.append(-(np.mean(losses) + kl))
            if logit > 0:
                x = np.ones_like(x)
    return bounds


@pytest.mark.parametrize("longest", [2, 5, 30])
def test_the_bound_is_a_mean_along_unrolls_from_the_model_s_own_states(crystals, longest):
    _, truth = crystals
    ours = guided_bound(simulator(), truth, longest, np.random.default_rng(3))
    assert sorted(ours) == pytest.approx(sorted(by_loops(truth, longest, np.random.default_rng(3))), rel=1e-4)


def test_the_score_shows_it_beside_the_likelihood_and_a_simulator_without_latents_has_none(crystals):
    _, truth = crystals
    nats = np.full(len(truth.transitions()[0]), -2.0)
    likelihood = Likelihood("elbo", nats, guided=np.array([-0.5, -0.25]))
    score = ELBO(ELBOParams()).score(Evidence(truth, 1, likelihood=likelihood), truth, np.random.default_rng(0))
    assert (score.value, score.extras["guided"]) == (-2.0, -0.375)
    assert guided_bound(SimpleNamespace(), truth, 5, np.random.default_rng(0)) is None
