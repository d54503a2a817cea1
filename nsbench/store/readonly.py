"""Workspaces that may only be read: what is in their store can be shown, and nothing can be added."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nsbench.store.files import NOT_WRITABLE
from nsbench.store.workspace import Workspace


def refusal(workspace: Workspace, suite: str) -> str:
    """Why the results of a suite cannot be written, in the system's words; "" if they can."""
    folder = workspace.run(suite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        if error.errno not in NOT_WRITABLE or not workspace.store.is_dir():
            raise
        return str(error.strerror)


@contextmanager
def borrowed(workspace: Workspace) -> Iterator[Workspace]:
    """A workspace for the moment, on the store of one that may only be read."""
    with tempfile.TemporaryDirectory(prefix="nsbench-") as scratch:
        (Path(scratch) / "store").symlink_to(workspace.store.resolve(), target_is_directory=True)
        yield Workspace(Path(scratch))
