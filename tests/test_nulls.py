"""Null models, and the place of a score between them and the floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conftest import SUITE
from forecasts import generator, growth_maps, label_maps
from lookup import looked_up
from nsbench.components.metric import NotApplicable
from nsbench.components.rows import ScoreRow
from nsbench.report.tables import notes, plain, results_tables
from nsbench.stages.nulls import analogue, best_deterministic, climatology, medoid, persistence
from nsbench.trajectories.ensembles import alike


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
    with pytest.raises(NotApplicable, match="more than one ensemble"):
        climatology(growth_maps([0.2, 0.2], generator()), 1, generator())


def test_the_analogue_is_the_nearest_training_data_each_once_in_an_ensemble():
    train = growth_maps(np.linspace(0.1, 0.9, 41), generator(1))
    truth = growth_maps(np.repeat([0.203, 0.697], 3), generator(2))
    found = analogue(train, truth, 2, generator(3))
    np.testing.assert_array_equal(found.params, np.repeat(truth.params, 2, axis=0))
    for k, rate in enumerate((0.203, 0.697)):
        nearest = np.argsort(abs(train.params[:, 0] - rate), kind="stable")[:6]
        served = {a.tobytes() for a in found.arrival[6 * k : 6 * k + 6]}
        assert served == {train.arrival[i].tobytes() for i in nearest}


def test_the_analogue_is_the_look_up_that_suites_are_proved_with(crystals_in_mid_growth):
    train, truth = crystals_in_mid_growth
    cases = [group[0] for group in alike(truth)]
    wanted = looked_up(train, truth.select(np.array(cases)), 4)
    found = analogue(train, truth, 2, generator(3))
    for k, group in enumerate(alike(truth)):
        rows = np.concatenate([[2 * i, 2 * i + 1] for i in group])
        assert {a.tobytes() for a in found.arrival[rows]} == {a.tobytes() for a in wanted.arrival[4 * k : 4 * k + 4]}


@pytest.fixture(scope="module")
def crystals_in_mid_growth():
    """Two cases of each start; starts and a parameter vary, in the training data too."""
    train = growth_maps(np.linspace(0.1, 0.9, 60), generator(4), size=6)
    starts = np.where(generator(5).random((60, 6, 6)) < 0.3, 0, train.arrival).astype(np.int32)
    train = replace(train, arrival=starts)
    pairs = np.repeat(np.arange(0, 60, 12), 2)
    return train, replace(train.select(pairs), params=train.params[pairs] + 0.01)


def test_too_few_training_trajectories_serve_twice():
    train, truth = growth_maps([0.2, 0.8], generator(1)), growth_maps([0.3] * 3, generator(2))
    found = analogue(train, truth, 1, generator())
    assert len({a.tobytes() for a in found.arrival}) == 2


def test_training_data_of_another_lattice_cannot_be_looked_up():
    train, truth = growth_maps([0.2, 0.8], generator(), size=4), growth_maps([0.3], generator(), size=5)
    with pytest.raises(NotApplicable, match="another lattice"):
        analogue(train, truth, 1, generator())


def test_a_look_up_by_labels_counts_the_sites_that_differ():
    """Not by how much: labels are names."""
    some = label_maps(np.full(16, 0.5), generator(), frames=1, size=2, labels=10)
    states = np.zeros_like(some.labels)
    truth = replace(some, labels=states).select(np.arange(2))
    states[::2, 0, 0, 0], states[1::2, 0, 0] = 9, 1
    found = analogue(replace(some, labels=states), truth, 1, generator())
    assert (found.frame(0).max(axis=(1, 2, 3)) == 9).all()


def test_the_medoid_is_the_point_nearest_to_all_others():
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ring = np.stack([np.cos(angle), 100 * np.sin(angle)], axis=1)  # distances are in standard deviations
    assert medoid(np.insert(ring, 40, 0, axis=0)) == 40


def test_best_deterministic_is_one_draw_of_the_truth_for_all_members_of_an_ensemble():
    truth = growth_maps(np.repeat([0.2, 0.6], 3), generator(1))
    asked = []

    def redraw(start):
        asked.append(start)
        return growth_maps(start.params[:, 0], generator(len(asked)))

    made = best_deterministic(truth, 2, redraw, draws=64)
    assert [len(start) for start in asked] == [64, 64]
    for k in range(2):
        (state,) = {a.tobytes() for a in made.arrival[6 * k : 6 * k + 6]}
        drawn = growth_maps(asked[k].params[:, 0], generator(k + 1))
        assert state in {a.tobytes() for a in drawn.arrival}


def test_best_deterministic_beats_any_other_single_state_in_expectation():
    """By the mean distance of observables to the truth, against draws of the truth as good as any."""
    truth = growth_maps(np.repeat(np.linspace(0.2, 0.6, 12), 16), generator(1), size=12)
    made = best_deterministic(truth, 1, lambda start: growth_maps(start.params[:, 0], generator(2), size=12), draws=64)
    single = growth_maps(np.linspace(0.2, 0.6, 12), generator(3), size=12).select(np.repeat(np.arange(12), 16))

    def apart(rollouts):
        sides = [t.domain.observe(t.frame(2)) for t in (truth, rollouts)]
        return np.abs(sides[0] - sides[1]).mean()

    assert apart(made) < apart(single)


@pytest.mark.parametrize(
    ("row", "skill"),
    [
        (ScoreRow("m", "", "min", 2.0, floor=1.0, best_deterministic=5.0), 0.75),
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
    outcome, _, _ = bench(text, "protocol.members=4", "anchors.floor=1")
    score = outcome.rows[0].scores[0]
    assert score.label == "4 members"
    assert score.value == score.floor < score.climatology
    assert score.skill == 1


def test_the_floor_is_the_mean_over_draws_of_the_truth(bench):
    text = SUITE.replace("metrics: [length, elbo, wall_clock]", "metrics: [crps]")
    floors = {}
    for draws in (1, 2, 3):
        outcome, _, _ = bench(text, "protocol.members=4", f"anchors.floor={draws}")
        floors[draws] = outcome.rows[0].scores[0]
    first, second, third = (
        floors[1].floor,
        2 * floors[2].floor - floors[1].floor,
        3 * floors[3].floor - 2 * floors[2].floor,
    )
    assert floors[1].value == first
    assert len({first, second, third}) == 3
    assert floors[1].floor_deviation is None
    assert floors[3].floor_deviation == pytest.approx(np.std([first, second, third], ddof=1))
