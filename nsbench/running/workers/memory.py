"""The memory that a process's descendants hold, and the number of the kernel's kills for want of memory."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

_LISTING_SECONDS = 1.0
"""Seconds between two searches for new descendants; known ones are read every time."""


class DescendantsMemory:
    """The resident memory of a process's descendants, summed: a page that they share counts for each."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._children: list[psutil.Process] = []
        self._listed = float("-inf")

    def read(self) -> int:
        """The memory held now, in bytes."""
        if time.monotonic() - self._listed > _LISTING_SECONDS:
            self._listed = time.monotonic()
            self._children = _descendants(self._root)
        return sum(_resident(process) for process in self._children)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended
        return 0


def kernel_kills() -> int:
    """The number of the kernel's kills for want of memory: in this process's cgroup, else on the machine, else 0."""
    for path in [*_cgroup_files(), Path("/proc/vmstat")]:
        try:
            words = path.read_text(encoding="utf-8").split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0


def _cgroup_files() -> list[Path]:
    """The files in which this process's cgroup counts kills, by version 2 or 1 of cgroups."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    root, files = Path("/sys/fs/cgroup"), []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            files.append(root / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            files.append(root / "memory" / path.lstrip("/") / "memory.oom_control")
    return files
