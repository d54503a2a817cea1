"""Diagnostics tell simulators that fail in one way from those that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import nsbench
import toy
from forecasts import domain, evidence, gaussian_fields, generator, growth_maps
from nsbench.components.evidence import Evidence, LatentUse
from nsbench.components.metric import NotApplicable
from nsbench.components.protocol import Conditions, Protocol
from nsbench.neural.gaussian import Gaussian
from nsbench.neural.model import LatentModel
from nsbench.neural.params import TrainingParams
from nsbench.neural.simulator import Network, NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.growth import Growth
from nsbench.stages.measuring import collect
from nsbench.stages.probing import latent_use
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.lattices import attached_neighbours
from nsbench_metrics.conditioning import rank_correlation, slope
from nsbench_metrics.identity_collapse import stillness
from nsbench_metrics.melting import melted
from nsbench_metrics.orphans import orphans
from nsbench_metrics.shared.pieces import connected_pieces

pytestmark = pytest.mark.usefixtures("one_thread")

CROSS = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])[None, None]


class Latents(LatentModel):
    """A healthy one: at the crystal's edge each site has a latent of its own and attaches where it is above 1.

    fault: "deaf" decoder, "collapsed" posterior, "copies" x, "melts", "scatters" sites anywhere, "blind" to y, or
    "restates": the prior knows z, which only tells x again.
    """

    def __init__(self, fault):
        super().__init__(Growth(frozen=fault != "melts"))
        self.fault, self.unused = fault, nn.Parameter(torch.zeros(1))

    def context(self, x, y):
        return x, y

    def repeat(self, context, times):
        return tuple(part.repeat_interleave(times, 0) for part in context)

    def prior(self, context):
        x, _ = context
        if self.fault == "restates":
            return Gaussian(2 - 4 * (x.flatten(1).sum(1) % 2)[:, None, None, None] + 0 * x, 1e-3 + 0 * x)
        return Gaussian(0 * x, 1 + 0 * x)

    def posterior(self, context, x_next):
        if self.fault in ("collapsed", "restates"):
            return self.prior(context)
        return Gaussian(3 * x_next - 1, 0.5 + 0 * x_next)

    def decode(self, context, z):
        x, y = context
        if self.fault == "copies":
            return 20 * x - 10
        if self.fault == "deaf":
            z = 0 * z
        beside = F.conv2d(x, CROSS, padding=1) > 0
        logits = 4 * (z - 1 + (0 if self.fault == "blind" else 0.5) * y[:, :, None, None])
        return logits if self.fault in ("melts", "scatters") else torch.where(beside, logits, -20.0)


class Faulty(NeuralSimulator):
    def __init__(self, fault):
        super().__init__(TrainingParams())
        self.network = Network(Latents(fault), 1).eval()
        self.network.standardise.mean.fill_(0.5)
        self.network.standardise.std.fill_(0.3)
        self.parameters, self.columns = ["rate"], [0]
        self.states = StateFacts("growth", 1, 0, False, ("open", "open"))

    def build(self, space, inputs):
        raise NotImplementedError


FAULTS = ["none", "deaf", "collapsed", "copies", "melts", "scatters", "blind", "restates"]


@pytest.fixture(scope="module")
def crystals_of():
    """Growth at the edge, on squares of 12 × 12: twelve rates, four crystals of each."""
    truth = growth_maps(np.repeat(np.linspace(0.1, 0.9, 12), 4), generator(), size=12, frames=2).start()
    return replace(truth, domain=replace(truth.domain, stop_margin=2))


@pytest.fixture(scope="module")
def truth(crystals_of):
    return Faulty("none").rollout(crystals_of, 20, generator(7))


@pytest.fixture(scope="module")
def evidences(truth):
    """What each of them leaves, through the harness's own protocol."""
    protocol = Protocol(stride=1, horizon=20, batch=64, bounds=None)
    return {
        fault: collect(
            Faulty(fault), truth, protocol, Conditions(), generator(3), truth=None, fit_seconds=None, threads=1
        )
        for fault in FAULTS
    }


def score(metric, found, truth, **params):
    return nsbench.load("metric", metric, **params).score(found, truth, generator(5))


@pytest.mark.parametrize(
    ("metric", "fault", "sick", "healthy"),
    [
        ("posterior_collapse", "collapsed", lambda s: s.value == 0, lambda s: s.value > 100),
        (
            "posterior_collapse",
            "collapsed",
            lambda s: s.extras["active_share"] == 0,
            lambda s: s.extras["active_share"] > 0.5,
        ),
        ("latent_neglect", "deaf", lambda s: s.value == 0, lambda s: s.value > 1),
        ("latent_neglect", "deaf", lambda s: s.extras["shuffled"] == 0, lambda s: s.extras["shuffled"] > 1),
        ("latent_neglect", "restates", lambda s: s.value < 0.01, lambda s: s.value > 1),
        ("latent_neglect", "restates", lambda s: s.extras["shuffled"] > 1, lambda s: s.extras["redrawn_share"] > 0.3),
        ("identity_collapse", "copies", lambda s: s.value == 1, lambda s: abs(s.value - s.extras["truth"]) < 0.1),
        ("identity_collapse", "copies", lambda s: s.extras["deadlocked"] == 1, lambda s: s.extras["deadlocked"] < 0.3),
        ("melting", "melts", lambda s: s.value > 0.5, lambda s: s.value == 0),
        ("orphans", "scatters", lambda s: s.value > 0.2, lambda s: s.value == 0),
        ("conditioning", "blind", lambda s: s.value > 0.8, lambda s: s.value < 0.3),
        (
            "conditioning",
            "blind",
            lambda s: abs(s.extras["rank_correlation"]) < 0.4,
            lambda s: s.extras["rank_correlation"] > 0.6,
        ),
    ],
)
def test_a_diagnostic_tells_the_failure_from_health(metric, fault, sick, healthy, evidences, truth):
    ill, well = (score(metric, evidences[which], truth) for which in (fault, "none"))
    assert sick(ill), ill
    assert healthy(well), well
    for found in (ill, well):
        assert found.interval[0] <= found.value + 1e-12 <= found.interval[1] + 1e-9
        assert all(np.isfinite(v) for v in found.extras.values())


def test_what_a_posterior_can_say_bounds_what_latents_do(evidences, truth):
    """A decoder may ignore what the posterior says: the KL alone does not show neglect, nor the change collapse."""
    deaf, collapsed = (score("posterior_collapse", evidences[f], truth).value for f in ("deaf", "collapsed"))
    assert deaf > 100 > collapsed == 0
    deaf, collapsed = (score("latent_neglect", evidences[f], truth) for f in ("deaf", "collapsed"))
    assert deaf.value == 0 < 1 < collapsed.value
    assert collapsed.extras["information_bound"] == 0 < 100 < deaf.extras["information_bound"]


def test_the_kl_and_the_changes_have_their_closed_forms(truth):
    """Per site KL(N(3x' − 1, ½²) ‖ N(0, 1)); a frontier site with P(attach) = p changes with probability 2p(1 − p)."""
    use = latent_use(Faulty("blind"), truth, generator())
    index, t = truth.transitions()
    attached = truth.at(index, t + 1).sum(axis=(1, 2, 3)).mean()
    kl = {value: 0.5 * (0.25 + (3 * value - 1) ** 2 - 1) - np.log(0.5) for value in (0, 1)}
    expected = attached * kl[1] + (144 - attached) * kl[0]
    assert use.kl.mean() == pytest.approx(expected, rel=0.1)
    assert use.latents.sum() == pytest.approx(use.kl.mean())
    x = truth.at(index, t)[:, 0] > 0.5
    frontier = (~x & (attached_neighbours(x, "square") > 0)).sum(axis=(1, 2)).mean()
    p = 0.15866  # P(z > 1)
    assert use.redrawn.mean() == pytest.approx(2 * p * (1 - p) * frontier, rel=0.15)
    assert use.changed.mean() == pytest.approx(
        (truth.at(index, t + 1) - truth.at(index, t)).sum() / len(index), rel=0.2
    )


def test_the_spread_is_of_what_the_posterior_adds_to_a_prior_that_is_told_x(truth):
    """The prior's mean varies from transition to transition; a posterior that is equal to it has no active latent."""
    index, t = truth.transitions()
    means = Latents("restates").prior((torch.from_numpy(truth.at(index, t)), None)).mean
    assert means.var(0).min() > 1
    assert latent_use(Faulty("restates"), truth, generator()).spread.max() == 0


def test_a_simulator_may_answer_itself_and_one_without_latents_has_no_answer(truth):
    class Own(toy.Coin):
        def latent_use(self, x, x_next, params, trajectory, rng):
            nothing = np.zeros(len(x))
            return LatentUse(trajectory, nothing, *[nothing] * 7)

    found = latent_use(Own(), truth, generator())
    assert found.trajectory.max() < len(truth)
    assert latent_use(toy.Coin(), truth, generator()) is None
    for metric in ("posterior_collapse", "latent_neglect"):
        for silent in (evidence(truth), Evidence(truth, 1, evidence(truth).cost)):
            with pytest.raises(NotApplicable, match="no latents"):
                score(metric, silent, truth)


def grown(*frames, lattice="square", margin=None, boundaries=("open", "open")):
    """One trajectory from its states, as text: rows by "/", a site is attached where there is a #."""
    states = np.array([[[c == "#" for c in row] for row in frame.split("/")] for frame in frames], np.float32)
    size = states.shape[1]
    facts = replace(domain(size), lattice=lattice, stop_margin=margin, boundaries=boundaries)
    values = states[None, :, None]
    return FieldTrajectories(np.array([[0.5]]), np.array([len(frames)], np.int32), facts, values)


def masks(*frames, lattice="square"):
    return (grown(*frames, lattice=lattice).values[0, :, 0] > 0.5)[:, None]


def test_a_chain_of_new_sites_is_no_orphan_and_a_pair_apart_is():
    before, now = masks("#.../..../..../....", "##../.#../..##/....")
    np.testing.assert_array_equal(orphans(before, now, "square")[0], masks("..../..../..##/....")[0, 0])
    np.testing.assert_array_equal(orphans(before, now, "hexagonal")[0], np.zeros((4, 4), bool))  # (1, 1) touches (2, 2)


def test_melted_sites_hold_nothing_together():
    before, now = masks("#.../..../..../...#", ".#../..../..../...#")
    assert melted(before, now).sum() == 1
    assert orphans(before, now, "square").sum() == 1


def test_a_site_that_attaches_across_a_periodic_end_is_no_orphan():
    frames = "#.../#.../..../....", "#..#/#..#/..../...."
    shares = {
        ends: score("orphans", evidence(rollouts), rollouts)
        for ends in ("open", "periodic")
        for rollouts in [grown(*frames, boundaries=("open", ends))]
    }
    assert (shares["open"].value, shares["periodic"].value) == (1, 0)
    corners = np.array([[[True, False, False], [False, False, False], [False, False, True]]])
    pieces = [
        connected_pieces(corners, "hexagonal", (rows, columns))[1]
        for rows in ("open", "periodic")
        for columns in ("open", "periodic")
    ]
    assert pieces == [2, 2, 2, 1]  # (2, 2) and (0, 0) are neighbours where both axes join


def test_a_site_alone_is_told_from_a_pair_apart():
    pair = grown("#.../..../..../....", "#.../..../..##/....")
    single = grown("#.../..../..../....", "#.../..../...#/#...")
    for rollouts, alone in ((pair, 0.0), (single, 1.0)):
        found = score("orphans", evidence(rollouts), rollouts)
        assert (found.value, found.extras["alone"], found.extras["rollouts"]) == (1.0, alone, 1.0)


def test_the_share_that_melts_is_of_the_sites_attached():
    rollouts = grown("#.../..../..../....", "##../..../..../....", ".###/..../..../....")
    found = score("melting", evidence(rollouts), rollouts)
    assert found.value == pytest.approx(1 / 3)


def test_a_rollout_in_which_nothing_happens_has_no_orphans_to_count():
    still = grown("#.../..../..../....", "#.../..../..../....")
    with pytest.raises(NotApplicable, match="nothing happens"):
        score("orphans", evidence(still), still)
    assert score("melting", evidence(still), still).value == 0


def test_stillness_counts_until_the_stop_rule_and_beyond_an_early_end():
    far = "..../..../..../...#"
    moving = grown("#.../..../..../....", "#.../..../..../....", "##../..../..../....", far, far, far, margin=1)
    found = stillness(moving, 5, 2)
    assert (found.transitions[0], found.still[0], found.deadlocked[0]) == (3, 1, False)
    stuck = grown("#.../..../..../....", "##../..../..../....", *["##../..../..../...."] * 3, margin=1)
    assert [stillness(stuck, 4, k).deadlocked[0] for k in (2, 3, 4)] == [True, True, False]
    assert stillness(stuck, 4, 2).still[0] == 3
    ended = stuck.start()  # as the null model of persistence ends
    found = stillness(ended, 4, 5)
    assert (found.transitions[0], found.still[0], found.deadlocked[0]) == (4, 4, True)


def test_persistence_is_all_identity_and_the_truth_redrawn_is_not(truth, crystals_of):
    still = nsbench.load("simulator", "persistence").rollout(crystals_of, 20, generator())
    assert score("identity_collapse", evidence(still), truth).value == 1
    again = score("identity_collapse", evidence(Faulty("none").rollout(crystals_of, 20, generator(9))), truth)
    assert again.value == pytest.approx(again.extras["truth"], abs=0.05)


def test_slopes_and_ranks():
    x = np.arange(5.0)
    assert slope(x, 3 * x + 1, np.ones(5)) == pytest.approx(3)
    assert slope(x, x**2, np.array([1.0, 1, 0, 0, 0])) == pytest.approx(1)
    assert slope(np.ones(3), np.arange(3.0), np.ones(3)) == 0
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -x) == pytest.approx(-1)
    assert rank_correlation(x, np.ones(5)) == 0


def test_half_the_slope_is_half_a_failure():
    rates = np.repeat(np.linspace(0.1, 0.9, 20), 2)
    truth = growth_maps(rates, generator(), frames=2, size=32)
    halved = growth_maps(0.5 + (rates - 0.5) / 2, generator(1), frames=2, size=32)
    rollouts = GrowthTrajectories(truth.params, halved.lengths, truth.domain, halved.arrival)
    assert score("conditioning", evidence(rollouts), truth).value == pytest.approx(0.5, abs=0.03)
    swapped = GrowthTrajectories(truth.params, truth.lengths, truth.domain, truth.arrival[::-1].copy())
    assert score("conditioning", evidence(swapped), truth).value == pytest.approx(2, abs=0.05)


def test_a_truth_that_follows_no_parameter_has_nothing_to_follow():
    truth = growth_maps(np.full(4, 0.5), generator())
    with pytest.raises(NotApplicable, match="does not follow rate"):
        score("conditioning", evidence(truth), truth)


def test_diagnostics_take_fields_of_several_channels_as_they_come():
    truth = gaussian_fields(np.repeat([1.0, 3.0], 4), generator())
    assert score("conditioning", evidence(gaussian_fields(np.repeat([1.0, 3.0], 4), generator(1))), truth).value < 0.5
    assert np.isfinite(score("identity_collapse", evidence(truth), truth).value)
