"""What a run keeps on a node that does not see its workspace: found again, this user's alone, removable."""

from __future__ import annotations

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from nsbench.commands.main import main
from nsbench.running import ray_connection
from nsbench.running.ray import lost
from nsbench.running.ray_task import PIECE_BYTES, Mailbox, forget_logs, pieces
from nsbench.store import node
from nsbench.store.files import write_whole
from nsbench.store.locks import Busy
from nsbench.store.node import Foreign, identity_of, node_workspace, node_workspaces, remove
from nsbench.store.workspace import Workspace

SMOKE = Path(__file__).parents[1] / "suites" / "smoke.yaml"
IDENTITY = "0123456789abcdef" * 2
MONTH = 30 * 86_400


def root_in(folder):
    return folder / f"nsbench-{os.geteuid()}-{IDENTITY}"


def test_the_next_run_finds_what_was_kept(tmp_path):
    with node_workspace(tmp_path, IDENTITY, "here:/w") as first:
        write_whole(first.store / "model" / "kept", "weights")
    with node_workspace(tmp_path, IDENTITY, "here:/w") as second:
        assert (second.store / "model" / "kept").read_text() == "weights"
    assert [path.name for path in tmp_path.iterdir()] == [root_in(tmp_path).name]


def test_a_workspace_keeps_its_identity_when_it_moves_and_shares_it_with_none(tmp_path):
    first, other = Workspace(tmp_path / "a"), Workspace(tmp_path / "b")
    known = identity_of(first)
    assert known == identity_of(first) != identity_of(other)
    (tmp_path / "a").rename(tmp_path / "c")
    assert identity_of(Workspace(tmp_path / "c")) == known


def test_an_identity_that_leads_elsewhere_is_not_used(tmp_path):
    workspace = Workspace(tmp_path)
    write_whole(tmp_path / "ray" / "identity", "/../../home")
    assert "/" not in identity_of(workspace)


def test_no_other_user_may_enter_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        with node_workspace(tmp_path / "new", IDENTITY, "") as workspace:
            assert workspace.root.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("planted", ["link", "file", "open", "foreign"])
def test_something_of_anothers_by_that_name_is_refused_and_left_alone(tmp_path, planted):
    root, elsewhere = root_in(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    if planted == "link":
        root.symlink_to(elsewhere, target_is_directory=True)
    elif planted == "file":
        root.touch()
    else:
        root.mkdir()
        root.chmod(0o777 if planted == "open" else 0o700)
    if planted == "foreign":
        if os.geteuid() != 0:
            pytest.skip("needs root, to make another user's folder")
        os.chown(root, 65534, 65534)
    with pytest.raises(Foreign, match=r"--node-folder"), node_workspace(tmp_path, IDENTITY, ""):
        pass
    assert node_workspaces(tmp_path) == []
    assert list(elsewhere.iterdir()) == []
    assert not root.is_dir() or list(root.iterdir()) == []


def test_nothing_is_removed_while_any_of_several_tasks_uses_it(tmp_path):
    with node_workspace(tmp_path, IDENTITY, ""):
        with node_workspace(tmp_path, IDENTITY, ""):
            pass
        (there,) = node_workspaces(tmp_path)
        with pytest.raises(Busy):
            remove(there)
    assert remove(there)
    assert list(tmp_path.iterdir()) == []


def test_without_locks_what_was_used_today_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_lock", lambda descriptor, operation: False)
    with node_workspace(tmp_path, IDENTITY, "") as workspace:
        pass
    assert not remove(node_workspaces(tmp_path)[0])
    os.utime(workspace.root / "kept-for.txt", (0, 0))
    assert remove(node_workspaces(tmp_path)[0])


def test_tasks_that_begin_while_it_is_removed_lose_nothing(tmp_path):
    lost_files = []

    def use():
        for number in range(60):
            with node_workspace(tmp_path, IDENTITY, "") as workspace:
                write_whole(workspace.root / "file", str(number))
                if (workspace.root / "file").read_text() != str(number):
                    lost_files.append(number)
                if workspace.root.stat().st_mode & 0o777 != 0o700:
                    lost_files.append("mode")

    removed = 0
    with ThreadPoolExecutor(1) as pool:
        user = pool.submit(use)
        while not user.done():
            for there in node_workspaces(tmp_path):
                try:
                    removed += remove(there)
                except (Busy, FileNotFoundError):
                    continue
    user.result()
    assert removed > 0
    assert lost_files == []


def test_a_log_of_a_gigabyte_is_never_in_memory(tmp_path):
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"the end")
    tracemalloc.start()
    try:
        lengths, last = [], b""
        for piece in pieces(log):
            lengths.append(len(piece))
            last = piece
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(lengths) == log.stat().st_size
    assert last == b"the end"
    assert peak < 4 * PIECE_BYTES


def test_the_pieces_of_a_log_are_added_to_the_runs(tmp_path):
    mailbox = Mailbox(str(tmp_path), "snow")
    (tmp_path / "node.txt").write_bytes(b"\xff" * PIECE_BYTES + b"end\n")
    for piece in pieces(tmp_path / "node.txt"):
        mailbox.add_to_log("snow/cgne/r0", piece)
    log = Workspace(tmp_path).log("snow", "snow/cgne/r0")
    assert log.read_bytes() == (tmp_path / "node.txt").read_bytes()
    assert list(pieces(tmp_path / "missing.txt")) == []


def test_logs_of_runs_that_were_killed_go_after_a_week(tmp_path):
    workspace = Workspace(tmp_path)
    old, new = workspace.log("old", "job"), workspace.log("new", "job")
    for log in (old, new):
        write_whole(log, "text")
    for path in (old, old.parent, old.parent.parent):
        os.utime(path, (0, 0))
    forget_logs(workspace)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["new"]


class RayError(Exception):
    pass


class RayTaskError(RayError):
    """As Ray has it: its text is the traceback on the node, with the cause at its end."""

    def __init__(self, cause):
        super().__init__(f"Traceback of work(): {cause}")
        self.cause = cause


class WorkerCrashedError(RayError):
    pass


class NodeDiedError(RayError):
    pass


class LocalRayletDiedError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


ERRORS = SimpleNamespace(**{kind.__name__: kind for kind in RayError.__subclasses__()})


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RayTaskError(Foreign("/tmp/x is a link")), "failed", "Foreign: /tmp/x is a link"),
        (WorkerCrashedError("gone\nmore"), "killed", "Ray lost it 4 times: WorkerCrashedError: gone"),
        (NodeDiedError("gone"), "killed", "Ray lost it 4 times: NodeDiedError: gone"),
        (OutOfMemoryError("the node is full"), "oom", "OutOfMemoryError: the node is full"),
        (RayError(""), "failed", "RayError: "),
    ],
)
def test_only_a_node_or_a_process_is_lost(error, status, said):
    end = lost("job", error, ERRORS)
    assert (end.status, end.error) == (status, said)
    assert end.fault == (f"{error}\n" if isinstance(error, RayTaskError) else "")


@pytest.mark.parametrize("length", [4, 90])
def test_the_private_folder_has_room_for_the_paths_of_sockets(tmp_path, monkeypatch, length):
    place = Path("/tmp") if length == 4 else tmp_path / ("x" * length)
    place.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    folder = ray_connection._private_folder()
    try:
        session = folder / "s" / "session_2026-12-31_23-59-59_999999_4194304" / "sockets" / "plasma_store"
        assert len(os.fsencode(session)) <= 107
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        folder.rmdir()


def invoke(*arguments):
    return CliRunner().invoke(main, [*arguments], catch_exceptions=False)


def test_cache_nodes_lists_what_is_there_and_removes_it(tmp_path):
    with node_workspace(tmp_path, IDENTITY, "login:/home/me/nsbench-out") as workspace:
        write_whole(workspace.store / "data" / "large", b"x" * 5000)
        shown = invoke("cache", "nodes", "--node-folder", str(tmp_path))
        assert shown.exit_code == 0
        assert "5.03 kB" in shown.output
        assert "nsbench-out" in shown.output
        assert "Nothing was removed" in shown.output
        assert workspace.root.is_dir()
        busy = invoke("cache", "nodes", "--node-folder", str(tmp_path), "--yes")
        assert busy.exit_code == 1
        assert "in use by a run" in busy.output.replace("\n", " ")
    young = invoke("cache", "nodes", "--node-folder", str(tmp_path), "--older-than", "30d", "--yes")
    assert (young.exit_code, workspace.root.is_dir()) == (0, True)
    os.utime(workspace.root / "kept-for.txt", (os.path.getmtime(workspace.root) - MONTH - 60,) * 2)
    assert invoke("cache", "nodes", "--node-folder", str(tmp_path), "--older-than", "30d", "--yes").exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--address", "10.0.0.1:6379"], "need --executor ray"),
        (["--node-folder", "/scratch"], "need --executor ray"),
        (["--executor", "ray", "--node-folder", "scratch"], "begins with /"),
    ],
)
def test_what_only_a_cluster_understands_is_refused_elsewhere(tmp_path, arguments, said):
    done = CliRunner().invoke(main, ["run", str(SMOKE), "--workspace", str(tmp_path / "w"), *arguments])
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "w" / "runs").exists()
