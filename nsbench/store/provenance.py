"""Where the code came from: nsbench and each plugin, by distribution, version and commit."""

from __future__ import annotations

import importlib.util
import subprocess
from functools import cache
from importlib.metadata import entry_points, version
from pathlib import Path

_PATIENCE = 10.0
"""Seconds that git may take: a checkout may lie on a slow disk."""


@cache
def provenance() -> dict[str, str]:
    """{"nsbench": "nsbench 0.1.0, 6c2ce9b…, edited", plugin: …}: distribution, and commit where it is a checkout."""
    found = {"nsbench": _origin("nsbench", f"nsbench {version('nsbench')}")}
    for point in sorted(entry_points(group="nsbench"), key=lambda p: p.name):
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "not installed"
        found[point.name] = _origin(point.module, distribution)
    return found


def _origin(module: str, distribution: str) -> str:
    spec = importlib.util.find_spec(module.partition(".")[0])
    checkout = _checkout(Path(spec.origin)) if spec and spec.origin else None
    state = git_state(checkout) if checkout else ""
    return f"{distribution}, {state}" if state else distribution


def _checkout(path: Path) -> Path | None:
    """The checkout that a file belongs to; none for what is installed, be it in an environment inside of one."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return None
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


@cache
def git_state(checkout: Path) -> str:
    """The commit, and ", edited" where files differ from it; "" without git or commits."""
    commit = _git(checkout, "rev-parse", "HEAD")
    edited = bool(commit) and _git(checkout, "status", "--porcelain", "--untracked-files=no") != ""
    return f"{commit}, edited" if edited else commit


def _git(folder: Path, *arguments: str) -> str:
    """What git says; "" where it says no. It is kept from running programs that the checkout names."""
    quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    command = ["git", "-C", str(folder), *quiet, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
