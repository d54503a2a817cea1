"""Files that are written whole or not at all, and forced to disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of a place that may only be read."""

_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Error numbers of a file system that cannot force folders to disk."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file: write the content beside it, force it to disk, then rename it."""
    with whole(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write a new file to; the file replaces `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Force every file and folder below `folder`, itself included, to disk.

    All at once: a file system with a journal then writes it once for all of them.
    """
    from concurrent.futures import ThreadPoolExecutor

    paths = [*folder.rglob("*"), folder]
    with ThreadPoolExecutor(min(len(paths), 16)) as pool:
        list(pool.map(sync, paths))


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
