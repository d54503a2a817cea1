"""A workspace that may only be read: mounted so, because permissions do not bind an administrator."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SUITE

MOUNT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT]

PROGRAM = """
import sys
sys.path[:0] = [{tests!r}]
from importlib.metadata import entry_points
from conftest import TOY
from nsbench.registry import registry
made = registry.Registry([*entry_points(group="nsbench"), TOY])
registry.installed = lambda: made
from nsbench.commands.main import main
main(sys.argv[1:])
"""


def can_mount(tmp_path):
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, tmp_path, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def read_only(bench, tmp_path):
    """Runs a command while the toy's finished workspace, or a folder of it, is mounted read-only."""
    if not can_mount(tmp_path):
        pytest.skip("this system lets nobody mount in a namespace of their own")
    bench()
    program = PROGRAM.format(tests=str(Path(__file__).parent))

    def nsbench(*words, folder=bench.workspace.root):
        command = [*UNSHARE, folder, sys.executable, "-c", program, *words, "--workspace", bench.workspace.root]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    nsbench.workspace = bench.workspace
    return nsbench


def files(root):
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_finished_suite_prints_its_table(read_only, write_suite):
    before = files(read_only.workspace.root)
    done = read_only("run", write_suite())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot be written (Read-only file system): its results are shown" in done.stdout
    assert re.search(r"^line +learner +truth ", done.stdout, re.MULTILINE)
    assert files(read_only.workspace.root) == before


@pytest.mark.parametrize("folder", ["", "store"])
def test_what_is_missing_is_named_with_its_reason_and_costs_no_other_trial(read_only, write_suite, folder):
    """The workspace, or its store alone, as where a shared one is mounted."""
    suite = write_suite(
        SUITE.replace("  - {use: learner}\n", "  - {use: learner}\n  - {use: coin, params: {rho: 0.4}}\n")
    )
    done = read_only("run", suite, "--no-tracking", folder=read_only.workspace.root / folder)
    assert done.returncode == 1
    assert re.search(r"^line +learner +coin +truth ", done.stdout, re.MULTILINE)
    assert re.search(r"^length ↓ sites +[\d.]+\*? +failed +[\d.]+ ", done.stdout, re.MULTILINE)
    assert "line/coin/r0: failed: Unwritable: " in done.stdout
    assert "is not in the store, and cannot be put there (Read-only file system)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_damage_is_named_and_left(read_only, write_suite):
    score = next((read_only.workspace.store / "score").glob("*/score.json"))
    score.write_bytes(score.read_bytes() + b" ")
    done = read_only("run", write_suite())
    assert f"{score.parent}" in done.stdout.replace("\n", "") or score.parent.name in done.stdout
    assert "it cannot be moved aside (Read-only file system)" in done.stdout
    assert score.exists()
    done = read_only("cache", "verify")
    assert (done.returncode, "1 damaged" in done.stdout) == (1, True)


def test_what_lies_there_can_be_looked_at(read_only):
    for words in (["cache", "list"], ["info", "trial", "line/learner/r0"]):
        done = read_only(*words)
        assert done.returncode == 0, done.stderr
        assert done.stdout
