"""Series of one fit in reports: told apart from tries, and their scores against time on the page."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import pytest

from coins import Ran
from conftest import SUITE, TOY
from nsbench.components.rows import DECLARED
from nsbench.outcomes.cost_quality import cost_quality, curves_of, truth_ms
from nsbench.outcomes.series import series_of
from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary, summarise
from nsbench.report.markdown import to_markdown
from nsbench.report.page.cost_quality import FAR, drawable
from nsbench.report.page.page import to_html
from nsbench.report.series import RULE, curve_sentences, series_sentences

pytestmark = pytest.mark.usefixtures("quick_disk")

SCORE = MetricColumn("m", "sites", "min")
CLOCK = MetricColumn("clock", "ms", "min", costs=True)

GRIDS = """\
  - {use: Warm, grid: {warmth: [0.5, 1.0, 2.0]}}
  - {use: Warm, as: alone}
  - {use: coin, as: tried, grid: {rho: [0.2, 0.3]}}
"""
TWO = SUITE.replace("train: 30}}\n", "train: 30}}\n  - {use: line, as: other, params: {train: 40}}\n")
WARM = TWO.replace("  - {use: learner}\n", GRIDS).replace("elbo, ", "")


def line(name, warmth, value=1.0, ms=1.0, *, dataset="d", series="s", fit="f", label="", status="ok", **more):
    cells = {"m": Cell(value, label=label)} if value is not None else {}
    cells |= {"clock": Cell(ms)} if ms is not None else {}
    sampling = {} if warmth is None else {"warmth": warmth}
    return Line(dataset, name, "simulator", cells, {status: 1}, series=series, fit=fit, sampling=sampling, **more)


def alone(name, **more):
    return line(name, None, series="", fit="", **more)


def summary(*lines, metrics=(SCORE, CLOCK)):
    return Summary("suite", metrics, lines, (), 1, "m")


def placed(entry):
    return {curve.name: [(p.setting, p.score.value, p.ms) for p in curve.points] for curve in entry.curves}


def test_points_stand_in_the_order_of_their_cost_whatever_the_suite_s():
    lines = line("a", 8, 1.0, 9.0), line("b", 1, 3.0, 2.0), line("c", 2, 2.0, 4.0), alone("x", value=5.0, ms=3.0)
    (entry,) = cost_quality(summary(*lines), "d")
    assert placed(entry) == {"s": [("1", 3.0, 2.0), ("2", 2.0, 4.0), ("8", 1.0, 9.0)]}
    assert [(p.simulator, p.score.value, p.ms) for p in entry.others] == [("x", 5.0, 3.0)]
    assert curve_sentences(summary(*lines), "d") == ["s: m by warmth: 1 → 3 at 2 ms, 2 → 2 at 4 ms, 8 → 1 at 9 ms."]


@pytest.mark.parametrize(
    "second",
    [
        line("b", 2, fit="g"),  # fitted anew
        line("b", 2, series="t"),
        line("b", None, fit=""),
    ],
)
def test_a_series_of_several_fits_is_one_of_tries_and_a_series_of_one_is_not(second):
    first = line("a", 1)
    assert curves_of(summary(first, line("b", 2)), "d")
    assert series_of(summary(first, line("b", 2)), "d") == []
    assert curves_of(summary(first, second), "d") == []


def test_tries_are_counted_without_the_settings_of_one_fit():
    tries = line("t1", None, 3.0, series="tries", fit=""), line("t2", None, 2.0, series="tries", fit="")
    settings = line("a", 1, 0.5), line("b", 2, 0.1)
    (series,) = series_of(summary(*settings, *tries), "d")
    assert [attempt.simulator for attempt in series.tries] == ["t1", "t2"]
    assert series_sentences(summary(*settings, *tries), "d") == ["tries: best of 2 tries: t2, m 2 sites."]
    (entry,) = cost_quality(summary(*settings, *tries), "d")
    assert [point.simulator for point in entry.others] == ["t1", "t2"]


def test_what_failed_or_was_not_run_has_no_point_and_is_named():
    lines = (
        line("a", 1, 3.0, 2.0),
        line("b", 2, None, None, status="failed"),
        line("c", 4, None, None, status="not run"),
    )
    (entry,) = cost_quality(summary(*lines), "d")
    assert placed(entry) == {"s": [("1", 3.0, 2.0)]}
    assert curve_sentences(summary(*lines), "d") == ["s: m by warmth: 1 → 3 at 2 ms, 2 → failed, 4 → not run."]
    assert cost_quality(summary(*lines[1:]), "d") == []
    assert curve_sentences(summary(*lines[1:]), "d") == ["s: m by warmth: 2 → failed, 4 → not run."]


def test_a_suite_without_a_clock_has_no_chart_and_no_tries():
    bare = summary(line("a", 1, 3.0, None), line("b", 2, 2.0, None), metrics=(SCORE,))
    assert cost_quality(bare, "d") == series_of(bare, "d") == []
    assert curve_sentences(bare, "d") == ["s: m by warmth: 1 → 3, 2 → 2."]


def test_times_of_other_hardware_and_declared_ones_have_no_place():
    declared = alone("z")
    declared = replace(declared, cells=declared.cells | {"clock": Cell(1.0, label=DECLARED)})
    lines = line("a", 1), line("b", 2, elsewhere=True), alone("x"), alone("y", elsewhere=True), declared
    (entry,) = cost_quality(summary(*lines), "d")
    assert placed(entry) == {"s": [("1", 1.0, 1.0)]}
    assert [point.simulator for point in entry.others] == ["x"]


def test_scores_of_different_kinds_stand_in_charts_of_their_own():
    exact = [line(f"e{k}", k, label="exact", series="e") for k in (1, 2)]
    bound = [line(f"b{k}", k, label="L_64", series="b", fit="g") for k in (1, 2)]
    found = cost_quality(summary(*exact, *bound, alone("x", label="exact")), "d")
    assert [(entry.kind, list(placed(entry)), len(entry.others)) for entry in found] == [
        ("exact", ["e"], 1),
        ("L_64", ["b"], 0),
    ]


def test_datasets_have_their_own_curves_and_scales():
    floors = [
        Line(d, "floor", "anchor", {"m": Cell(value)}, anchor="floor") for d, value in (("d", 0.5), ("other", 0.7))
    ]
    there = [line(f"a{k}", k, 4.0 + k, float(k), dataset="other", fit="g") for k in (1, 2)]
    both = summary(line("a1", 1, 1.0, 2.0), line("a2", 2, 2.0, 1.0), *there, *floors, alone("x", dataset="third"))
    (here,), (elsewhere,) = (cost_quality(both, dataset) for dataset in ("d", "other"))
    assert placed(here) == {"s": [("2", 2.0, 1.0), ("1", 1.0, 2.0)]}
    assert placed(elsewhere) == {"s": [("1", 5.0, 1.0), ("2", 6.0, 2.0)]}
    assert (here.scales, elsewhere.scales) == ({"floor": 0.5}, {"floor": 0.7})
    assert cost_quality(both, "third") == []


def test_a_point_is_named_by_what_varies_alone():
    pairs = [(1, "ode"), (2, "sde")]
    lines = [replace(line(f"a{k}", 1), sampling={"n": k, "how": how, "same": True}) for k, how in pairs]
    (curve,) = curves_of(summary(*lines), "d")
    assert (curve.parameters, [p.setting for p in curve.points]) == (("n", "how"), ["1, ode", "2, sde"])


def test_what_is_far_cheaper_than_all_else_would_press_the_curves_together():
    lines = line("a", 1, ms=2.0), line("b", 2, ms=8.0), alone("far", ms=1.9 / FAR), alone("near", ms=2.0 / FAR)
    (entry,) = cost_quality(summary(*lines), "d")
    assert [point.simulator for point in drawable(entry, None, ["s"]).others] == ["near"]
    assert [point.simulator for point in drawable(entry, 0.1, ["s"]).others] == ["far", "near"]


def test_a_floor_below_zero_has_no_place_where_scores_are_wide_apart():
    floor = Line("d", "floor", "anchor", {"m": Cell(-0.1)}, anchor="floor")
    (wide,) = cost_quality(summary(line("a", 1, 1.0), line("b", 2, 11.0), floor), "d")
    (narrow,) = cost_quality(summary(line("a", 1, 1.0), line("b", 2, 9.0), floor), "d")
    assert [drawable(entry, None, ["s"]).scales for entry in (wide, narrow)] == [{}, {"floor": -0.1}]


@pytest.fixture(scope="module")
def ran(tmp_path_factory, quick_disk):
    from nsbench.registry.registry import Registry

    registry = Registry([TOY, EntryPoint("broken", "broken", "nsbench"), *entry_points(group="nsbench")])
    return Ran(tmp_path_factory.mktemp("warm"), registry, WARM)


def test_a_grid_over_sampling_is_a_curve_of_each_dataset_and_one_over_a_fit_s_parameters_is_tries(ran):
    found = summarise(ran.stored)
    for dataset in ("line", "other"):
        (curve,) = curves_of(found, dataset)
        assert (curve.name, curve.parameters) == ("Warm", ("warmth",))
        assert {point.setting for point in curve.points} == {"0.5", "1.0", "2.0"}
        assert len({ran.stored.rows[f"{dataset}/{p.simulator}/r0"].keys["model"] for p in curve.points}) == 1
        assert [series.name for series in series_of(found, dataset)] == ["tried"]


def test_the_page_draws_times_from_left_to_right_beside_the_truth_s(ran):
    found = summarise(ran.stored)
    page = to_html(ran.stored, found, [])
    for dataset in ("line", "other"):
        section = page.split(f"<h2>Cost and quality: {dataset}</h2>")[1].split("</section>")[0]
        lines = re.findall(r'<path class="n s0" d="M([^"]*)"', section)
        x = np.array([[*map(float, p.split())] for p in lines[0].split("L")])[:, 0]
        assert len(x) == 3
        assert (np.diff(x) >= 0).all()
        titles = re.findall(r"<title>(\S+): \S+ at (\S+) ms</title>", section)
        assert {name for name, _ in titles} == {line.name for line in found.lines if line.kind == "simulator"}
        (upright,) = re.findall(r'<path class="n truth" d="M([^"]*)"', section)
        (left, _), (right, _) = (end.split() for end in upright.split("L"))
        assert left == right
        assert truth_ms(ran.stored, dataset) > 0
    text = to_markdown(found, [])
    assert len(re.findall(r"^- Warm: length, sites, by warmth: (\S+ → \S+ at \S+ ms(, )?){3}\.$", text, re.M)) == 2
    assert RULE in text  # of `tried`
