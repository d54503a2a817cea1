"""Files are written whole or not at all, and on disk when that is said."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says of a place that may only be read."""


_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


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
