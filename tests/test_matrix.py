"""The compact matrix that a run prints: what its rows and columns are, and that it fits where it is printed."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console

from coins import EWD, Ran, suite
from nsbench.commands import main as cli
from nsbench.commands.display.results import _broken, show_results
from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary, summarise
from nsbench.quantities import number
from nsbench.report.footnotes import failures
from nsbench.report.matrix import UNKNOWN_KIND, matrix
from nsbench.report.verdict import verdict

SCORE = MetricColumn("crps", "sites", "min")
LONG = MetricColumn("variogram_score", "1", "min")
NATS = MetricColumn("elbo", "nats/transition", "max")
CLOCK = MetricColumn("wall_clock", "ms", "min", ("× truth", "fit s", "parameters"), costs=True)
NAMES = ("frozen-neighbour", "bernoulli-unet", "cgne", "pns")


def simulator(name, crps, *, dataset="open24", label="8 members", kind="elbo", **more):
    extras = {"× truth": 104.0, "fit s": 1331.8, "parameters": 306_065.0}
    cells = {
        "crps": Cell(crps, (crps * 0.9, crps * 1.1), 1, crps < 13, label),
        "variogram_score": Cell(crps / 997, (crps / 1000, crps / 990), 1, label=label),
        "elbo": Cell(-crps, None, 1, label=kind),
        "wall_clock": Cell(crps * 3, None, 1, extras=extras),
    }
    return Line(dataset, name, "simulator", cells, {"ok": 1}, **more)


def anchor(name, crps, dataset="open24"):
    cells = {"crps": Cell(crps, None, 1), "variogram_score": Cell(crps / 997, None, 1)}
    return Line(dataset, name.replace("_", "-"), "anchor", cells, anchor=name)


def made(*lines, primary="crps", failed=(), metrics=(SCORE, LONG, NATS, CLOCK)):
    return Summary("open", tuple(metrics), tuple(lines), tuple(failed), 1, primary)


FOUR = [simulator(name, crps) for name, crps in zip(NAMES, (474.5, 115.8, 12.4, 132.1), strict=True)]
ANCHORS = [anchor("floor", 3.91), anchor("best_deterministic", 20.03), anchor("analogue", 12.3)]


def printed(summary, width=100, *, terminal=True):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)
    show_results(console, summary, [])
    return console.file.getvalue()


def rows(text):
    """The first lines of each row of the first block, {name: the values, in order}."""
    block = text[text.index("──") :].split("\n\n")[0].splitlines()[1:]
    parts = [re.split(r"\s{2,}", line.strip()) for line in block]
    return {name: cells for name, *cells in parts if cells}


def test_four_simulators_and_the_anchors_fit_into_a_hundred_columns():
    text = printed(made(*FOUR, *ANCHORS))
    assert max(map(cell_len, text.splitlines())) <= 100
    assert text.count("──\n") == 1  # one block
    assert len(text.splitlines()) <= 32
    values = rows(text)["crps ↓ sites"]
    assert values == ["474.5", "115.8", "12.4*", "132.1", "3.91", "20.0", "12.3"]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_longer_than_the_terminal_and_no_simulator_is_left_out(width):
    many = [simulator(f"simulator-number-{k}", 100.5 + k) for k in range(9)]
    text = printed(made(*many, *ANCHORS), width)
    assert max(map(cell_len, text.splitlines())) <= width
    blocks = text.count("──\n")
    assert text.count("primary metric") == blocks > 1
    assert all(f"{100.5 + k:.1f}" in text for k in range(9))


def test_a_pipe_gets_a_hundred_columns_without_colours():
    text = printed(made(*FOUR, *ANCHORS), 60, terminal=False)
    assert text.count("──\n") == 1
    assert "\x1b" not in text
    assert max(map(cell_len, text.split("\n\n")[0].splitlines())) <= 100


def test_digits_stand_below_digits_whatever_the_names():
    odd = [replace(line, name=name) for line, name in zip(FOUR, ("雪の結晶", "Schneeflöckchen", "ρ", "a"), strict=True)]
    lines = printed(made(*odd, *ANCHORS)).split("\n\n")[0].splitlines()
    assert len({cell_len(line) for line in lines}) == 1
    assert any("雪の結晶" in line for line in lines)


def test_simulators_come_first_then_the_anchors_that_exist_and_those_that_the_suite_lists():
    listed = replace(anchor("noise_free", 10.0), name="quiet", statuses={"ok": 1})
    lines = [*FOUR[:1], listed, anchor("noise_free", 10.0), *ANCHORS[::-1], anchor("climatology", 28.0)]
    names = [line.name for line in matrix(made(*lines), "open24").lines]
    assert names == ["frozen-neighbour", "floor", "best-deterministic", "analogue", "quiet"]


def test_the_primary_metric_is_the_first_row_and_the_only_one_with_intervals(ran):
    layout = matrix(ran.summary, "line")
    first = layout.quantities[0]
    assert (first.of, first.primary) == ("elbo", True)
    assert not any(quantity.primary for quantity in layout.quantities[1:])
    for row in layout.cells:
        assert not any(entry.around for entry in row[1:])
    assert layout.cells[0][0].around


@pytest.fixture(scope="module")
def ran(tmp_path_factory, registry):
    """A suite whose primary metric is not its first, run."""
    ran = Ran(tmp_path_factory.mktemp("matrix"), registry, suite(f"{EWD}, length, elbo, wall_clock", "primary: elbo\n"))
    ran.summary = summarise(ran.stored)
    return ran


def test_every_value_of_the_matrix_is_that_of_the_summary(ran):
    layout = matrix(ran.summary, "line")
    seen = 0
    for line, entries in zip(layout.lines, layout.cells, strict=True):
        for quantity, entry in zip(layout.quantities, entries, strict=True):
            cell = line.cells.get(quantity.of, Cell())
            value = cell.value if quantity.main else cell.extras.get(quantity.heading)
            if value is not None:
                assert (entry.text, entry.best) == (number(value), cell.best and quantity.main)
                seen += 1
            else:
                assert entry.text in ("–", "failed")
    assert seen >= 4 * 3 + 3


def test_a_failed_trial_is_named_in_its_column_and_with_its_error(ran):
    console = Console(file=io.StringIO(), width=100)
    show_results(console, ran.summary, [])
    text = console.file.getvalue()
    layout = matrix(ran.summary, "line")
    column = [line.name for line in layout.lines].index("failing")
    assert [entry.text for entry in layout.cells[column]][:2] == ["failed", "–"]
    assert re.search(r"^line/failing/r0: failed: .*the loss is on fire", text, re.MULTILINE)


def test_where_nothing_has_ended_well_there_are_words():
    lines = [Line("d", "a", "simulator", {}, {"timeout": 2}), Line("d", "b", "simulator", {}, {"not run": 1})]
    text = printed(made(*lines, metrics=(), failed=[("d/a/r0", "timeout", "after 3 s"), ("d/b/r0", "not run", "")]))
    assert rows(text) == {"crps": ["timeout", "not run"]}
    assert "d/a/r0: timeout: after 3 s" in text


def test_trials_are_counted_where_some_replicates_failed():
    half = replace(FOUR[0], statuses={"ok": 2, "failed": 1})
    assert rows(printed(made(half, *FOUR[1:])))["trials"] == ["2 ok, 1 failed", "1 ok", "1 ok", "1 ok"]


def test_kinds_are_told_apart_by_rows_and_compared_in_none():
    exact = [simulator("a", 1.0, kind="exact"), simulator("b", 2.0, kind="exact"), simulator("c", 3.0)]
    layout = matrix(made(*exact), "open24")
    kinds = {q.unit: [row[k].text for row in layout.cells] for k, q in enumerate(layout.quantities) if q.of == "elbo"}
    assert kinds == {"nats/transition, exact": ["-1", "-2", ""], "nats/transition, elbo": ["", "", "-3"]}


def test_declared_costs_stand_in_rows_of_their_own():
    mine = simulator("mine", 5.0, outside=True)
    mine.cells["wall_clock"] = replace(mine.cells["wall_clock"], label="declared")
    layout = matrix(made(FOUR[0], mine), "open24")
    found = [
        (q.unit, [row[k].text for row in layout.cells]) for k, q in enumerate(layout.quantities) if q.of == "wall_clock"
    ]
    assert found[0] == ("ms", ["1,424", ""])
    assert ("ms, declared", ["", "15"]) in found
    assert "mine †" in printed(made(FOUR[0], mine))


def test_an_anchor_of_unknown_kind_is_compared_with_none_of_several():
    floor = Line("open24", "floor", "anchor", {"elbo": Cell(-0.5, None, 1)}, anchor="floor")
    lines = [simulator("a", 1.0, kind="exact"), simulator("b", 2.0), floor]
    units = [q.unit for q in matrix(made(*lines), "open24").quantities if q.of == "elbo"]
    assert units[-1].endswith(UNKNOWN_KIND)
    assert len([q for q in matrix(made(lines[0], floor), "open24").quantities if q.of == "elbo"]) == 1


def test_a_kind_that_several_metrics_share_is_told_once():
    text = printed(made(*FOUR))
    assert text.count("8 members") == 1
    assert "8 members: crps, variogram_score." in text


def test_datasets_have_a_matrix_each_with_units_of_their_own():
    there = simulator("cgne", 0.2, dataset="grains16")
    there.cells["crps"] = replace(there.cells["crps"], unit="σ")
    text = printed(made(*FOUR, there))
    assert text.count("──\n") == 2
    assert "crps ↓ sites" in text
    assert "crps ↓ σ" in text


def test_the_sentence_says_who_leads_and_whether_it_beats_the_anchors():
    assert verdict(made(*FOUR, *ANCHORS), "open24") == [
        "crps: cgne leads; cgne is better than best-deterministic, not told from analogue."
    ]
    tied = [*FOUR[2:], simulator("new", 12.5)]
    (sentence,) = verdict(made(*tied, anchor("analogue", 5.0)), "open24")
    assert sentence == "crps: cgne and new lead and cannot be told apart; cgne is worse than analogue."
    assert verdict(made(FOUR[0]), "open24") == ["crps: frozen-neighbour alone has a score."]
    assert verdict(made(Line("open24", "a", "simulator", {}, {"failed": 1})), "open24") == []
    assert verdict(made(Line("open24", "a", "simulator", {}, {"ok": 1})), "open24") == [
        "crps: no simulator has a score."
    ]


def test_the_primary_metric_has_its_row_where_it_has_no_value_and_others_have_none():
    bare = replace(FOUR[0], cells={"wall_clock": FOUR[0].cells["wall_clock"], "elbo": Cell(absent="not of fields")})
    layout = matrix(made(bare, *ANCHORS[:0]), "open24")
    assert [(q.of, q.unit) for q in layout.quantities if q.main] == [("crps", "sites"), ("wall_clock", "ms")]
    assert layout.cells[0][0].text == "–"


def test_many_failures_are_few_lines():
    failed = [(f"d/a/r{k}", "failed", "out of luck") for k in range(9)]
    assert failures(made(failed=failed)) == ["d/a/r0, d/a/r1, d/a/r2 and 6 more: failed: out of luck"]
    assert len(failures(made(failed=[(f"d/a/r{k}", "failed", f"reason {k}") for k in range(99)]))) == 7


def test_long_names_are_broken_where_a_reader_would():
    assert _broken("best-deterministic", 10) == ["best-", "determi-", "nistic"]
    assert _broken("bernoulli-unet", 10) == ["bernoulli-", "unet"]
    assert _broken("elbo ↑ nats/transition", 14) == ["elbo ↑ nats/", "transition"]
    assert _broken("elbo ↑ nats/transition, L_64", 26) == ["elbo ↑ nats/transition,", "L_64"]
    assert all(len(part) <= 10 for part in _broken("x" * 64, 10))


def test_text_and_long_tables_can_be_had_of_a_finished_suite(ran, registry, monkeypatch, tmp_path):
    monkeypatch.setattr("nsbench.commands.options.installed", lambda: registry)
    call = ["report", str(ran.suite), "--workspace", str(ran.workspace.root)]
    text = CliRunner().invoke(cli.main, [*call, "--format", "text"]).output
    assert any(line.startswith("──") for line in text.splitlines()[:4])
    assert CliRunner().invoke(cli.main, [*call, "--format", "text", "--to", str(tmp_path / "t.txt")]).exit_code == 0
    assert (tmp_path / "t.txt").read_text() == text
    assert CliRunner().invoke(cli.main, [*call, "--long"]).output.startswith("| simulator | status | elbo ↑,")
    assert CliRunner().invoke(cli.main, [*call, "--long", "--format", "md"]).exit_code == 2
