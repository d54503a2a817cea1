"""The workspace: one folder for the store, the runs and the tracking database."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nsbench.errors import Refusal
from nsbench.store.files import NOT_WRITABLE, make_folder

DEFAULT_WORKSPACE = Path("nsbench-out")


class UnusableWorkspace(Refusal):
    """A path that no workspace can have."""


@dataclass(frozen=True)
class Workspace:
    """A workspace's folders and files; nothing is created by naming them."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def work(self) -> Path:
        """The folder of unfinished work, each by the key of the artifact that it will become."""
        return self.root / "work"

    @property
    def bytecode(self) -> Path:
        """The folder of byte code that this user's workers run, by the digest of its source."""
        return self.root / "pycache" / str(os.geteuid())

    @property
    def kernels(self) -> Path:
        """The folder of this user's compiled kernels, by the digest of the code that they were compiled from."""
        return self.root / "numba" / str(os.geteuid())

    @property
    def contents(self) -> Path:
        """The folder that remembers, for this user, the digests of data files: see nsbench/store/contents.py."""
        return self.root / "contents" / str(os.geteuid())

    def run(self, suite: str) -> Path:
        """The folder of a suite's results and logs."""
        return self.root / "runs" / suite

    def results(self, suite: str) -> Path:
        return self.run(suite) / "results.jsonl"

    def log(self, suite: str, trial: str) -> Path:
        """The file with a trial's standard output and error, its traceback, and how it ended."""
        # A "+" is in no name, so that no two trials share a log: "." is, and "a.b/c" is another trial than "a/b.c".
        return self.run(suite) / "logs" / f"{trial.replace('/', '+')}.txt"


def workspace_at(path: Path) -> Workspace:
    """The workspace at a path, whose links are followed. Raises UnusableWorkspace.

    Addresses of databases, and libraries that are no Python, take a path for text in UTF-8.
    """
    try:
        root = path.resolve()
    except RuntimeError as error:
        raise UnusableWorkspace(f"{path}: its links lead in a circle") from error
    if os.fsencode(root) == str(root).encode(errors="replace"):
        return Workspace(root)
    encoding = sys.getfilesystemencoding()
    cure = "" if encoding == "utf-8" else f", or set PYTHONUTF8=1: file names are {encoding} here"
    raise UnusableWorkspace(f"{root}: the path of a workspace must be text in UTF-8; choose another folder{cure}")


def refusal(workspace: Workspace, suite: str) -> str:
    """The reason, in the system's words, why the results of a suite cannot be written; "" if they can."""
    folder = workspace.run(suite)
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        if error.errno not in NOT_WRITABLE or not workspace.store.is_dir():
            raise
        return str(error.strerror)


@contextmanager
def borrowed(workspace: Workspace) -> Iterator[Workspace]:
    """A temporary workspace on the store of a workspace that may only be read."""
    with tempfile.TemporaryDirectory(prefix="nsbench-") as scratch:
        (Path(scratch) / "store").symlink_to(workspace.store.resolve(), target_is_directory=True)
        yield Workspace(Path(scratch))
