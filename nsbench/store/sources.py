"""Sources: the files behind the digests of code, kept so that a digest can be opened again.

    <store>/sources/<digest>.json        the targets of the digest, and the SHA-256 of each of its files
    <store>/sources/blobs/<SHA-256>.gz   the content of a file, once, however many digests it is in

Blobs come first and a listing last, each written whole: a listing that is there can be opened. Both are checked when
they are read. Who removes some holds the store alone (nsbench/store/inventory.py).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nsbench.store.files import make_folder, patiently, share, sync, sync_tree
from nsbench.store.key import digest_of
from nsbench.store.manifest import Damaged, is_inside

MAX_BYTES = 64 << 20
"""The size up to which a file is kept; a larger one, as only compiled extensions are, is listed as left out."""

_DIGEST = re.compile(r"(\w+:)?[0-9a-f]{32}")
_DAY = 86_400.0


@dataclass(frozen=True)
class Listing:
    """The files behind a digest.

    targets: "module:name" texts, of which it is the digest. files: path, as imports name it, -> SHA-256. left_out:
    path -> bytes, of files that are too large to keep.
    """

    digest: str
    targets: tuple[str, ...]
    files: dict[str, str]
    left_out: dict[str, int]


def has_listing(root: Path, digest: str) -> bool:
    """Whether the sources of a digest are in the store."""
    return _path(root, digest).is_file()


def keep(root: Path, sources: Iterable[tuple[str, tuple[str, ...], Mapping[str, bytes | int]]]) -> None:
    """Put sources into the store, whole or not at all: (digest, targets, the files by their paths).

    A file is its content, or the size of one that is too large.
    """
    draft = root / "drafts" / f"sources-{uuid.uuid4().hex}"
    make_folder(draft / "blobs")
    try:
        for digest, targets, contents in sources:
            whole = sorted((path, content) for path, content in contents.items() if isinstance(content, bytes))
            left_out = {path: size for path, size in sorted(contents.items()) if isinstance(size, int)}
            files = {path: _write_blob(root, draft, content) for path, content in whole}
            _write_listing(draft, Listing(digest, targets, files, left_out))
        sync_tree(draft)
        _move(draft / "blobs", root / "sources" / "blobs")
        _move(draft, root / "sources")
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_blob(root: Path, draft: Path, content: bytes) -> str:
    """Write a file's content to the draft, unless it is kept already; returns its SHA-256."""
    checksum = hashlib.sha256(content).hexdigest()
    path = draft / "blobs" / f"{checksum}.gz"
    if not _blob(root, checksum).is_file() and not path.is_file():
        path.write_bytes(gzip.compress(content, mtime=0))
    return checksum


def _write_listing(draft: Path, listing: Listing) -> None:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(listing)))
    plain["checksum"] = digest_of(plain)
    (draft / _path(draft, listing.digest).name).write_text(json.dumps(plain, indent=1), encoding="utf-8")


def _move(folder: Path, target: Path) -> None:
    """Move the files of a folder to another, replacing those of the same name, which hold the same."""
    make_folder(target)
    for file in folder.iterdir():
        if file.is_file():
            share(file.replace(target / file.name))
    sync(target)


def read_listing(root: Path, digest: str) -> Listing | None:
    """The files behind a digest; None if they were never kept. Raises Damaged, and OSError for what cannot be read."""
    path = _path(root, digest)
    return _read(path) if path.is_file() else None


def _read(path: Path) -> Listing:
    try:
        plain: dict[str, Any] = json.loads(patiently(path.read_bytes))
        checksum = plain.pop("checksum")
        listing = Listing(plain["digest"], tuple(plain["targets"]), dict(plain["files"]), dict(plain["left_out"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if checksum != digest_of(plain) or path.name != _path(path.parent, listing.digest).name:
        raise Damaged(f"{path} has changed since it was written")
    if outside := [name for name in listing.files if not is_inside(name)]:
        raise Damaged(f"{path} names a file outside of its folder: {outside[0]!r}")
    return listing


def content(root: Path, checksum: str) -> bytes:
    """The content of a kept file. Raises Damaged, which names the blob, and OSError for one that cannot be read."""
    path = _blob(root, checksum)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(patiently(path.read_bytes))) as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise Damaged(f"{path} has changed since it was written")
    return data


def named_digests(fields: Any) -> set[str]:
    """The digests of code that a key's fields name, wherever they stand in them."""
    if isinstance(fields, dict):
        source = fields.get("source")
        digests = {source} if isinstance(source, str) and _DIGEST.fullmatch(source) else set()
        return digests.union(*(named_digests(value) for value in fields.values()))
    return set().union(*(named_digests(value) for value in fields)) if isinstance(fields, list) else set()


def listing_files(root: Path) -> list[Path]:
    """The files of all listings of a store."""
    return sorted((root / "sources").glob("*.json"))


def blobs_of(root: Path, path: Path) -> set[Path]:
    """The blobs that a listing's file names; none if it is damaged. Raises OSError."""
    try:
        return {_blob(root, checksum) for checksum in _read(path).files.values()}
    except Damaged:
        return set()


def in_words(path: Path) -> str:
    """A listing's file in words: the targets of its digest; "" if it is damaged. Raises OSError."""
    try:
        return f"sources of {', '.join(_read(path).targets)}"
    except Damaged:
        return ""


def digest_at(path: Path) -> str:
    """The digest whose listing a file is, by its name."""
    return path.stem.replace("-", ":", 1)


def damage(root: Path) -> Iterator[tuple[Path, Damaged | OSError]]:
    """Every damaged listing, and every damaged or missing blob that a listing names, each with what is wrong.

    An OSError says that a file could not be read, and nothing of what it holds.
    """
    read: set[str] = set()
    for path in listing_files(root):
        try:
            listing = _read(path)
        except (Damaged, OSError) as fault:
            yield path, fault
            continue
        for checksum in sorted(set(listing.files.values()) - read):
            read.add(checksum)
            try:
                content(root, checksum)
            except (Damaged, OSError) as fault:
                yield _blob(root, checksum), fault


def discard(root: Path, damaged: Path) -> None:
    """Remove a damaged listing; or a damaged blob, and the listings that name it. Runs of that code keep it again."""
    for path in listing_files(root):
        if damaged in blobs_of(root, path):
            path.unlink(missing_ok=True)
    damaged.unlink(missing_ok=True)


def sweep(root: Path, *, locks: bool) -> None:
    """Remove the blobs that no listing names; none where a listing cannot be read. Call while holding the store alone.

    locks: whether the file system has locks; without, blobs that were written within a day stay.
    """
    try:
        named: set[Path] = set().union(*(blobs_of(root, path) for path in listing_files(root)))
    except OSError:
        return
    for path in (root / "sources" / "blobs").glob("*.gz"):
        if path not in named and (locks or time.time() - path.stat().st_mtime > _DAY):
            path.unlink()


def _path(root: Path, digest: str) -> Path:
    """The file of a digest's listing: "merkle1:0f…" is merkle1-0f….json."""
    return root / "sources" / f"{digest.replace(':', '-', 1)}.json"


def _blob(root: Path, checksum: str) -> Path:
    return root / "sources" / "blobs" / f"{checksum}.gz"
