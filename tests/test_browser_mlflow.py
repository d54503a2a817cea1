"""MLflow's interface on a finished suite, as a person meets it: in a real browser, from the address that is printed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
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
metrics: [ewd, wall_clock, crps]
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
def address(tmp_path_factory):
    """What `nsbench ui` prints for a suite that `nsbench run` has finished."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "crystals.yaml").write_text(SUITE)
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-m", "nsbench.cli"]
    run = [*command, "run", str(folder / "crystals.yaml"), "--workspace", str(folder / "w")]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    show = [*command, "ui", "--workspace", str(folder / "w"), "--port", str(port)]
    server = subprocess.Popen(show, stdout=subprocess.PIPE, text=True, env=environment | {"PYTHONUNBUFFERED": "1"})
    name, _, address = server.stdout.readline().strip().partition(": ")
    assert name == "crystals"
    yield address
    server.send_signal(signal.SIGINT)
    server.wait(20)


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(20_000)
    yield page
    page.close()


def shoot(page, name):
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"))


def test_the_table_opens_sorted_by_ewd_and_grouped_by_simulator(page, address):
    page.goto(address)
    page.wait_for_timeout(8000)
    shoot(page, "leaderboard")
