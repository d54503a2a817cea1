"""MLflow's interface on a finished suite, as a person meets it: in a real browser, from the address that is printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from nsbench.commands.main import main
from nsbench.commands.run import run_suite
from nsbench.commands.track import track_suite
from nsbench.registry.registry import installed
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.tracking import browser as users_browser
from nsbench.tracking.door import REFUSAL

pytestmark = [pytest.mark.browser, pytest.mark.slow]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).parents[1]
SHOTS = os.environ.get("NSBENCH_SCREENSHOTS")
"""A folder for screenshots, for people who want to look."""

SUITE = """\
name: crystals
datasets:
  - {use: lca, as: snow16, params: {size: 16, sigma: 0.05, train: 8, val: 4, test: {parameters: 8, repeats: 4}}}
simulators:
  - {use: lca, as: noise-free, params: {sigma: 0}}
  - {use: lca, as: noisy, params: {sigma: 0.5}}
  - {use: lca, as: truth, params: {sigma: 0.05}}
metrics: [ewd, wall_clock]
protocol: {stride: 5, horizon: 40}
budget: {transitions: 0}
replicates: 2
"""


def executable():
    """Chromium on this machine, or the one that playwright has downloaded."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    return None


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = executable() or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("there is no Chromium: install chromium, or run `playwright install chromium`")
        with_sandbox = os.geteuid() != 0  # Chromium's sandbox refuses to start as root
        browser = playwright.chromium.launch(executable_path=found, args=[] if with_sandbox else ["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, empty_database):
    """A workspace in which `nsbench run` has finished the suite."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "crystals.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        (folder / "w").mkdir()
        shutil.copy(empty_database, folder / "w")
        arguments = ["run", str(folder / "crystals.yaml"), "--workspace", str(folder / "w")]
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "w"


@pytest.fixture(scope="module")
def address(workspace):
    """What `nsbench ui` prints for it."""
    command = [sys.executable, "-m", "nsbench", "ui", "--workspace", str(workspace), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    name, _, address = server.stdout.readline().strip().partition(": ")
    assert name == "crystals"
    yield address
    server.send_signal(signal.SIGINT)
    server.wait(20)


@pytest.fixture(scope="module")
def ewd(workspace):
    """The EWD of each run by its name."""
    lines = (workspace / "runs" / "crystals" / "results.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {f"{row['simulator']}-r{row['replicate']}": row["scores"][0]["value"] for row in rows}


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(20_000)
    yield page
    page.close()


def shoot(page, name):
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"))


TABLE = """() => {
    const rows = {};
    for (const cell of document.querySelectorAll(".ag-row [col-id]")) {
        const row = rows[cell.closest(".ag-row").getAttribute("row-index")] ??= {};
        row[cell.getAttribute("col-id")] = cell.textContent.trim();
    }
    return Object.keys(rows).sort((a, b) => a - b).map((index) => rows[index]);
}"""
"""The table of runs as it stands on the screen, a mapping of columns to text for each row."""


NAME = re.compile("^#[0-9a-f]{6}")  # the colour of a run's dot stands before its name


def table(page):
    page.locator(".ag-row").first.wait_for()
    page.get_by_text("6 matching runs").wait_for()
    return page.evaluate(TABLE)


def tick(page, run):
    link = page.get_by_role("link", name=run, exact=True)
    row = page.locator(".ag-row", has=link)
    page.locator(f".ag-row[row-id='{row.get_attribute('row-id')}'] .ag-checkbox-input").check()


def test_the_table_opens_sorted_by_ewd_and_grouped_by_simulator(page, address, ewd):
    page.goto(address)
    rows = table(page)
    shoot(page, "leaderboard")
    shown = [(NAME.sub("", row["attributes.`Run Name`"]), row["metrics.`score/ewd`"]) for row in rows]
    groups = [(name, text) for name, text in shown if "Group" in name]
    means = {name: (ewd[f"{name}-r0"] + ewd[f"{name}-r1"]) / 2 for name in ("truth", "noise-free", "noisy")}
    best_first = sorted(means, key=means.get)
    count = "2"  # replicates, which stand behind a group's name
    assert [name.removeprefix("Group: ").removesuffix(count).strip() for name, _ in groups] == best_first
    for (_, text), name in zip(groups, best_first, strict=True):
        assert float(text.split()[0]) == pytest.approx(means[name])
        assert "average" in text
    runs = {name: float(text) for name, text in shown if "Group" not in name}
    assert runs == pytest.approx(ewd)
    for k in (1, 4, 7):  # within a group the better replicate stands first
        assert float(shown[k][1]) <= float(shown[k + 1][1])
    for heading in ("score/ewd_floor", "score/ewd_skill"):  # those that fit on the screen
        page.locator(f"[col-id='metrics.`{heading}`']").first.wait_for()


def test_the_address_opens_the_door_and_the_browser_forgets_it(page, address):
    page.goto(address)
    table(page)
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""
    page.reload()
    table(page)
    page.goto(address.split("/?")[0])
    page.get_by_text("crystals").first.wait_for()


def test_without_the_address_a_sentence_is_all_there_is(page, address):
    assert page.goto(address.split("/?")[0]).status == 403
    assert page.locator("body").inner_text().strip() == REFUSAL
    shoot(page, "refusal")


def test_the_page_that_the_browser_is_given_leads_to_the_table(page, address, tmp_path, monkeypatch):
    """From a file, which is another site: a cookie for the same site is set, and sent with what follows."""
    monkeypatch.setattr(users_browser.webbrowser, "open", page.goto)
    with users_browser.shown(address, tmp_path):
        table(page)


def test_the_assistant_leaves_the_table_its_room_and_does_not_work(page, address):
    page.goto(address)
    table(page)
    page.wait_for_timeout(1000)  # it would open by now
    assert page.locator("[data-assistant-ui='true'] textarea").count() == 0
    ask = """() => fetch("/ajax-api/3.0/mlflow/assistant/message", {
        method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({message: "hello"})
    }).then((answer) => answer.status)"""
    assert page.evaluate(ask) == 403


def test_two_runs_are_selected_and_compared(page, address, ewd):
    page.goto(address)
    table(page)
    for run in ("truth-r0", "noisy-r0"):
        tick(page, run)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/compare-runs?**")
    page.get_by_text("noisy-r0").first.wait_for()
    page.wait_for_timeout(2000)  # for what is drawn
    shoot(page, "compare")
    text = page.locator("body").inner_text()
    for run in ("truth-r0", "noisy-r0"):
        assert run in text
        assert f"{ewd[run]:.4g}"[:4] in text


def test_the_charts_begin_with_score_cost_and_pictures(page, address):
    page.goto(address)
    table(page)
    page.locator("label", has=page.locator("input[value='CHART']")).click()
    headers = page.locator("[data-testid='experiment-view-compare-runs-section-header']")
    headers.first.wait_for()
    names = [text.split("(")[0] for text in headers.all_text_contents()]
    assert names[:2] == ["overview", "score"]
    assert {"cost", "extra"} <= set(names)
    for title in ("score/ewd", "cost/ms_per_trajectory vs. score/ewd", "rollouts/frames"):
        page.get_by_role("heading", name=title, exact=True).first.wait_for()
    page.get_by_role("slider").first.wait_for()  # of the pictures' frames
    page.wait_for_timeout(1500 if SHOTS else 0)
    shoot(page, "charts")


def test_the_animation_plays_and_the_table_of_scores_is_a_table(page, address):
    page.goto(address)
    table(page)
    page.get_by_role("link", name="noisy-r0", exact=True).click()
    page.get_by_text("About this run").wait_for()
    shoot(page, "run")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("rollouts.gif").first.click()
    picture = page.locator("img[src^='blob:'], img[src*='rollouts.gif']").first
    picture.wait_for()
    shots = []
    for _ in range(4):
        shots.append(picture.screenshot())
        page.wait_for_timeout(400)
    shoot(page, "animation")
    assert len(set(shots)) > 1  # it moves
    page.get_by_text("tables").first.click()
    page.get_by_text("scores.json").first.click()
    page.get_by_text("View as table").wait_for()
    page.get_by_text("wall_clock", exact=True).first.wait_for()
    shoot(page, "scores")


def test_a_server_gets_finished_results_once(workspace, address, monkeypatch):
    """Uploaded over HTTP; a second time, and a third without the ledger, nothing is added."""
    from mlflow import MlflowClient
    from rich.console import Console

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server, _, token = address.split("#")[0].partition("/?token=")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    registry, console = installed(), Console(file=StringIO())
    overrides = ["name=elsewhere", "simulators=[{use: lca, as: truth, params: {sigma: 0.05}}]"]
    plan = make_plan(read_suite(workspace.parent / "crystals.yaml", registry, overrides), registry)
    session = Session(plan, registry, Workspace(workspace))
    run_suite(session, console, tracked=False)
    for ledger in (True, True, False):
        if not ledger:
            (workspace / "runs" / "elsewhere" / "tracked.json").unlink()
        assert track_suite(session, console, server) == 0
    client = MlflowClient(server)
    found = client.search_runs([client.get_experiment_by_name("elsewhere").experiment_id])
    assert sorted(run.info.run_name for run in found) == ["truth-r0", "truth-r1"]
    names = {file.path for file in client.list_artifacts(found[0].info.run_id)}
    assert names >= {"rollouts.gif", "images", "tables", "figures", "suite.yaml"}
