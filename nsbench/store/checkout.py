"""The state of a checkout: its commit, and whether files differ from it. No program that the checkout names is run.

git runs what a repository's configuration names: filters, monitors of the file system, hooks. So the files are not
compared by way of the repository, but of an empty one beside it, which has nothing in its configuration and borrows
index and objects.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PATIENCE = 10.0
"""Seconds that git may take: a checkout may lie on a slow disk."""

_HARMLESS = "^core[.](autocrlf|checkstat|eol|filemode|ignorecase|symlinks|trustctime)$"
"""The settings of a repository that are taken over: how files are compared on its file system. None names a program."""


@cache
def git_state(checkout: Path) -> str:
    """The commit of a checkout, and ", edited" where files differ from it; "" without git or commits.

    ", not compared" stands after the commit where git cannot tell without the checkout's own configuration. What goes
    through a filter counts as edited once it has been touched.
    """
    facts = _git(checkout, "rev-parse", "--show-object-format", "--git-path", "index", "--git-path", "objects", "HEAD")
    if facts is None or len(facts.splitlines()) != 4:
        return ""
    object_format, index, objects, commit = facts.splitlines()
    with tempfile.TemporaryDirectory(prefix="nsbench-git-") as folder:
        _write_repository(Path(folder), object_format, commit)
        borrowed = {
            "GIT_DIR": folder,
            "GIT_INDEX_FILE": str(checkout / index),
            "GIT_OBJECT_DIRECTORY": str(checkout / objects),
            "GIT_WORK_TREE": str(checkout),
        }
        command = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
        changes = _git(checkout, *_settings(checkout), *command, environment=borrowed)
    if changes is None:
        return f"{commit}, not compared"
    return f"{commit}, edited" if changes else commit


def _write_repository(folder: Path, object_format: str, commit: str) -> None:
    """Make a folder an empty repository that stands at a commit."""
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text(f"{commit}\n", encoding="utf-8")
    version = "repositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
    plain = "repositoryformatversion = 0\n"
    (folder / "config").write_text(f"[core]\n\t{version if object_format == 'sha256' else plain}", encoding="utf-8")


def _settings(checkout: Path) -> list[str]:
    """The harmless settings of a checkout's repository, as options of git."""
    lines = (_git(checkout, "config", "--local", "--get-regexp", _HARMLESS) or "").splitlines()
    pairs = [line.partition(" ") for line in lines]
    return [word for name, _, value in pairs for word in ("-c", f"{name}={value}")]


def _git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The output of a git command, which writes nothing; None where it fails."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", **(environment or {})}
    quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    command = ["git", "-C", str(folder), *quiet, *arguments]
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False, env=dict(variables)
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return process.stdout.strip() if process.returncode == 0 else None
