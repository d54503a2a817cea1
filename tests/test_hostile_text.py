"""Text of others (errors, names in files, results, plugins) is shown, everywhere, as what it is: text."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

import nsbench.commands
import toy
from coins import PLAIN, Ran
from nsbench.commands import main as cli
from nsbench.commands.display.progress import progress_display
from nsbench.commands.display.screen import say, show_list, show_rows
from nsbench.commands.plan import explain
from nsbench.components.events import (
    CurvePoint,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    TrialFinished,
)
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.names import printable, visible
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import summarise
from nsbench.report.comma_separated import to_csv
from nsbench.report.latex import escape, to_latex
from nsbench.report.markdown import to_markdown
from nsbench.report.page.page import to_html
from nsbench.report.page.svg import Axis, chart
from nsbench.report.tables import in_markdown, notes
from nsbench.running.run import fan_out, run

HOSTILE = [
    "none of [/data/a.h5] is there",
    "float64[n, 3]",
    "[bold]loud[/bold] :warning: [/]",
    "ends with a backslash \\",
    "\x1b[2J\x1b]0;owned\x07 screen cleared",
    "good\rbad",
    "right \u202egnp.exe\u202c left",
    "lone \ud800 surrogate",
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "a | b `c` \\| [x](javascript:alert(3))",
]

HIDDEN = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]|[\ud800-\udfff]")
STYLES = re.compile(r"\x1b\[[0-9;?]*[mhlAKJ]|\r(?=\x1b|\n|$)|\x1b\[\d*[A-G]")  # rich's own


@pytest.fixture(params=["terminal", "pipe"])
def console(request):
    return Console(file=io.StringIO(), force_terminal=request.param == "terminal", width=250)


def printed(console):
    """What a console was given, without the colours and the cursor's moves that rich itself adds."""
    return STYLES.sub("", console.file.getvalue())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_run_is_displayed_whatever_its_events_say(console, text):
    row = TrialResult(text, text, text, 0, "failed", {}, error=text)
    with progress_display(console) as display:
        for event in (
            RunStarted(text, "i", (text,), {}),
            StageStarted(text, "model", "k", text),
            CurvePoint(text, text, 1.0, 1),
            StageProgress(text, "model", 1, 2, text),
            Notice(text),
            StageFinished(text, "model", "k", text, False, 9.0),
            TrialFinished(row),
            RunFinished(text, "i", 1.0, interrupted=False),
        ):
            display(event)
    shown = printed(console)
    assert shown.count(printable(text)) >= 3  # the stage, the notice, the trial
    assert not HIDDEN.search(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_lists_and_tables_show_it(console, text):
    score = ScoreRow(text, text, "min", 1.0, extras={text: 2.0}, columns=((text, text),), label=text)
    absent = ScoreRow("other", text, "min", None, absent=text)
    rows = [TrialResult(text, text, text, k, "ok", {}, (score, absent), hardware=text) for k in (0, 1)]
    rows.append(replace(rows[0], status="failed", error=text))
    say(console, text)
    show_list(console, [text, "size"], [[text, text]], right="size")
    show_rows(console, rows)
    shown = printed(console)
    assert shown.count(printable(text)) >= 3
    assert not HIDDEN.search(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_refusal_shows_it(text, monkeypatch):
    def refuse(*arguments, **options):
        raise cli.Refusal(text)

    monkeypatch.setattr("nsbench.commands.options.registry", refuse)
    done = CliRunner().invoke(cli.main, ["list"])
    assert done.exit_code == 2
    assert done.stderr.strip() == visible(text)
    assert not HIDDEN.search(done.stderr)


def test_text_reaches_a_console_in_one_place_only():
    """In the commands, `print` of a console is called where hidden characters are made visible, and nowhere else."""
    folder = Path(nsbench.commands.__file__).parent
    files = {p.name: p.read_text() for p in (*folder.glob("*.py"), *(folder / "display").glob("*.py"))}
    assert {name for name, text in files.items() if ".print(" in text} == {"screen.py", "results.py", "live.py"}
    echoes = {name for name, text in files.items() if re.search(r"click\.s?echo\b", text)}
    assert echoes == {"options.py", "main.py", "schema.py"}  # the last prints JSON in ASCII
    assert not {name for name, text in files.items() if "rich.markup" in text}


class Deaf:
    def __init__(self, error):
        self.error, self.heard = error, 0

    def __call__(self, event):
        self.heard += 1
        raise self.error


@pytest.mark.parametrize("error", [ValueError("[/]"), SystemExit(3), GeneratorExit(), MemoryError()], ids=repr)
def test_a_listener_that_raises_costs_nothing_but_itself(bench, error):
    deaf = Deaf(error)
    outcome, _, events = bench(None, listen=deaf)
    assert (outcome.exit_code, len(outcome.rows), deaf.heard) == (0, 2, 1)
    (notice,) = (event for event in events if isinstance(event, Notice))
    assert notice.message.startswith(f"Deaf failed, and is told no more of this run: {type(error).__name__}")
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)


def test_a_plugin_that_ends_the_program_on_an_event_does_not(bench, registry, monkeypatch):
    class Rude:
        @nsbench.hookimpl
        def nsbench_event(self, event):
            raise SystemExit(0)

    registry._manager.register(Rude(), name="rude")
    try:
        outcome, _, events = bench()
    finally:
        registry._manager.unregister(name="rude")
    assert (outcome.exit_code, len(outcome.rows)) == (0, 2)
    assert [e.message for e in events if isinstance(e, Notice)] == [
        "plugin rude failed, and is told no more of this run: SystemExit: 0"
    ]


def test_the_users_interrupt_goes_through_a_listener(registry):
    with pytest.raises(KeyboardInterrupt):
        fan_out([Deaf(KeyboardInterrupt())], registry)(Notice("hello"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, registry, empty_database):
    """A suite that was run, and whose results.jsonl somebody then edited."""
    ran = Ran(tmp_path_factory.mktemp("hostile"), registry, PLAIN)
    shutil.copy(empty_database, ran.workspace.root)
    bad = " ".join(HOSTILE[:7] + HOSTILE[8:])
    path = ran.session.results
    lines = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        row |= {"hardware": bad, "error": bad + "\nsecond line"}
        for score in row["scores"]:
            words = {"unit": bad, "label": bad, "zero": score["zero"]}
            score |= words | {"columns": [[name, bad] for name in score["extras"]]}
            if score["value"] is None:
                score["absent"] = bad + "\n\\input{secret}"
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n")
    ran.stored = StoredResults(ran.session)
    ran.summary = summarise(ran.stored)
    failed = tuple((bad, bad, bad + "\n\\input{secret}") for _ in range(2))
    ran.summary = replace(ran.summary, failed=failed)
    ran.notes = [*notes(list(ran.stored.rows.values())), bad + "\n\\input{secret}"]
    ran.bad = bad
    return ran


def test_the_page_holds_no_tag_of_others_and_runs_only_its_own_script(hostile):
    page = to_html(hostile.stored, hostile.summary, hostile.notes)
    assert not re.search(r"<(?!script>|script type=\"application/json\")script|<img", page)
    assert page.count("<script>") == 1
    assert not HIDDEN.search(page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", policy)


def test_the_page_runs_nothing_in_a_browser_even_if_markup_got_in(hostile, tmp_path):
    """The page's own script works; one that is smuggled in behind the escaping is stopped by the policy."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium found (chromium, chromium-browser or google-chrome on the PATH)")
    page_text = to_html(hostile.stored, hostile.summary, hostile.notes)
    smuggled = "<main><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>"
    dialogs = []
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, text in (("as it is", page_text), ("smuggled", page_text.replace("<main>", smuggled))):
            file = tmp_path / f"{name}.html"
            file.write_text(text, encoding="utf-8")
            page = browser.new_page()
            page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
            page.goto(file.as_uri())
            page.wait_for_selector(".gallery[data-ready]")  # its own script has run
            assert page.evaluate("window.owned") is None, name
        browser.close()
    assert dialogs == []


def test_markdown_latex_and_csv_stay_what_they_are(hostile):
    markdown = to_markdown(hostile.summary, hostile.notes)
    assert not HIDDEN.search(markdown)
    assert not re.search(r"(?<!\\)<script|(?<!\\)`", markdown)
    tables = [part.splitlines() for part in markdown.split("\n\n") if part.startswith("|")]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}) == 1
    latex = to_latex(hostile.summary, hostile.notes)
    assert not HIDDEN.search(latex)
    assert not re.search(r"^\s*\\input", latex, re.MULTILINE)
    assert not HIDDEN.search(to_csv(hostile.summary))


def test_charts_escape_their_labels():
    for text in HOSTILE:
        drawn = chart(text, Axis(text, 0, 1), Axis(text, 0, 1), [])
        assert "<script" not in drawn
        assert not HIDDEN.search(drawn)


def test_a_backslash_does_not_take_the_escape_from_a_bar():
    assert in_markdown("a\\|b") == "a\\\\\\|b"
    assert in_markdown("p < 0.001, x[1]") == "p < 0.001, x[1]"
    assert escape("a\nb") == r"a\textbackslash{}nb"


@pytest.mark.parametrize(
    "command",
    [
        ["report", "SUITE"],
        ["report", "SUITE", "--format", "md"],
        ["report", "SUITE", "--format", "latex"],
        ["report", "SUITE", "--format", "csv"],
        ["report", "SUITE", "--format", "text"],
        ["report", "SUITE", "--long"],
        ["compare", "SUITE", "half", "learner"],
        ["compare", "SUITE", "half", "learner", "--format", "csv"],
        ["info", "trial", "line/half/r0"],
        ["plan", "SUITE"],
        ["cache", "list"],
        ["cache", "size"],
        ["track", "SUITE"],
    ],
    ids=" ".join,
)
def test_commands_on_hostile_results_end_well_and_print_no_hidden_character(hostile, registry, monkeypatch, command):
    monkeypatch.setattr("nsbench.commands.options.registry", lambda: registry)
    monkeypatch.setenv("NSBENCH_WORKSPACE", str(hostile.workspace.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = CliRunner().invoke(cli.main, [str(hostile.suite) if word == "SUITE" else word for word in command])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 0, done.output
    assert not HIDDEN.search(done.output)


def test_a_failing_trial_with_a_bracket_in_its_error_ends_as_a_row_on_a_terminal(tmp_path, registry, monkeypatch):
    def fit(self, train, val, ctx):
        raise RuntimeError("none of [/data/a.h5] is there \x1b[2J")

    monkeypatch.setattr(toy.Failing, "fit", fit)
    ran = Ran(tmp_path, registry, PLAIN, execute=False)
    console = Console(file=io.StringIO(), force_terminal=True, width=250)
    with progress_display(console) as display:
        outcome = run(ran.session, [display])
    show_rows(console, outcome.rows)
    assert len(outcome.rows) == 5
    assert printed(console).count("none of [/data/a.h5] is there \\x1b[2J") >= 2


def test_the_plan_is_lines_of_text(hostile):
    assert all(not HIDDEN.search(str(line)) for line in explain(hostile.session))
