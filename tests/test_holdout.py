"""Regions of parameters that are held out of fits: the fit does not see them, and scores tell them apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import SUITE
from forecasts import evidence, generator, growth_maps
from nsbench.components.metric import Score
from nsbench.components.protocol import Protocol
from nsbench.stages.holdout import held_out, inside_and_outside
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams
from nsbench_metrics.energy_score import EnergyScore, EnergyScoreParams

HALF = "protocol.holdout={rho: [[0.5, 0.8]]}"


def learned(bench):
    return [json.loads(path.read_text()) for path in bench.workspace.store.glob("model/*/weights/coin.json")]


def test_a_fit_sees_nothing_of_what_is_held_out(bench):
    """The learner counts heads: without the heavier half of the coins it finds fewer of them."""
    suite = SUITE.replace("train: 30", "train: 400").replace("transitions: 100", "transitions: 100000")
    bench(suite)
    (whole,) = learned(bench)
    _, made, _ = bench(suite, HALF)
    low = min(learned(bench))
    assert "fit of learner" in made
    assert whole == pytest.approx(0.5, abs=0.03)
    assert low == pytest.approx(0.35, abs=0.03)


def test_scores_stand_apart_inside_and_outside_and_their_mean_is_the_score(bench):
    text = SUITE.replace("metrics: [length, elbo, wall_clock]", "metrics: [elbo]")
    outcome, _, _ = bench(text, HALF)
    for row in outcome.rows:
        (elbo,) = row.scores
        inside, outside = elbo.extras["inside"], elbo.extras["outside"]
        assert min(inside, outside) < elbo.value < max(inside, outside)
        assert ("inside", "held out") in elbo.columns
    learner = next(row for row in outcome.rows if row.simulator == "learner").scores[0]
    assert learner.extras["inside"] < learner.extras["outside"]  # a coin that it never saw


def test_the_sides_of_a_score_by_ensemble_are_those_of_its_cases():
    rates = np.repeat([0.7, 0.2, 0.6, 0.1], 3)
    truth = growth_maps(rates, generator())
    protocol = Protocol(holdout={"rate": [(0.5, 0.65), (0.68, 0.9)]})
    np.testing.assert_array_equal(held_out(truth, protocol), rates > 0.5)
    score = EnergyScore(EnergyScoreParams()).score(evidence(growth_maps(rates, generator(1))), truth, generator(2))
    sides = inside_and_outside(score, "ensemble", truth, protocol)
    assert sides == {
        "inside": pytest.approx(score.items[[0, 2]].mean()),
        "outside": pytest.approx(score.items[[1, 3]].mean()),
    }
    assert inside_and_outside(score, None, truth, protocol) == {}
    assert inside_and_outside(Score(0.0), "ensemble", truth, protocol) == {}


def test_transitions_that_were_not_evaluated_count_on_neither_side():
    """A bound is evaluated on some transitions: the items of the others are NaN."""
    truth = growth_maps(np.repeat([0.7, 0.2], 3), generator())
    protocol, trajectory = Protocol(holdout={"rate": [(0.5, 0.9)]}), truth.transitions()[0]
    items = np.where(np.arange(len(trajectory)) % 5 == 0, np.arange(len(trajectory), dtype=float), np.nan)
    kept = ~np.isnan(items)
    sides = inside_and_outside(Score(0.0, items=items), "transition", truth, protocol)
    assert sides["inside"] == pytest.approx(items[kept & (trajectory < 3)].mean())
    assert sides["outside"] == pytest.approx(items[kept & (trajectory >= 3)].mean())
    items[trajectory < 3] = np.nan
    assert inside_and_outside(Score(0.0, items=items), "transition", truth, protocol) == {}


@pytest.mark.parametrize(
    ("holdout", "message"),
    [
        ("{ro: [[0.5, 0.8]]}", "protocol.holdout: no parameter 'ro'; there are rho"),
        ("{rho: [[0.0, 1.0]]}", "protocol.holdout leaves no train data of line"),
    ],
)
def test_a_holdout_that_cannot_be_is_said(bench, holdout, message):
    outcome, _, _ = bench(None, f"protocol.holdout={holdout}")
    assert outcome.exit_code == 1
    assert any(message in row.error for row in outcome.rows)


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="must be ranges \\[low, high\\] with low < high"):
        Protocol(holdout={"rho": [(0.5, 0.5)]})


def test_no_part_of_the_range_is_without_a_test_density():
    data = LCADataset(DatasetParams(size=8, stop_margin=2, test={"parameters": 48, "repeats": 2}))
    rho = np.unique(data.prepare("test", generator()).params[:, data.domain.column("rho")])
    low, high = data.params.rho
    assert len(rho) == 48
    np.testing.assert_array_equal(np.histogram(rho, 48, (low, high))[0], 1)
