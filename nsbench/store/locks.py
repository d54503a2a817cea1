"""Locks that keep processes apart, on one machine or on several.

They are the file system's own (flock): a lock ends with the process that holds it, however that dies. Over NFS Linux
turns them into byte-range locks of the server, so that they hold between machines too. `locked` locks a file that
stays; `held` locks a file for an artifact that is being made, and removes the file when the lock is released.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.1

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""Error numbers of a file system without locks."""


class NoLocks(OSError):
    """A file system without locks."""


class Busy(OSError):
    """A lock that another process holds."""


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a file's lock; released when the block, or the process, ends.

    shared: other processes may hold it too, if they share it. wait: wait while another process holds it; if False,
    raise Busy instead. Raises NoLocks where the file system has none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:  # NFS wants a file that is open for reading to share it, for writing to have it alone
        _lock(file, path, shared, wait)
        yield


def _lock(file: IO[str], path: Path, shared: bool, wait: bool) -> None:
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, operation)
    except BlockingIOError as error:
        raise Busy(error.errno, "another process holds the lock", str(path)) from error
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            text = "this file system has no locks (over NFS: mount it with locks, and run its lock service)"
            raise NoLocks(error.errno, text, str(path)) from error
        raise


@contextmanager
def held(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold a lock, waiting for it. waiting: called again and again meanwhile; may raise.

    Yields False where the file system has no locks; another process may then do the same work. The file is
    removed when the lock is released, so that a workspace does not fill with them.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                acquired = _acquire(descriptor, waiting)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                yield False
                return
            if acquired and _is_still(path, descriptor):
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)


def held_at_once(path: Path) -> AbstractContextManager[bool]:
    """Hold a lock without waiting for it. Raises Busy if another process holds it."""

    def refuse() -> None:
        raise Busy(errno.EAGAIN, "another holds the lock", str(path))

    return held(path, waiting=refuse)


def is_held(path: Path) -> bool:
    """Whether another process holds the lock now. Processes that only ask are not taken for holders."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int, waiting: Callable[[], None]) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            waiting()
            time.sleep(_POLL_SECONDS)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that was locked is still the one at its path: its last holder may have removed it."""
    try:
        at_path = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(descriptor)
    return (at_path.st_dev, at_path.st_ino) == (opened.st_dev, opened.st_ino)
