"""Files are written whole or not at all; a lock keeps processes apart, on one machine or on several.

Locks are flock's: released when a process ends, however it ends. Over NFS Linux turns them into byte-range locks of
the server, so that they hold between machines too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says of a place that may only be read."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class NoLocks(OSError):
    """A file system without locks."""


class Busy(OSError):
    """A lock that another process holds."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file: written beside it, on disk, then renamed."""
    with whole(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write a new file to, which takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Have every file and folder below `folder`, itself included, on disk.

    All at once: a file system that keeps a journal then writes it once for all of them.
    """
    from concurrent.futures import ThreadPoolExecutor

    paths = [*folder.rglob("*"), folder]
    with ThreadPoolExecutor(min(len(paths), 16)) as pool:
        list(pool.map(sync, paths))


def sync(path: Path) -> None:
    """Have a file's content, or a folder's list of names, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC or not path.is_dir():  # some network file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a file's lock; released when the block, or the process, ends.

    shared: others may hold it too, if they share it. wait: for as long as somebody else holds it; if not, that
    raises Busy. Raises NoLocks where the file system has none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:  # NFS wants a file that is open for reading to share it, for writing to have it alone
        _lock(file, path, shared, wait)
        yield


def _lock(file: IO[str], path: Path, shared: bool, wait: bool) -> None:
    import fcntl

    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, how)
    except BlockingIOError as error:
        raise Busy(error.errno, "another process holds the lock", str(path)) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            text = "this file system has no locks (over NFS: mount it with locks, and run its lock service)"
            raise NoLocks(error.errno, text, str(path)) from error
        raise
