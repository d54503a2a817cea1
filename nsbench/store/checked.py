"""Files of unfinished work with a checksum at their end: what was damaged meanwhile is found before it is used.

The store's artifacts have their checksums in a manifest; checkpoints, journals and finished parts have no artifact yet.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nsbench.store.files import patiently, whole
from nsbench.store.manifest import Damaged

_MARK = b"\nsha256:"
ASIDE = ".damaged-"
"""The part of a name that tells what was set aside."""

_TAIL = len(_MARK) + 64


@contextmanager
def whole_checked(path: Path) -> Iterator[Path]:
    """As ``files.whole``, with a checksum added at the file's end, where HDF5 passes it over."""
    with whole(path, lasting=False) as draft:  # of unfinished work the earlier state serves as well
        yield draft
        with draft.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.write(_MARK + digest.encode())


def write_checked(path: Path, content: bytes) -> None:
    """Replace a file by content with a checksum at its end, whole or not at all."""
    with whole_checked(path) as draft:
        draft.write_bytes(content)


def read_checked(path: Path) -> bytes:
    """The content of a file that ``write_checked`` wrote. Raises Damaged where it has changed since."""
    content = patiently(path.read_bytes)
    body, tail = content[:-_TAIL], content[-_TAIL:]
    if tail != _MARK + hashlib.sha256(body).hexdigest().encode():
        raise Damaged(f"{path} has changed since it was written")
    return body


def verify_checked(path: Path) -> None:
    """Raise Damaged where a file that was written with a checksum has changed since. It is not kept in memory."""

    def digests() -> tuple[bytes, bytes]:
        hashed = hashlib.sha256()
        with path.open("rb") as file:
            left = max(0, path.stat().st_size - _TAIL)
            while block := file.read(min(left, 1 << 20)):
                hashed.update(block)
                left -= len(block)
            return _MARK + hashed.hexdigest().encode(), file.read()

    expected, tail = patiently(digests)
    if tail != expected:
        raise Damaged(f"{path} has changed since it was written")


def set_file_aside(path: Path) -> Path:
    """Move a damaged file or folder of unfinished work out of its place, beside it; returns its new path."""
    aside = path.with_name(f"{path.name}{ASIDE}{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):  # another process was first
        path.rename(aside)
    return aside
