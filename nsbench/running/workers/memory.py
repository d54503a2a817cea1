"""The memory that a process's descendants hold, and the number of the kernel's kills for want of memory."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import psutil

from nsbench.store.cgroups import folders

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
    for path in _files_with_kills():
        try:
            words = path.read_text(encoding="utf-8").split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0


@cache
def _files_with_kills() -> list[Path]:
    """The files in which the kernel counts its kills, by version 2 or 1 of cgroups, and for the whole machine."""
    names = ("memory.events", "memory.oom_control")
    files = [folder / name for folder in folders("memory") for name in names]
    return [file for file in (*files, Path("/proc/vmstat")) if file.exists()]
