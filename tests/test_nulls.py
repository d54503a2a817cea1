"""Null models, and the place of a score between them and the floor."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import SUITE
from forecasts import generator, growth_maps
from nsbench.components.rows import ScoreRow
from nsbench.report.tables import notes, plain, results_tables
from nsbench.stages.nulls import climatology, null_evidence, persistence


def test_persistence_stays_where_it_starts():
    truth = growth_maps(np.repeat([0.2, 0.5], 3), generator())
    still = persistence(truth, 2)
    assert len(still) == 12
    for t in (0, 3):
        np.testing.assert_array_equal(still.frame(t), truth.frame(0)[np.repeat(np.arange(6), 2)])


def test_climatology_is_made_of_truths_of_other_parameters_each_once_in_an_ensemble():
    truth = growth_maps(np.repeat([0.1, 0.3, 0.6], 4), generator(), size=16)
    drawn = climatology(truth, 2, generator())
    np.testing.assert_array_equal(drawn.params, np.repeat(truth.params, 2, axis=0))
    sources = [next(i for i in range(12) if np.array_equal(truth.arrival[i], a)) for a in drawn.arrival]
    ensemble = np.repeat(np.arange(12) // 4, 2)
    assert all(source // 4 != own for source, own in zip(sources, ensemble, strict=True))
    assert all(len({s for s, e in zip(sources, ensemble, strict=True) if e == k}) == 8 for k in range(3))


def test_there_is_no_climatology_of_a_single_ensemble():
    assert null_evidence("climatology", growth_maps([0.2, 0.2], generator()), 1, generator()) is None


@pytest.mark.parametrize(
    ("row", "skill"),
    [
        (ScoreRow("m", "", "min", 2.0, floor=1.0, noise_free=5.0), 0.75),
        (ScoreRow("m", "", "min", 2.0, floor=1.0, climatology=3.0, zero="climatology"), 0.5),
        (ScoreRow("m", "", "max", 0.6, floor=0.8, persistence=0.4, zero="persistence"), 0.5),
        (ScoreRow("m", "", "min", 2.0, floor=1.0, climatology=0.9, zero="climatology"), None),
        (ScoreRow("m", "", "min", 2.0, floor=1.0, noise_free=5.0, zero="climatology"), None),
    ],
)
def test_skill_is_one_at_the_floor_and_zero_at_the_metrics_own_null(row, skill):
    assert row.skill == (None if skill is None else pytest.approx(skill))


FIVE = "metrics: [length, elbo, wall_clock, crps, arrival_error, mmd]"


def test_adding_metrics_to_a_finished_suite_only_scores(bench, write_suite):
    bench()
    _, made, _ = bench(SUITE.replace("metrics: [length, elbo, wall_clock]", FIVE))
    assert {what.split(" of ")[0] for what in made} == {"crps", "arrival_error", "mmd"}
    assert {what.split(" of ")[1] for what in made} >= {"truth", "learner", "climatology", "persistence"}


def test_the_first_metrics_stand_abreast_and_further_ones_are_a_row_a_score(
    bench,
):
    outcome, _, _ = bench(SUITE.replace("metrics: [length, elbo, wall_clock]", FIVE))
    abreast, table = results_tables(outcome.rows)
    assert [h for h in abreast.headings if h[:4] in ("leng", "elbo", "wall", "crps")][-1].startswith("wall_clock")
    assert len(abreast.rows) == 2
    assert table.headings[:3] == ["metric", "simulator", "value"]
    assert {"floor", "noise-free", "climatology", "persistence", "skill"} <= set(table.headings)
    assert len(table.rows) == 6
    assert plain(table).startswith("| metric | simulator")
    assert any("crps: needs ensembles of at least 2 members" in note for note in notes(outcome.rows))
    scores = {score.metric: score for score in outcome.rows[0].scores}
    assert scores["crps"].value is None
    assert scores["length"].persistence > scores["length"].floor
    assert scores["wall_clock"].climatology is None


def test_more_members_make_ensembles_where_there_are_no_repeats(bench):
    text = SUITE.replace("metrics: [length, elbo, wall_clock]", "metrics: [crps]")
    outcome, _, _ = bench(text, "protocol.members=4")
    score = outcome.rows[0].scores[0]
    assert score.label == "4 members"
    assert score.value == score.floor < score.climatology
    assert score.skill == 1
