"""A workspace that several people share: by a group's folder, whatever the umask; where it is not, that is said."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
import traceback
from pathlib import Path

import pytest
from rich.console import Console

from conftest import SUITE
from nsbench.commands.run import run_suite
from nsbench.store import inventory
from nsbench.store.files import make_folder, whole
from nsbench.store.locks import held, locked
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

ANNA, BEN, GROUP = 41_001, 41_002, 41_000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="two users can only be played by root")

MORE = SUITE.replace("  - {use: learner}\n", "  - {use: learner}\n  - {use: coin, as: half, params: {rho: 0.5}}\n")


@pytest.fixture
def shared():
    """A folder where everybody can be, for a workspace of a group."""
    folder = Path(tempfile.mkdtemp(prefix="nsbench-group-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def group_folder(folder, mode):
    folder.mkdir()
    os.chown(folder, ANNA, GROUP)
    folder.chmod(mode)
    return folder


def as_user(user, umask, work):
    """Do work in a child process as another user of the group; returns what it returns, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([GROUP])
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(user, user, user)
            os.umask(umask)
            text = str(work())
        except BaseException:
            text = "raised: " + traceback.format_exc()
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def sessions(write_suite, registry, tmp_path):
    """Sessions of two suites, planned before anybody becomes another user; everything is imported by then."""
    small, large = write_suite(SUITE, "small.yaml"), write_suite(MORE, "large.yaml")
    plans = {
        name: make_plan(read_suite(path, registry), registry) for name, path in (("small", small), ("large", large))
    }

    def session(name, root):
        return Session(plans[name], registry, Workspace(root))

    run_suite(session("large", tmp_path / "warm-up"), Console(file=io.StringIO()), tracked=False)
    return session


def ran(session):
    console = Console(file=io.StringIO(), width=200)
    return f"{run_suite(session, console, tracked=False)}\n{console.file.getvalue()}"


@needs_root
@pytest.mark.parametrize("umask", [0o002, 0o022], ids=["umask 002", "umask 022"])
def test_reading_what_another_made_counts_as_use(shared, sessions, umask):
    root = group_folder(shared / "ours", 0o2775)
    as_user(ANNA, umask, lambda: ran(sessions("small", root)))
    then = time.time() - 40 * 86_400
    for manifest in root.glob("store/*/*/manifest.json"):
        os.utime(manifest, (then, then))
    as_user(BEN, umask, lambda: ran(sessions("small", root)))
    old = [entry for entry in inventory.artifacts(Workspace(root)) if entry.used < time.time() - 86_400]
    assert {entry.kind for entry in old} <= {"data", "model", "evidence"}, "scores are what a finished suite reads"


@needs_root
def test_a_folder_that_is_anna_s_alone_shows_ben_its_results_and_takes_none(shared, sessions):
    root = group_folder(shared / "hers", 0o755)
    assert as_user(ANNA, 0o022, lambda: ran(sessions("small", root))).startswith("0\n")
    before = sorted(root.rglob("*"))
    text = as_user(BEN, 0o022, lambda: ran(sessions("large", root)))
    assert "cannot be written (Permission denied): its results are shown" in text
    assert sorted(root.rglob("*")) == before


@needs_root
def test_a_lock_of_one_can_be_waited_for_by_the_other(shared):
    root = group_folder(shared / "ours", 0o2775)
    with held(root / "locks" / "model-1"):
        os.chown(root / "locks", ANNA, GROUP)
        (root / "locks").chmod(0o2775)

        def wait():
            seen = []

            def tell(holder):
                seen.append(holder)
                raise TimeoutError

            try:
                with held(root / "locks" / "model-1", waiting=tell):
                    return "had it"
            except TimeoutError:
                return f"waited for process {seen[0].pid}"

        assert as_user(BEN, 0o022, wait) == f"waited for process {os.getpid()}"


@pytest.mark.parametrize("mode", [0o2775, 0o755, 0o777])
def test_what_is_made_in_a_folder_is_shared_as_the_folder_is(tmp_path, mode):
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(mode)
    before = os.umask(0o022)
    try:
        make_folder(root / "a" / "b")
        with whole(root / "a" / "b" / "file") as draft:
            draft.write_text("x")
        with locked(root / "a" / "lock"):
            pass
    finally:
        os.umask(before)
    writable = mode & 0o022
    for path in (root / "a", root / "a" / "b", root / "a" / "b" / "file"):
        assert path.stat().st_mode & 0o022 == writable
    assert (root / "a" / "lock").stat().st_mode & 0o666 == 0o666, "also by who was there first with another umask"


def test_what_lies_in_a_folder_for_everybody_stays_its_makers(tmp_path):
    tmp_path.chmod(0o1777)
    make_folder(tmp_path / "mine")
    assert not (tmp_path / "mine").stat().st_mode & 0o002
