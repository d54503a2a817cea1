"""The workspace that a node of a cluster keeps for a run whose own workspace it does not see.

    <folder>/nsbench-<user>-<identity>/   folder: the node's temporary one, or one that the user names

It is called after the run's workspace, so that the next run there finds what it holds and need not send it again. No
other user may enter it. `nsbench cache nodes` lists and removes such workspaces.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nsbench.errors import Refusal
from nsbench.store.files import make_folder, write_whole
from nsbench.store.inventory import size_of
from nsbench.store.locks import Busy, locked_if_possible
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace

_ORIGIN = "kept-for.txt"
"""The file that says for which workspace a node keeps this one. Its time is that of the last use."""

_IDENTITY = re.compile(r"[0-9a-f]{32}")
_DAY = 86_400.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Foreign(Refusal):
    """A folder that has the name of a node's workspace and is not this user's alone."""


@dataclass(frozen=True)
class NodeWorkspace:
    """A node's workspace on this machine. kept_for: host and path of the run's. used: seconds since 1970."""

    root: Path
    kept_for: str
    size: int
    used: float


def identity_of(workspace: Workspace) -> str:
    """The name that a workspace gave itself when it was first asked: it keeps it when it moves."""
    path = workspace.root / "ray" / "identity"
    with locked_if_possible(path.with_name(".lock")):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if not _IDENTITY.fullmatch(text):
            text = uuid.uuid4().hex
            write_whole(path, text)
        return text


@contextmanager
def node_workspace(folder: Path, identity: str, kept_for: str) -> Iterator[Workspace]:
    """The workspace that this node keeps in a folder, made if it is missing; nobody removes it while the block runs.

    Raises Foreign where something of another's has its name.
    """
    workspace = Workspace(folder / f"{_prefix()}{identity}")
    with _held(workspace.root), Store(workspace.store).in_use():
        write_whole(workspace.root / _ORIGIN, kept_for)
        yield workspace


def node_workspaces(folder: Path) -> list[NodeWorkspace]:
    """The workspaces that this user's runs keep in a folder of this machine, and the rest of those half removed."""
    return [_described(root) for root in sorted(folder.glob(f"{_prefix()}*")) if _is_own(root)]


def remove(node: NodeWorkspace) -> bool:
    """Remove a node's workspace; returns whether it is gone. Raises Busy while a run uses it.

    It stays where the file system has no locks and it was used within a day.
    """
    descriptor = os.open(node.root, _FOLDER)
    try:
        if not _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB) and time.time() - node.used < _DAY:
            return False
        trash = node.root.with_name(f"{node.root.name}.{uuid.uuid4().hex[:8]}")
        node.root.rename(trash)
        shutil.rmtree(trash)
        return True
    finally:
        os.close(descriptor)


def _prefix() -> str:
    return f"nsbench-{os.geteuid()}-"


@contextmanager
def _held(root: Path) -> Iterator[None]:
    """A folder of this user alone, made if it is missing, that is locked against removal. Raises Foreign.

    The folder itself is locked: a file in it could not be made without a moment in which its folder is gone.
    """
    while True:
        _make_own(root)
        try:
            descriptor = os.open(root, _FOLDER)
        except FileNotFoundError:
            continue  # it was removed meanwhile
        try:
            _lock(descriptor, fcntl.LOCK_SH)
            if _is_at(root, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, operation: int) -> bool:
    """Lock a folder until it is closed; returns False where the file system cannot. Raises Busy."""
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError as error:
        raise Busy(error.errno, "a run uses it") from error
    except OSError:
        return False
    return True


def _make_own(root: Path) -> None:
    """Make a folder that only this user may enter, unless it is there or is being removed. Raises Foreign."""
    make_folder(root.parent)
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:
        if _is_own(root) is False:
            raise Foreign(
                f"{root} is a link, another user's, or open to others, and what a run keeps on a node lies in a folder "
                "of its user alone: remove it, or name another place with --node-folder"
            ) from None


def _is_own(root: Path) -> bool | None:
    """Whether a path leads to a folder, not by a link, that is this user's and that nobody else may enter.

    None where nothing is there: asked for once, so that a folder that is removed meanwhile is not taken for another's.
    """
    try:
        status = root.lstat()
    except FileNotFoundError:
        return None
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _is_at(root: Path, descriptor: int) -> bool:
    """Whether the folder that was opened is still the one at its path."""
    try:
        there, opened = root.lstat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


def _described(root: Path) -> NodeWorkspace:
    origin = root / _ORIGIN
    known = origin.is_file()
    kept_for = origin.read_text(encoding="utf-8", errors="replace") if known else "?"
    return NodeWorkspace(root, kept_for, size_of(root), (origin if known else root).stat().st_mtime)
