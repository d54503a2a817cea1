"""The control groups of this process: folders of the kernel's files, in which limits stand and events are counted.

A container is such a group. What it sees of the hierarchy depends on how it was started: all of it, its own part under
the names of the host, or its own part as if that were all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def folders(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """The folders of this process's groups and of those around them, by version 2 or 1, innermost first.

    controller: as version 1 names it, e.g. "cpu"; version 2 has one hierarchy for all. root: of the file system. A
    folder need not exist.
    """
    paths = dict(_paths(root))
    for top, mounted, kind, controllers in _mounts(root):
        path = paths.get("" if kind == "cgroup2" else controller)
        if path is not None and (kind == "cgroup2" or controller in controllers):
            below = _below(path, top)
            yield from (root / str(mounted / part).lstrip("/") for part in (below, *below.parents))


def _below(path: str, top: str) -> PurePosixPath:
    """A group's path from the group that is mounted on; "." where it is not below that, as seen from a container."""
    below = PurePosixPath(os.path.relpath(path, top))
    return PurePosixPath() if ".." in (*below.parts, *PurePosixPath(path).parts) else below


def _paths(root: Path) -> Iterator[tuple[str, str]]:
    """(controller, path) of each of this process's groups; the controller of version 2 is ""."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if path.startswith("/"):
            yield from ((name, path) for name in controllers.split(","))


def _mounts(root: Path) -> Iterator[tuple[str, PurePosixPath, str, list[str]]]:
    """(group that is mounted, where, "cgroup" or "cgroup2", controllers) of each mounted hierarchy."""
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, what = line.partition(" - ")
        places, kinds = place.split(" "), what.split(" ")
        if len(places) > 4 and kinds[0] in ("cgroup", "cgroup2") and places[3].startswith("/"):
            yield _plain(places[3]), PurePosixPath(_plain(places[4])), kinds[0], kinds[-1].split(",")


def _plain(text: str) -> str:
    """A path of mountinfo, in which a space is written as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _lines(path: Path) -> list[str]:
    """The lines of one of the kernel's files; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:
        return []
