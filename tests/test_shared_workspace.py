"""A workspace is several people's, or lies on a file system that has no locks, or has them on each machine by itself."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import stat
import sys
import tempfile
import time
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from rich.console import Console

import dawdler
from nsbench.commands.run import run_suite
from nsbench.outcomes.file import load
from nsbench.registry.registry import Registry
from nsbench.store import inventory
from nsbench.store.inventory import alone
from nsbench.store.locks import Busy, held, locked
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

SUITE = """\
name: line
datasets:
  - {use: line, params: {train: 8, val: 2, test: 4}}
simulators:
  - {use: coin, as: truth}
  - {use: slow, params: {rho: 0.4}}
metrics: [length, elbo]
protocol: {stride: 1, horizon: 6, bounds: null, members: 2}
budget: {transitions: 10}
"""

ONE, TWO, GROUP = 54_321, 54_322, 54_320


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "dawdler"))])
    path = tmp_path_factory.mktemp("suite") / "suite.yaml"
    path.write_text(SUITE)
    return make_plan(read_suite(path, registry), registry), registry


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(dawdler, "SECONDS", 0.005)


@pytest.fixture(scope="module")
def expected(planned, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    run(planned, root)
    return table(root)


def run(planned, root, tracked=False):
    """Run the suite in this process; returns what it says."""
    console = Console(file=io.StringIO(), width=400)
    code = run_suite(Session(*planned, Workspace(root)), console, tracked=tracked)
    assert code == 0, console.file.getvalue()
    return console.file.getvalue()


def table(root):
    rows = load(Workspace(root).results("line"))
    return {row.trial: (row.status, row.keys, [(s.metric, s.value, s.floor) for s in row.scores]) for row in rows}


def require_sound(root):
    workspace = Workspace(root)
    assert inventory.leftovers(workspace) == []
    assert [inventory.damage(entry) for entry in inventory.artifacts(workspace) if inventory.damage(entry)] == []


def child(work):
    """Do work in a process of its own; returns its number. It exits with 1, and says why, if the work raises."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)


def join(*pids):
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


def no_locks(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_whole_run_without_locks_says_it_once_and_prints_the_same_table(planned, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_locks)
    said = run(planned, tmp_path)
    assert said.count("has no locks") == 1
    assert table(tmp_path) == expected
    require_sound(tmp_path)


def test_a_run_without_locks_is_mirrored_all_the_same(planned, expected, tmp_path, monkeypatch, empty_database):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert "compare in MLflow" in run(planned, tmp_path, tracked=True)
    assert table(tmp_path) == expected


def test_locks_that_hold_on_one_machine_only_cost_two_makers_nothing(planned, expected, tmp_path, monkeypatch):
    """Two machines, each of which gets every lock: both make the same artifacts at the same time."""
    monkeypatch.setattr(dawdler, "SECONDS", 0.05)
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    first = child(lambda: run(planned, tmp_path))
    time.sleep(0.3)
    second = child(lambda: run(planned, tmp_path))
    join(first, second)
    assert table(tmp_path) == expected
    require_sound(tmp_path)


def test_two_workspaces_on_one_store_share_its_locks(planned, tmp_path):
    """What the one makes the other waits for, and says for whom."""
    (tmp_path / "a" / "store").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "store").symlink_to(tmp_path / "a" / "store", target_is_directory=True)
    model = next(trial.model for trial in planned[0].trials if "slow" in trial.id)
    lock = tmp_path / "a" / "store" / "locks" / f"model-{model.digest}"
    (tmp_path / "go on").touch()

    def hold():
        with held(lock):
            while (tmp_path / "go on").exists():
                time.sleep(0.02)

    holder = child(hold)
    while not lock.exists() or not lock.read_text():
        time.sleep(0.01)
    said = tmp_path / "said"
    waiter = child(lambda: said.write_text(run(planned, tmp_path / "b")))
    time.sleep(2.0)
    assert os.waitpid(waiter, os.WNOHANG) == (0, 0)
    (tmp_path / "go on").unlink()
    join(holder, waiter)
    assert f"waiting for the model {model.digest[:12]}" in said.read_text()
    assert f":{holder} since " in said.read_text()
    assert f"the model {model.digest[:12]} is free" in said.read_text()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture
def group_folder():
    """A folder that a group may write to, and whose files are the group's."""
    around = Path(tempfile.mkdtemp(prefix="nsbench-group-"))
    around.chmod(0o755)
    folder = around / "w"
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(around)


def as_user(uid, umask, work):
    """Do work in a process of its own as another user, a member of the group."""

    def change_and_work():
        os.setgroups([GROUP])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.umask(umask)
        work()

    return child(change_and_work)


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o002], ids=["022", "002"])
def test_two_users_of_a_group_share_a_workspace(planned, expected, group_folder, umask):
    """They run at the same time, then one after the other with work of the first half done and a row to add."""
    join(
        as_user(ONE, umask, lambda: run(planned, group_folder)), as_user(TWO, umask, lambda: run(planned, group_folder))
    )
    assert table(group_folder) == expected
    require_sound(group_folder)
    workspace = Workspace(group_folder)
    first_owner = workspace.results("line").stat().st_uid
    other = TWO if first_owner == ONE else ONE
    for kind in ("model", "score"):
        shutil.rmtree(workspace.store / kind)
    workspace.results("line").write_text("")  # by root, whose writing changes no owner
    join(as_user(other, umask, lambda: run(planned, group_folder)))
    assert table(group_folder) == expected
    require_sound(group_folder)


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o002], ids=["022", "002"])
def test_who_uses_a_groups_store_is_protected_from_another_members_prune(group_folder, umask):
    store = group_folder / "store"

    def use():
        with Store(store).in_use():
            (group_folder / f"in use by {os.getuid()}").touch()
            while not (group_folder / "done").exists():
                time.sleep(0.02)

    def use_too():
        with Store(store).in_use():
            pass

    def prune():
        with pytest.raises(Busy), alone(Workspace(group_folder)):
            pass

    user = as_user(ONE, umask, use)
    while not (group_folder / f"in use by {ONE}").exists():
        time.sleep(0.02)
    join(as_user(TWO, umask, use_too))
    join(as_user(TWO, umask, prune))
    (group_folder / "done").touch()
    join(user)


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o002], ids=["022", "002"])
def test_whoever_reads_anothers_artifact_is_its_last_user(planned, group_folder, umask):
    join(as_user(ONE, umask, lambda: run(planned, group_folder)))
    manifests = list((group_folder / "store").glob("score/*/manifest.json"))
    for path in manifests:
        os.utime(path, (1e9, 1e9))
    join(as_user(TWO, umask, lambda: run(planned, group_folder)))
    assert manifests
    for path in manifests:
        assert time.time() - path.stat().st_mtime < 3_600


@needs_root
def test_a_workspace_that_is_not_a_groups_is_refused_with_the_cure(planned, group_folder):
    """User one made it in a folder of his own that others may not write to, and then opened only the store's folder."""
    group_folder.chmod(0o777)
    join(as_user(ONE, 0o022, lambda: run(planned, group_folder)))
    (group_folder / "store" / ".lock").chmod(0o644)

    def refused():
        with pytest.raises(OSError, match=r"chmod g\+ws"), Store(group_folder / "store").in_use():
            pass

    join(as_user(TWO, 0o022, refused))


@needs_root
def test_a_locks_file_is_everybodys_who_may_write_there(group_folder):
    def lock():
        with locked(group_folder / "lock"):
            pass

    join(as_user(ONE, 0o077, lock))
    assert stat.S_IMODE((group_folder / "lock").stat().st_mode) == 0o666
    join(as_user(TWO, 0o077, lock))
