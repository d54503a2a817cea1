"""Series in reports: the best try of each, what is no try, and the expected best of n on the page."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from coins import Ran
from conftest import SUITE
from nsbench.outcomes.series import Try, fit_seconds, series_of
from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary, summarise
from nsbench.report.markdown import to_markdown
from nsbench.report.matrix import TRIES, matrix_lines
from nsbench.report.page.page import to_html
from nsbench.report.series import RULE, series_sentences

pytestmark = pytest.mark.usefixtures("quick_disk")

TWO_SERIES = SUITE.replace(
    "  - {use: learner}\n",
    "  - {use: learner, as: mine, grid: {rho: [0.2, 0.3]}}\n"
    "  - {use: coin, as: tosses, grid: {rho: [0.1, 0.3, 0.45, 0.6, 0.75, 0.9, 0.97]}}\n",
)


def line(name, value, status="ok", series="s", label="", kind="simulator", anchor=""):
    cells = {} if value is None else {"m": Cell(value, label=label)}
    return Line("d", name, kind, cells, {status: 1}, anchor, series=series)


def summary(*lines, direction="min"):
    return Summary("suite", (MetricColumn("m", "sites", direction),), lines, (), 1, "m")


@pytest.fixture(scope="module")
def two(tmp_path_factory, registry, quick_disk):
    return Ran(tmp_path_factory.mktemp("two"), registry, TWO_SERIES)


def test_a_series_holds_the_tries_that_were_made_and_says_how_many_were_not():
    floor = line("floor", 0.5, series="", kind="anchor", anchor="floor")
    lines = line("a", 3.0), line("b", None, "diverged"), line("c", None, "not run"), line("d", 2.0), floor
    (series,) = series_of(summary(*lines), "d")
    assert series.tries == (Try("a", 3.0), Try("b", None), Try("d", 2.0))
    assert (series.best, series.open, series.floor) == (Try("d", 2.0), 1, 0.5)
    np.testing.assert_allclose(series.expected, [np.nan, (2 + 2 + 3) / 3, 2.0])
    (said,) = series_sentences(summary(*lines), "d")
    assert said == "s: best of 3 tries: d, m 2 sites; 1 more not made yet."


def test_the_best_is_the_largest_where_more_is_better_and_nobody_where_none_has_a_score():
    lines = line("a", 3.0), line("b", 2.0)
    assert series_of(summary(*lines, direction="max"), "d")[0].best == Try("a", 3.0)
    failed = line("a", None, "failed"), line("b", None, "timeout")
    (series,) = series_of(summary(*failed), "d")
    assert series.best is None
    assert series_sentences(summary(*failed), "d") == ["s: no score in 2 tries."]


def test_scores_of_different_kinds_are_not_ranked_together():
    lines = line("a", -9.0, label="L_64"), line("b", -20.0, label="exact"), line("c", -10.0, label="exact")
    found = {series.kind: series.best for series in series_of(summary(*lines), "d")}
    assert found == {"L_64": Try("a", -9.0), "exact": Try("b", -20.0)}


def test_one_try_is_no_choice():
    assert series_of(summary(line("a", 1.0), line("b", 2.0, series="t"), line("c", 3.0, series="")), "d") == []


def test_the_matrix_shows_the_best_of_many_tries_and_all_of_few():
    many = [line(f"t{k}", float(k + 1)) for k in range(TRIES + 1)]
    assert [each.name for each in matrix_lines(summary(*many), "d")] == ["t0"]
    assert len(matrix_lines(summary(*many[1:]), "d")) == TRIES
    missing = [replace(each, cells={}, statuses={"failed": 1}) for each in many]
    assert len(matrix_lines(summary(*missing), "d")) == TRIES + 1


def test_the_markdown_report_has_a_line_a_series(two):
    text = to_markdown(summarise(two.stored), [])
    assert re.search(r"^- mine: best of 2 tries: mine-rho_0\.\d, length [\d.]+ sites\.$", text, re.MULTILINE)
    assert re.search(r"^- tosses: best of 7 tries: tosses-rho_0\.45, length [\d.]+ sites\.$", text, re.MULTILINE)
    assert f"- {RULE}\n" in text


def test_fits_cost_seconds_and_what_learns_nothing_has_none(two):
    mine, tosses = series_of(summarise(two.stored), "line")
    assert all(seconds is not None and seconds > 0 for seconds in fit_seconds(two.stored, mine))
    assert fit_seconds(two.stored, tosses) == [None] * 7


def test_the_page_draws_the_expected_best_of_every_series_beside_the_floor(two):
    """A line of 7 points that falls, or stays, and ends at the best try; seconds are known of one series only."""
    page = to_html(two.stored, summarise(two.stored), [])
    section = page.split('<section class="tries">')[1].split("</section>")[0]
    by_tries, by_seconds = section.split("<figure>")[1:]
    assert "length: expected best of n tries" in by_tries
    assert "length: expected best by time spent" in by_seconds
    paths = dict(re.findall(r'<path class="n (\w+)" d="([^"]*)"', by_tries))
    assert set(paths) == {"a0", "s0", "s1"}
    x, y = np.array([point.split() for point in paths["s1"][1:].split("L")], dtype=float).T
    assert len(x) == 7
    np.testing.assert_allclose(np.diff(x), x[1] - x[0], atol=0.11)
    assert (np.diff(y) >= 0).all()  # down the page
    dots = np.array(re.search(r'class="p s1" d="([^"]*)"', by_tries)[1].replace("M", " ").replace("h0", "").split())
    assert float(y[-1]) == dots.reshape(-1, 2)[:, 1].astype(float).max()
    assert '"n s0"' in by_seconds
    assert '"n s1" d="M"' not in page
    assert '"n s1"' not in by_seconds


def test_a_suite_without_series_has_no_section(tmp_path, registry):
    ran = Ran(tmp_path, registry, SUITE)
    assert '<section class="tries">' not in to_html(ran.stored, summarise(ran.stored), [])
    assert RULE not in to_markdown(summarise(ran.stored), [])
