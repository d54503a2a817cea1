"""Digests of files that others own, remembered: a file is read once, and again when it has changed.

<folder>/<digest of a folder's path>.json   {file's name: [size, mtime, ctime, inode, SHA-256]}

A file is taken for unchanged while its size, its inode and both of its times, to the nanosecond, are what they were; no
program can set ctime back. A file that was changed within the last two seconds before it was read is not remembered:
clocks of file systems are coarse, and a second change could leave the same times.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nsbench.foreign_files import open_regular
from nsbench.store.files import patiently, write_whole

_SETTLED_NS = 2_000_000_000
_SAVING_SECONDS = 30.0

_Mark = tuple[int, int, int, int]
"""Size, mtime and ctime in nanoseconds, inode."""

_Known = dict[str, tuple[_Mark, str]]
"""A file's name -> its mark when it was read, and its SHA-256."""


@dataclass
class _Memory:
    """What this process knows of files. folder: where it is kept; None for this process only. known: by folder."""

    folder: Path | None = None
    again: bool = False
    known: dict[Path, _Known] = field(default_factory=dict)


_memory = _Memory()


def remember_in(folder: Path | None) -> None:
    """Keep digests in a folder from now on, beside what is known already; None: for as long as the process runs."""
    if folder != _memory.folder:
        _memory.folder, _memory.known = folder, {}


def read_again() -> None:
    """Forget what was remembered by earlier processes: each file is read once more."""
    _memory.again, _memory.known = True, {}


def digests(files: Sequence[Path]) -> list[str]:
    """The SHA-256 of each file's content, in hexadecimal.

    Raises OSError for one that cannot be read, and ValueError for one that is no regular file.
    """
    paths = [Path(os.path.abspath(file)) for file in files]
    changed: set[Path] = set()
    saved, found = time.monotonic(), []
    try:
        for path in paths:
            known = _known(path.parent)
            entry = known.get(path.name)
            if entry is None or entry[0] != _mark(path.stat()):
                entry, settled = _read(path)
                if settled:
                    known[path.name] = entry
                    changed.add(path.parent)
            found.append(entry[1])
            if changed and time.monotonic() - saved > _SAVING_SECONDS:
                _save(changed)
                changed, saved = set(), time.monotonic()
    finally:
        _save(changed)
    return found


def _read(path: Path) -> tuple[tuple[_Mark, str], bool]:
    """The mark and digest of a file, and whether they may be remembered: it was still, and had been for a while."""
    began = time.time_ns()
    with open_regular(path) as content:
        before = _mark(os.fstat(content.fileno()))
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        after = _mark(os.fstat(content.fileno()))
    return (before, digest), before == after and began - before[2] > _SETTLED_NS


def _mark(status: os.stat_result) -> _Mark:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _known(folder: Path) -> _Known:
    """What is known of the files of a folder."""
    if folder not in _memory.known:
        _memory.known[folder] = {} if _memory.again else _load(_file(folder))
    return _memory.known[folder]


def _file(folder: Path) -> Path | None:
    """The file that remembers a folder's files; None where nothing is kept."""
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return None if _memory.folder is None else _memory.folder / f"{name}.json"


def _load(file: Path | None) -> _Known:
    """What a file remembers; nothing where it is not there, or damaged."""
    if file is None:
        return {}
    try:
        entries = json.loads(patiently(file.read_bytes))
        return {
            name: ((size, modified, changed, inode), digest)
            for name, (size, modified, changed, inode, digest) in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(folders: Iterable[Path]) -> None:
    """Write what is known of some folders, where it can be written."""
    for folder in folders:
        if (file := _file(folder)) is None:
            continue
        entries = {
            name: [*mark, digest]
            for name, (mark, digest) in sorted(_memory.known[folder].items())
            if (folder / name).exists()
        }
        with suppress(OSError):  # then the files are read again the next time
            write_whole(file, json.dumps(entries))
