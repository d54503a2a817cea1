"""Locks that keep processes apart, on one machine or on several.

They are the file system's own (flock): a lock ends with the process that holds it, however that dies. Over NFS Linux
turns them into byte-range locks of the server, so that they hold between machines too. `locked` locks a file that
stays; `held` locks a file for an artifact that is being made, and removes the file when the lock is released.

A lock's file can be opened by everybody who may write to its folder, whatever the umask of who made it. `held` writes
the holder into it, for those who wait.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from nsbench.store.files import make_folder
from nsbench.store.owner import Owner, read_owner, this_process

_POLL_SECONDS = 0.1

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""Error numbers of a file system without locks."""

_HOLDER_BYTES = 4096


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
    descriptor = _open(path)  # for reading and writing: NFS wants the one to share a lock, the other to have it alone
    try:
        _lock(descriptor, path, shared, wait)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # said in so many words: a child may have inherited the descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked_if_possible(path: Path) -> Iterator[bool]:
    """Hold a file's lock alone; yields False, holding nothing, where the file system has no locks."""
    try:
        lock = locked(path)
        lock.__enter__()
    except NoLocks:
        yield False
        return
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)


def _open(path: Path) -> int:
    """A descriptor of a lock's file, which is made if it is missing, for all who may write to its folder."""
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with suppress(OSError):
        os.fchmod(descriptor, 0o666)
    return descriptor


def _lock(descriptor: int, path: Path, shared: bool, wait: bool) -> None:
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError as error:
        raise Busy(error.errno, "another process holds the lock", str(path)) from error
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            text = "this file system has no locks (over NFS: mount it with locks, and run its lock service)"
            raise NoLocks(error.errno, text, str(path)) from error
        raise


@contextmanager
def held(
    path: Path, *, waiting: Callable[[Owner | None], None] = lambda holder: None, named: bool = True
) -> Iterator[bool]:
    """Hold a lock, waiting for it. waiting: called with the holder, again and again meanwhile; may raise.

    named: write this process into the file, for those who wait. Yields False where the file system has no locks;
    another process may then do the same work. The file is removed when the lock is released, so that a workspace does
    not fill with them.
    """
    while True:
        descriptor = _open(path)
        try:
            try:
                _acquire(descriptor, waiting)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                yield False
                return
            if _is_still(path, descriptor):
                if named:
                    _write_holder(descriptor)
                try:
                    yield True
                finally:
                    with suppress(PermissionError):  # a folder in which each removes only what is his
                        path.unlink(missing_ok=True)
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
                return
        finally:
            os.close(descriptor)


def held_at_once(path: Path) -> AbstractContextManager[bool]:
    """Hold a lock without waiting for it. Raises Busy if another process holds it."""

    def refuse(holder: Owner | None) -> None:
        raise Busy(errno.EAGAIN, "another holds the lock", str(path))

    return held(path, waiting=refuse, named=False)


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
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int, waiting: Callable[[Owner | None], None]) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waiting(_read_holder(descriptor))
            time.sleep(_POLL_SECONDS)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that was locked is still the one at its path: its last holder may have removed it.

    The path is opened afresh: a network's file system answers from memory when it is only asked about it.
    """
    try:
        there = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        at_path, opened = os.fstat(there), os.fstat(descriptor)
    finally:
        os.close(there)
    return (at_path.st_dev, at_path.st_ino) == (opened.st_dev, opened.st_ino)


def _write_holder(descriptor: int) -> None:
    """Write this process into a lock's file; a disk that is full keeps nobody from holding the lock."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, this_process().to_text().encode(), 0)


def _read_holder(descriptor: int) -> Owner | None:
    """The holder that a lock's file names; None if it names none yet."""
    try:
        return read_owner(os.pread(descriptor, _HOLDER_BYTES, 0).decode(errors="replace"))
    except OSError:
        return None
