"""The memory that this process may use, which is less than the machine has in a container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from nsbench.store.cgroups import folders


def usable_memory(root: Path = Path("/"), machine: int | None = None) -> int:
    """The smaller of the machine's memory and of the limits of this process's control groups, in bytes.

    What cannot be read or understood limits nothing. root: of the file system. machine: the memory that it has.
    """
    return min([machine or psutil.virtual_memory().total, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """The limits of this process's groups and of all that these lie in, in bytes."""
    for folder in folders("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # ValueError also where there is none: "max"
                if (limit := int((folder / name).read_text(encoding="ascii"))) > 0:
                    yield limit
