"""Files that are written whole or not at all, forced to disk, and shared with whom their folder is shared with."""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of a place that may only be read."""

_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Error numbers of a file system that cannot force folders to disk."""

_PASSING = (
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES),
    *(errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY),
)
"""Error numbers that may be gone at the next try: of a network's file system, of a process short of descriptors."""

_PAUSES = (0.05, 0.2, 0.5)
"""Seconds before each further try."""


def patiently(read: Callable[[], T]) -> T:
    """What a function returns that only reads; it is called again, a few times, where an error may pass."""
    for pause in _PAUSES:
        try:
            return read()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            time.sleep(pause)
    return read()


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file: write the content beside it, force it to disk, then rename it."""
    with whole(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """A path to write a new file to; the file replaces `path` when the block ends well.

    The path is nobody else's: not another thread's, nor a process's of the same number in another container. lasting:
    if False a lost machine may leave the earlier file, whole too.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        yield draft
        sync(draft)
        share(draft)
        draft.replace(path)
        if lasting:
            sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def short_place(places: Iterable[str], longest: int) -> str | None:
    """The first of some folders that can be written to and whose path has at most so many bytes; None without one.

    The path of a Unix socket has little room.
    """
    fits = (place for place in places if place and len(os.fsencode(place)) <= longest)
    return next((place for place in fits if os.access(place, os.W_OK | os.X_OK)), None)


def make_folder(folder: Path) -> None:
    """Make a folder, and those around it, where they are missing; each is shared as the one around it is."""
    if os.path.isdir(folder):  # in a third of the time of the path's own method, and asked for every file
        return
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        try:
            path.mkdir(exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        share(path)


def share(path: Path) -> None:
    """Let others write to what this process has just made, if they may write to the folder that it lies in.

    So a workspace is a group's if its folder is, whatever each member's umask.
    """
    around = path.parent.stat().st_mode
    if around & stat.S_ISVTX:  # as in /tmp: what anybody may add to is not everybody's to change
        return
    now = path.stat().st_mode
    wanted = now | (around & (stat.S_IWGRP | stat.S_IWOTH))
    if wanted != now:
        with suppress(PermissionError):  # another process made it
            path.chmod(stat.S_IMODE(wanted))


def sync_tree(folder: Path) -> None:
    """Force every file and folder below `folder`, itself included, to disk.

    All at once: a file system with a journal then writes it once for all of them.
    """
    list(_pool(os.getpid()).map(sync, [*folder.rglob("*"), folder]))


@cache
def _pool(pid: int) -> ThreadPoolExecutor:
    """Threads that wait for the disk. They are a process's own: a fork of it has none of them."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(16, "nsbench-sync")


def sync(path: Path) -> None:
    """Force a file's content, or a folder's list of names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC or not path.is_dir():  # some network file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)
