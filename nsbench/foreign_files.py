"""Files of others: opened without waiting, and read within limits.

A path may lead to a pipe that nobody writes to, to a device that never ends, or to a file whose size is a mere claim.
Nothing here waits, reads without end, or reserves memory for what the disk does not hold.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from functools import cache
from io import BufferedReader
from pathlib import Path

from nsbench.quantities import size_text

MOST_PACKED = 1100
"""The most bytes that one stored byte may stand for: zlib, the densest packing that is read, gets to 1,032."""

SLACK = 1 << 20
"""Bytes for which no ratio is asked."""

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link"}


def kind_of(mode: int) -> str:
    """What a path leads to, in words, by the mode of its status: "a file", "a pipe", "a device", …"""
    return "a file" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "a device")


def require_regular(path: Path) -> None:
    """Raise ValueError unless a path leads to a regular file of which the disk holds what its size says.

    A file may be all hole: 2^60 bytes that are nowhere. Some file systems pack what they store, some do not say how
    much that is; so a file is refused only if it is packed beyond belief and the system itself shows a hole in it.
    Raises OSError where there is no such file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"must be a file, is {kind_of(status.st_mode)}")
    stored = status.st_blocks * 512
    if is_packed_beyond_belief(status.st_size, stored) and _has_a_hole(path, status.st_size):
        raise ValueError(
            f"says {size_text(status.st_size)} and holds {size_text(stored)}: most of it was never written"
        )


def is_packed_beyond_belief(size: int, stored: int) -> bool:
    """Whether so few stored bytes cannot hold this size, however they are packed."""
    return size > MOST_PACKED * stored + SLACK


def _has_a_hole(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE) < size


def open_regular(path: Path) -> BufferedReader:
    """A regular file, open to be read. Raises ValueError for anything else, and OSError. It waits for no writer."""
    require_regular(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):  # it was exchanged in between
        os.close(descriptor)
        raise ValueError(f"must be a file, is {kind_of(mode)}")
    return os.fdopen(descriptor, "rb")


def require_memory(need: int, what: str) -> None:
    """Raise ValueError where something needs more memory than this process can have."""
    if need > (most := memory()):
        raise ValueError(f"{what} asks for {size_text(need)} of memory, there are {size_text(most)}")


@cache
def memory() -> int:
    """The memory that this process can have at most: of the machine, or of the container that it runs in."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    files = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    return min([physical, *_numbers_in(map(Path, files))])


def _numbers_in(paths: Iterable[Path]) -> list[int]:
    """The numbers in those of the files that are there and hold one."""
    numbers = []
    for path in paths:
        try:
            numbers.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or no limit: "max"
            continue
    return numbers
