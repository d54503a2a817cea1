"""Reports: means, ties, what is set apart, what failed; a page that needs no network."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zlib
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import nsbench.report
import toy
from coins import EWD, PLAIN, Ran, suite
from nsbench.commands import main as cli
from nsbench.components.rows import ScoreRow
from nsbench.outcomes import file as results
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Cell, summarise
from nsbench.outcomes.ties import Contender, tied_with_best
from nsbench.report.comma_separated import to_csv
from nsbench.report.grid import around, grid
from nsbench.report.latex import escape, to_latex
from nsbench.report.markdown import to_markdown
from nsbench.report.page.charts import _steps, bin_edges, pareto_front
from nsbench.report.page.gallery import BUDGET, NEVER, gallery, of_all_kinds, of_the_worst
from nsbench.report.page.gather import DatasetPictures, Shown, gather
from nsbench.report.page.page import to_html
from nsbench.report.page.svg import Axis, Series, axis, chart
from nsbench.report.tables import in_markdown, notes
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench.trajectories.plane import site_map


class Reported(Ran):
    """A suite that was run, summarised."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.summary = summarise(self.stored)
        self.notes = notes([row for row in self.stored.rows.values() if row.status == "ok"])

    def line(self, name):
        return next(line for line in self.summary.lines if line.name == name)

    def page(self):
        return to_html(self.stored, self.summary, self.notes)


@pytest.fixture(scope="module")
def once(tmp_path_factory, registry):
    return Reported(tmp_path_factory.mktemp("once"), registry)


@pytest.fixture(scope="module")
def twice(tmp_path_factory, registry):
    return Reported(
        tmp_path_factory.mktemp("twice"), registry, suite(f"{EWD}, elbo, length, wall_clock", "replicates: 2\n")
    )


@pytest.fixture
def fresh(tmp_path, registry):
    """Runs a suite in a workspace of this test's own."""
    return lambda text=PLAIN: Reported(tmp_path, registry, text)


def test_simulators_come_first_then_anchors_then_null_models(once):
    lines = once.summary.lines
    kinds = [(line.name, line.kind) for line in lines]
    assert kinds == [
        *((name, "simulator") for name in ("learner", "half", "sure", "failing")),
        ("truth", "anchor"),  # the suite lists the ground truth under a name of its own
        ("best-deterministic", "null"),
        ("analogue", "null"),
        ("noise-free", "anchor"),
        ("climatology", "null"),
        ("persistence", "null"),
    ]


def test_what_is_set_apart_is_never_marked_best(once):
    for line in once.summary.lines:
        if line.kind != "simulator":
            assert not any(cell.best for cell in line.cells.values())
    assert once.line("truth").cells["elbo"].value > once.line("half").cells["elbo"].value
    assert once.line("half").cells["elbo"].best


def test_who_cannot_be_told_from_the_best_is_marked_with_it_and_who_can_is_not(once):
    """The learner knows one coin, about ½, as `half` does; `sure` expects heads almost always."""
    best = {name: once.line(name).cells["elbo"].best for name in ("learner", "half", "sure")}
    assert best == {"learner": True, "half": True, "sure": False}
    assert not once.line("sure").cells["ewd"].best


def test_a_single_replicates_interval_is_its_own_and_of_several_students(once, twice):
    one = once.line("half").cells["ewd"]
    assert one.replicates == 1
    assert around(one) == f"{one.interval[0]:.3g} … {one.interval[1]:.3g}"
    two = twice.line("half").cells["ewd"]
    assert two.replicates == 2
    low, high = two.interval
    assert (low + high) / 2 == pytest.approx(two.value)
    assert around(two).startswith("± ")


def test_means_are_over_replicates(twice):
    rows = [row for row in results.load(twice.workspace.results("line")) if row.simulator == "learner"]
    values = [next(s.value for s in row.scores if s.metric == "ewd") for row in rows]
    assert twice.line("learner").cells["ewd"].value == pytest.approx(np.mean(values))
    fits = [next(s for s in row.scores if s.metric == "wall_clock").extras["fit_s"] for row in rows]
    assert twice.line("learner").cells["wall_clock"].extras["fit s"] == pytest.approx(np.mean(fits))


def test_failed_trials_are_shown_with_status_count_and_error(twice):
    assert twice.line("failing").statuses == {"failed": 2}
    assert [trial for trial, _, _ in twice.summary.failed] == ["line/failing/r0", "line/failing/r1"]
    for text in (to_markdown(twice.summary, []), twice.page()):
        assert "Trials without a result: 2" in text
        assert "the loss is on fire" in text
        assert "2 failed" in text


def test_trials_that_have_not_been_run_are_counted(fresh):
    found = fresh()
    path = found.workspace.results("line")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"simulator": "half"' not in line))
    summary = summarise(StoredResults(found.session))
    assert ("line/half/r0", "not run", "has not been run") in summary.failed
    assert next(line for line in summary.lines if line.name == "half").statuses == {"not run": 1}


def test_markdown_marks_the_best_and_sets_anchors_in_italics(once):
    text = to_markdown(once.summary, once.notes)
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    heads = [cell.strip() for cell in rows[""].split("|")[2:-1]]
    anchors = ["*truth*", "*best-deterministic*", "*analogue*", "*noise-free*", "*climatology*", "*persistence*"]
    assert heads == ["learner", "half", "sure", "failing", *anchors]
    elbo = next(row for name, row in rows.items() if name.startswith("elbo")).split("|")[2:-1]
    assert ["**" in cell for cell in elbo] == [True, True, False, *[False] * 7]
    assert once.notes
    assert all(f"- {in_markdown(note)}" in text for note in once.notes)


def test_csv_holds_every_number(once):
    rows = list(csv.DictReader(io.StringIO(to_csv(once.summary))))
    half = next(r for r in rows if (r["simulator"], r["metric"]) == ("half", "elbo"))
    cell = once.line("half").cells["elbo"]
    assert (float(half["value"]), float(half["low"]), float(half["high"])) == (cell.value, *cell.interval)
    assert (half["kind"], half["best_or_tied"], half["interval"]) == ("exact", "yes", "test cases")
    failing = next(r for r in rows if r["simulator"] == "failing")
    assert (failing["metric"], failing["not_ok"]) == ("", "1")
    assert {r["row"] for r in rows} == {"simulator", "anchor", "null"}


def test_latex_is_balanced_and_escaped(once):
    text = to_latex(once.summary, ["100 % of it"])
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert [line for line in body if line.endswith(r"\\") and line.count(" & ") != 10] == []
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert not re.search(r"(?<!\\)[_#]", "\n".join(body))
    assert r"wall\_clock" in text
    assert r"\textbf{" in text
    assert escape("50 % of a_b & c…") == r"50 \% of a\_b \& c\dots{}"


class Outline(HTMLParser):
    """What a page asks for and shows."""

    void = ("meta", "input", "br", "wbr", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.links = [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in self.void:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_one_well_formed_file_that_asks_for_nothing(once):
    text = once.page()
    outline = Outline(text)
    assert outline.links == []
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_the_page_has_all_its_pictures(once):
    text = once.page()
    captions = re.findall(r"<figure><figcaption>([^<]*)</figcaption><svg", text)
    assert captions == [
        "ewd: simulators and anchors",
        "ewd by bin of ρ",
        "final length against ρ",
        "cost against ewd: better is below and left",
    ]  # one observable, so no scatter; one point a curve, so no curve
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text)[1])
    assert [row["name"] for row in data["rows"]] == [
        *("truth", "learner", "half", "sure", "truth"),  # one from the suite
        *("best-deterministic", "analogue"),
    ]
    assert len(data["titles"]) == 4


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory, registry):
    """Four members a case, scored by a metric with a value by ensemble and lead time."""
    text = suite("length, crps").replace("horizon: 6,", "horizon: 6, members: 4,") + "primary: crps\n"
    return Reported(tmp_path_factory.mktemp("ensembles"), registry, text)


def test_the_primary_metric_is_drawn_by_lead_time_and_beside_its_anchors(ensembles):
    page = ensembles.page()
    drawn = dict(re.findall(r"<figure><figcaption>([^<]*)</figcaption>(<svg.*?</svg>)", page))
    styles = re.findall(r'class="n (\w+)"', drawn["crps by lead time"])
    assert styles == ["s0", "s1", "s2", "a0", "a1", "a2"]  # three coins, the truth, best-deterministic, analogue
    for name in ("learner", "half", "sure", "truth", "best-deterministic", "analogue"):
        assert f">{name}</text>" in drawn["crps: simulators and anchors"]
    assert "climatology" not in drawn["crps: simulators and anchors"]


def test_scores_by_lead_time_have_the_score_as_their_mean(ensembles):
    for trial in ensembles.plan.trials:
        for metric in trial.scores if trial.id in ensembles.stored.rows else ():
            curves = ensembles.stored.by_lead(metric)
            if metric.name == "crps" and ensembles.stored.rows[trial.id].status == "ok":
                (row,) = (s for s in ensembles.stored.rows[trial.id].scores if s.metric == "crps")
                assert len(curves["value"]) == 6
                assert curves["value"].mean() == pytest.approx(row.value)
            else:
                assert curves == {}


def test_the_worst_case_of_each_simulator_is_shown(ensembles):
    """`sure` hardly ever tosses tails: it is most wrong where the truth has the fewest heads."""
    found = gather(ensembles.stored, ensembles.summary, "line")
    assert [worst.simulator for worst in found.worst] == ["learner", "half", "sure"]
    rows = ensembles.rows
    for worst in found.worst:
        trial = next(trial for trial in ensembles.plan.trials if trial.simulator == worst.simulator)
        values = ensembles.stored.units(trial, rows[worst.simulator]["crps"]).values
        assert worst.value == values.max()
        assert values[worst.case] == worst.value  # parameters differ, so that each case is an ensemble
    final = toy.length(found.truth.final())
    assert final[found.worst[2].case] == final.min()
    titles = of_the_worst(found, "crps")
    assert any(title.endswith(f"sure {found.worst[2].value:.3g}") for title in titles.values())
    assert all(title.startswith("ρ = ") for title in titles.values())
    assert "<h3>Worst cases</h3>" in ensembles.page()


def test_a_metric_without_values_by_ensemble_has_no_worst_case(once):
    assert gather(once.stored, once.summary, "line").worst == ()
    assert "Worst cases" not in once.page()


def test_what_went_wrong_cannot_inject_markup(fresh, monkeypatch):
    def fit(self, train, val, ctx):
        raise RuntimeError("<script>alert(1)</script>")

    monkeypatch.setattr(toy.Failing, "fit", fit)
    page = fresh().page()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_store_without_rollouts_still_gives_the_table(fresh):
    found = fresh()
    shutil.rmtree(found.workspace.store / "data")
    shutil.rmtree(found.workspace.store / "evidence")
    page = to_html(StoredResults(found.session), found.summary, found.notes)
    assert "The store holds no rollouts to draw." in page
    assert "<table" in page


def candidate(name, value, interval):
    return Contender(name, value, interval, {})


def test_without_pairs_overlapping_intervals_are_ties():
    some = [candidate("a", 1.0, (0.5, 1.5)), candidate("b", 1.4, (1.2, 1.6)), candidate("c", 2.0, (1.8, 2.2))]
    assert tied_with_best(some, "min", None) == {"a", "b"}
    assert tied_with_best(some, "max", None) == {"c"}


def test_among_many_those_that_are_far_from_the_best_need_no_pairs():
    """Nothing is read of them, and nobody far off is marked."""
    row = ScoreRow("m", "sites", "min", 0.0, (-0.1, 0.1))
    known = {0: (None, row)}
    near, far = (
        Contender("near", 1.1, (1.0, 1.2), {}),
        [Contender(str(k), 2.0 + k, (1.9, 2.1), known) for k in range(30)],
    )
    best = Contender("best", 1.0, (0.9, 1.1), known)
    assert tied_with_best([best, near, *far], "min", None) == {"best", "near"}


def test_where_no_error_is_known_nobody_is_best():
    assert tied_with_best([candidate("a", 1.0, None), candidate("b", 2.0, None)], "min", None) == set()
    assert tied_with_best([candidate("a", 1.0, (0.9, 1.1))], "min", None) == set()


def test_an_unknown_error_is_no_reason_to_lose():
    some = [candidate("a", 1.0, (0.9, 1.1)), candidate("b", 2.0, None), candidate("c", 3.0, (2.9, 3.1))]
    assert tied_with_best(some, "min", None) == {"a", "b"}


def test_the_pareto_front_is_what_nobody_beats_in_both():
    costs, losses = np.array([1.0, 2.0, 3.0, 4.0, 2.0]), np.array([5.0, 3.0, 4.0, 1.0, 6.0])
    assert pareto_front(costs, losses).tolist() == [0, 1, 3]


def test_ticks_are_round_and_within_their_axis():
    assert Axis("", 0.35, 0.64).ticks() == pytest.approx([0.35, 0.4, 0.45, 0.5, 0.55, 0.6])
    assert Axis("", 3, 40, log=True).ticks() == pytest.approx([5, 10, 20])
    for low, high in ((-3.0, 7.5), (1e-6, 3e-6), (1e5, 9e5)):
        ticks = Axis("", low, high).ticks()
        assert 3 <= len(ticks) <= 10
        assert low <= min(ticks) <= max(ticks) <= high
    constant = axis("", np.full(3, 2.0))
    assert constant.low < 2 < constant.high


def test_bins_without_cases_are_gaps():
    condition = np.array([0.0, 0.1, 0.3, 1.0])  # of four bins over [0, 1] the third is empty
    assert bin_edges(condition, 4, 3).tolist() == [[0, 0.25], [0.25, 0.5], [0.75, 1]]
    assert bin_edges(condition, 4, 4) is None
    assert bin_edges(condition, None, 3) is None
    drawn = chart(
        "", Axis("", 0, 1), Axis("", 0, 1), [Series(*_steps(bin_edges(condition, 4, 3), np.ones(3)), "s0", "line")]
    )
    assert re.search(r'class="n s0" d="([^"]*)"', drawn)[1].count("M") == 2


def unpacked(text, dtype=np.uint8):
    return np.frombuffer(zlib.decompress(b64decode(text)), dtype)


def place(shape, lattice="hexagonal-quadrant", *, states="growth"):
    area = Observable("area", "sites", lambda state: state.sum(axis=(1, 2, 3)).astype(np.float64))
    return Domain(lattice, shape, ("attached",), states, (Parameter("rho", 0.3, 0.6),), "rho", (area,), stride=1)


def pictures(truth, rollouts):
    return DatasetPictures("d", truth, (Shown("one", rollouts, {}),), 0, {}, {})


def shown(side):
    return gallery(side, of_all_kinds(side))


def test_the_gallery_holds_growth_without_loss():
    arrival = np.random.default_rng(0).integers(-1, 20, (4, 12, 12)).astype(np.int32)
    arrival[:, 0, 0], arrival[:, 1, 1] = 0, 19
    truth = GrowthTrajectories(np.linspace(0.3, 0.6, 4)[:, None], np.full(4, 20, np.int32), place((12, 12)), arrival)
    found = shown(pictures(truth, truth.select(np.array([3, 2, 1, 0]))))
    assert found["frames"] == list(range(20))
    for k in range(4):
        sent = unpacked(found["rows"][0]["panels"][k]).reshape(12, 12)
        assert np.array_equal(np.where(sent == NEVER, -1, sent.astype(int)), arrival[k])
        assert found["rows"][1]["panels"][k] == found["rows"][0]["panels"][3 - k]
    drawn = unpacked(found["map"], "<u2").reshape(found["height"], found["width"]).astype(int) - 1
    assert np.array_equal(drawn, site_map("hexagonal-quadrant", (12, 12), found["width"]))
    assert found["titles"][0] == "ρ = 0.3"


def test_the_gallery_holds_fields_in_levels_of_the_truths_range():
    values = np.linspace(-1, 3, 2 * 5 * 24, dtype=np.float32).reshape(2, 5, 1, 4, 6)
    domain = place((4, 6), "square", states="fields")
    truth = FieldTrajectories(np.array([[0.3], [0.6]]), np.full(2, 5, np.int32), domain, values)
    found = shown(pictures(truth, replace(truth, values=values * 10)))
    sent = unpacked(found["rows"][0]["panels"][1]).reshape(5, 4, 6)
    assert np.abs(sent / 255 * 4 - 1 - values[1, :, 0]).max() < 0.01
    assert unpacked(found["rows"][1]["panels"][1]).max() == 255  # beyond the range: its end


def test_the_gallery_gives_each_label_its_colour_and_fields_the_ends_of_theirs():
    domain = replace(place((4, 6), "square", states="fields"), states="labels", labels=30, channels=("grain",))
    labels = np.arange(2 * 5 * 24, dtype=np.uint8).reshape(2, 5, 4, 6) % 30
    truth = LabelTrajectories(np.array([[0.3], [0.6]]), np.full(2, 5, np.int32), domain, labels)
    found = shown(pictures(truth, truth))
    sent = unpacked(found["rows"][0]["panels"][1]).reshape(5, 4, 6)
    assert np.array_equal(sent, labels[1] % len(found["colours"]))
    assert (found["kind"], found["ends"], len(found["colours"])) == ("labels", None, 24)
    warm = replace(place((4, 6), "square", states="fields"), channels=("T",), units=("K",))
    values = np.linspace(-1, 3, 2 * 5 * 24, dtype=np.float32).reshape(2, 5, 1, 4, 6)
    fields = FieldTrajectories(truth.params, truth.lengths, warm, values)
    assert shown(pictures(fields, fields))["ends"] == ("T −1", "3 K")


def test_the_gallery_keeps_to_its_budget_on_large_lattices():
    arrival = np.zeros((4, 900, 900), np.int32)
    arrival[:, 5, 5] = 400
    truth = GrowthTrajectories(np.linspace(0.3, 0.6, 4)[:, None], np.full(4, 401, np.int32), place((900, 900)), arrival)
    found = shown(pictures(truth, truth))
    assert found["sites"] * 8 <= BUDGET
    assert len(found["frames"]) == NEVER
    assert found["frames"][-1] == 400


def test_the_grid_runs_down_its_longer_side(once, fresh):
    assert grid(once.summary, "line").across  # more numbers than simulators
    few = fresh(suite("length"))
    assert not grid(few.summary, "line").across


def test_a_cell_says_how_its_interval_was_made():
    assert around(Cell(16.0, (14.9, 17.25), 1)) == "14.9 … 17.2"
    assert around(Cell(16.0, (14.5, 17.5), 3)) == "± 1.5"
    assert around(Cell(16.0, (16.0, 16.0 + 1e-14), 3)) == "± 0"
    assert around(Cell(16.0, None, 1)) == ""


def call(monkeypatch, ran, registry, *arguments):
    monkeypatch.setattr("nsbench.commands.options.installed", lambda: registry)
    workspace = ["--workspace", str(ran.workspace.root)]
    return CliRunner().invoke(cli.main, ["report", str(ran.suite), *workspace, *map(str, arguments)])


def test_the_command_writes_files_or_to_the_terminal(once, registry, monkeypatch, tmp_path):
    done = call(monkeypatch, once, registry)
    assert done.exit_code == 0, done.output
    assert (once.workspace.run("line") / "report.html").read_text().startswith("<!doctype html>")
    assert call(monkeypatch, once, registry, "--format", "md").output.startswith("# line\n")
    done = call(monkeypatch, once, registry, "--format", "latex", "--to", tmp_path / "table.tex")
    assert "5 trials" in done.output
    assert r"\toprule" in (tmp_path / "table.tex").read_text()


def test_nothing_to_report_is_said_and_exits_2(tmp_path, registry, monkeypatch):
    ran = Ran(tmp_path, registry, PLAIN, execute=False)
    done = call(monkeypatch, ran, registry)
    assert done.exit_code == 2
    assert "nothing to report: line/truth/r0 has not been run" in done.output
    assert f"nsbench run {ran.suite}" in done.output


def test_the_charts_name_nothing_of_one_domain():
    texts = [
        path for path in Path(nsbench.report.__file__).parent.rglob("*.*") if path.suffix in (".py", ".js", ".css")
    ]
    assert len(texts) > 10
    for path in texts:
        assert not re.search(r"\b(rho|area|crystal|snow)\b", path.read_text()), path


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; where there is none, tests that need it are skipped and say so."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium found (chromium, chromium-browser or google-chrome on the PATH)")
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_in_a_browser(once, browser, tmp_path, width):
    """No error, no request, no sideways scrolling; the frames move, the legend hides, crystals are drawn."""
    path = tmp_path / "report.html"
    path.write_text(once.page(), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 844})
    faults, asked = [], []
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".gallery[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert asked == [path.as_uri()]

    pixels = "k => [...document.querySelectorAll('.panels canvas')[k].getContext('2d').getImageData(0, 0, 168, 21).data].join()"
    final = page.evaluate(pixels, 0)
    page.eval_on_selector("input[type=range]", "e => { e.value = 0; e.dispatchEvent(new Event('input')); }")
    assert page.inner_text("output") == "frame 0 of 6"
    assert page.evaluate(pixels, 0) != final
    assert page.evaluate(pixels, 0) == page.evaluate(pixels, 1)  # truth and simulator start alike
    page.click(".player button")
    page.wait_for_selector("output:text-is('frame 6 of 6')")
    assert page.evaluate(pixels, 0) == final

    dots = page.locator("svg path.truth").first
    assert dots.is_visible()
    page.click("button[data-series=truth]")
    assert not dots.is_visible()
    assert faults == []
    page.close()


@pytest.mark.slow
def test_a_thousand_trials_are_reported_in_five_seconds_and_five_megabytes(tmp_path):
    import sys

    sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
    import report

    found = report.measure(tmp_path, report.make_workspace(tmp_path, simulators=250, replicates=4))
    assert found.seconds <= 5
    assert found.size <= 5_000_000
