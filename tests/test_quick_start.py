"""The README's quick starts, run word for word: each line by a shell, in a folder where the suites are shortened.

Fewer cases, less training, no network and no MLflow where the commands do not depend on them; the whole suites are
run by the tests of the command line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PEOPLE = ("reader", "author", "reviewer")


def block(person):
    """The lines of a person's quick start."""
    text = (ROOT / "README.md").read_text().split(f"<!-- quick start: {person} -->\n```sh\n")[1]
    return text.split("\n```\n<!-- end -->")[0].splitlines()


SHORT = """\
extends: long.yaml
name: {name}
datasets:
  - use: lca
    as: snow16
    params: {{size: 16, train: 24, val: 8, test: {{parameters: 6, repeats: 2}}}}
simulators:
  - {{use: lca, as: floor}}
  - {{use: lca, as: noise-free, params: {{sigma: 0}}}}
  - {{use: cgne-laptop, params: {{width: 4, latent_channels: 4}}}}
  - {{use: pns-laptop, params: {{width: 8, levels: 2, latents: 8}}}}
budget: {{transitions: 32}}
metrics: [ewd, wall_clock]
tracking: {{enabled: false}}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with suites of the same names, shortened; pip puts what it installs beside them, and fetches nothing."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "suites").mkdir()
    shutil.copy(ROOT / "suites" / "smoke.yaml", folder / "suites" / "long.yaml")
    for name in ("smoke", "snow"):
        (folder / "suites" / f"{name}.yaml").write_text(SHORT.format(name=name))
    return folder


def run(lines, folder):
    """Each line by the shell, as it stands; returns what they printed."""
    site = folder / "site"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(site),
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads 0 as "no isolation": hatchling is the tests' own
        "PIP_NO_INDEX": "1",
        "OMP_NUM_THREADS": "1",
    }
    printed = []
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed


def columns(text):
    """The names above the matrices that a run printed. A long one stands in several lines, which end in one place."""
    lines = text.splitlines()
    names = []
    for rule in (k for k, line in enumerate(lines) if line and not line.strip("─")):
        first = next(k for k in range(rule - 1, -2, -1) if k < 0 or not lines[k].strip()) + 1
        parts = {}
        for line in lines[first:rule]:
            for found in re.finditer(r"\S+(?: \S+)*", line):
                parts[found.end()] = parts.get(found.end(), "") + found.group()
        names += parts.values()
    return names


@pytest.mark.parametrize("person", PEOPLE)
def test_a_quick_start_is_at_most_ten_lines_of_commands(person):
    lines = block(person)
    assert 1 <= len(lines) <= 10
    assert all(re.match(r"(nsbench|pip) ", line) for line in lines)


@pytest.mark.slow
def test_the_readers_quick_start(desk):
    listed, described, ran, planned, compared = run(block("reader"), desk)
    assert "cgne" in listed
    assert described.startswith("simulator cgne: ")
    assert "noise-free" in columns(ran)
    assert "noise-free" in columns(compared)
    assert "hit  test data" in planned  # the shortened suites share their data


@pytest.mark.slow
def test_the_authors_quick_start(desk):
    first, *lines = block("author")
    (written,) = run([first], desk)
    suite = desk / "mine" / "suite.yaml"
    text = suite.read_text()
    for long, short in (
        ("train: 200", "train: 24"),
        ("parameters: 16", "parameters: 4"),
        ("transitions: 1000", "transitions: 32"),
    ):
        assert long in text
        text = text.replace(long, short)
    suite.write_text(text + "tracking: {enabled: false}\n")
    _, checked, ran, plugins = run([*lines, "COLUMNS=200 nsbench plugins"], desk)
    assert re.search(r"mine +nsbench-mine 0\.1\.0 +simulator mine +ok", plugins)
    assert written.startswith("mine: README.md, mine.py, pyproject.toml, suite.yaml, test_mine.py")
    assert "0 findings, 0 notes" in checked
    for simulator in ("floor", "noise-free", "cgne-laptop", "pns-laptop", "mine"):
        assert simulator in columns(ran)


@pytest.mark.slow
def test_the_reviewers_quick_start(desk):
    first, compared, _, told, again, other_seed = run(block("reviewer"), desk)
    assert "ewd" in compared
    assert next(desk.glob("nsbench-out/runs/*/report.html")).stat().st_size > 10_000
    assert "snow16/cgne-laptop/r0" in told
    assert "the same" in again
    rows = [[line for line in text.splitlines() if line.startswith("ewd ↓ sites")] for text in (first, other_seed)]
    assert len(rows[0]) == len(rows[1]) == 1
    assert rows[0] != rows[1]
