"""Manifests: the description of an artifact that lies beside its files, and its verification."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from nsbench.store.files import patiently
from nsbench.store.key import Key, digest_of

MANIFEST = "manifest.json"

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""The errors of a file that is not there, for certain."""


class Damaged(Exception):
    """An artifact whose files are not what its manifest says."""


def verified_manifest(folder: Path, key: Key) -> dict[str, Any]:
    """The manifest of an artifact, verified: its files are all there, unchanged, and no others.

    Raises Damaged for a wrong checksum, a missing and an added file; OSError for what cannot be read, which says
    nothing about it.
    """
    manifest = read_manifest(folder)
    if (manifest["stage"], manifest["key"]) != (key.kind, key.digest) or fields_digest(manifest) != key.digest:
        raise Damaged(f"{folder / MANIFEST} does not belong to its key")
    try:
        found = patiently(lambda: dict(_files(str(folder))))
    except _ABSENT as error:  # another process moved it aside just now
        raise Damaged(f"{folder} is missing") from error
    for name, expected in manifest["files"].items():
        path = folder / name
        if not found.get(name):
            raise Damaged(f"{path} is missing")
        try:
            if patiently(partial(checksum, path)) != expected:
                raise Damaged(f"{path} has changed since it was written")
        except _ABSENT as error:
            raise Damaged(f"{path} is missing") from error
    known = {MANIFEST, *manifest["files"]}
    for name, is_file in found.items():
        if not (is_file and name in known) and not name.rpartition("/")[2].startswith(".nfs"):
            raise Damaged(f"{folder / name} was added after the artifact was written")
    return manifest


def _files(folder: str, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """(name, whether it is a file) of all below a folder that is no folder. A link is neither, whatever it leads to."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.is_file(follow_symlinks=False)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact, as it was written. Its key is not compared with the folder's.

    Raises Damaged, and OSError for what cannot be read.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(patiently(path.read_bytes))
        if manifest.pop("digest") != digest_of(manifest):
            raise Damaged(f"{path} has changed since it was written")
        well_formed = all(isinstance(manifest[name], dict) for name in ("files", "facts", "fields", "environment"))
        well_formed = well_formed and all(isinstance(manifest[name], str) for name in ("stage", "key", "made"))
    except (*_ABSENT, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if not well_formed:
        raise Damaged(f"{path} is no manifest")
    outside = [name for name in manifest["files"] if not is_inside(name)]
    if outside:
        raise Damaged(f"{path} names a file outside of its folder: {outside[0]!r}")
    return manifest


def fields_digest(manifest: dict[str, Any]) -> str:
    """The digest of the key that a manifest's fields make."""
    return Key(manifest["stage"], manifest["fields"]).digest


def is_inside(name: str) -> bool:
    """Whether a file's name, as a path, stays in the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def checksum(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
