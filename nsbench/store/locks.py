"""One process makes an artifact, others wait for it: a lock for each key, on this machine or over a network.

The lock is the file system's own (flock), so that it ends with the process that holds it, however that dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from nsbench.store.files import Busy

_POLL_SECONDS = 0.1
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def held(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold a lock, waiting for it. waiting: called again and again meanwhile; may raise.

    Yields False where the file system has no locks: whoever goes on must bear company. The file goes when
    the lock is given up, so that a workspace does not fill with them.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                locked = _acquire(descriptor, waiting)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                yield False
                return
            if locked and _is_still(path, descriptor):
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)


def held_at_once(path: Path) -> AbstractContextManager[bool]:
    """Hold a lock that nobody else holds; raises Busy where somebody does."""

    def refuse() -> None:
        raise Busy(errno.EAGAIN, "another holds the lock", str(path))

    return held(path, waiting=refuse)


def is_held(path: Path) -> bool:
    """Whether another process holds the lock now. Those who only ask are not taken for holders."""
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
    """Whether the file that was locked is the one that others will find: its last holder may have removed it."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
