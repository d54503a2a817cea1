"""The content-addressed store: an artifact's key is the digest of all that it was made from.

    <root>/<stage>/<key>/manifest.json   key fields, checksums, environment, facts
                        /…               the artifact's files

An artifact is there whole or not at all: it is written to a folder of its own, forced to disk, and
renamed. What is read is checked against its checksums; a damaged artifact is moved aside and made again.

Several processes, on several machines, may use a store at once: what two of them make is the same, and the first
to be done has made it. Who uses the store shares a lock, which whoever removes something must have alone
(nsbench/store/inventory.py). A store that may only be read serves what it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from nsbench.components.events import Stage
from nsbench.store.environment import environment
from nsbench.store.files import NOT_WRITABLE, NoLocks, locked, sync, sync_tree
from nsbench.store.provenance import provenance

MANIFEST = "manifest.json"
STAGES: tuple[Stage, ...] = get_args(Stage)

_DAY = 86_400.0


@dataclass(frozen=True)
class Key:
    """What an artifact is made from: plain data, the same wherever and whenever it is made."""

    stage: Stage
    fields: dict[str, Any]

    @cached_property
    def digest(self) -> str:
        return _digest({"stage": self.stage, **self.fields})


@dataclass(frozen=True)
class Artifact:
    """A verified artifact."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.manifest["facts"]
        return facts


@dataclass
class Draft:
    """An artifact in the making: put files into `folder`, and what is worth knowing into `facts`."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)


class Damaged(Exception):
    """An artifact whose files are not what its manifest says."""


class Unwritable(OSError):
    """A store that may only be read, and lacks something."""


class Store:
    """Artifacts by key. notify: told, in words, what a person should know."""

    def __init__(self, root: Path, notify: Callable[[str], None] = lambda message: None) -> None:
        self.root = root
        self._notify = notify
        self._unlocked = False

    def path(self, key: Key) -> Path:
        return self.root / key.stage / key.digest

    def has(self, key: Key) -> bool:
        """Whether the artifact is there; its files are checked when it is read."""
        return (self.path(key) / MANIFEST).is_file()

    def find(self, key: Key) -> Artifact | None:
        """The artifact, verified; None if it is not there, or was damaged and has been moved aside."""
        folder = self.path(key)
        if not folder.is_dir():
            return None
        try:
            found = Artifact(folder, verified_manifest(folder, key))
        except Damaged as damage:
            self.set_aside(key, str(damage))
            return None
        _mark_as_used(folder)
        return found

    def set_aside(self, key: Key, damage: str) -> None:
        """Move an artifact out of the way, and say so. damage: what is wrong with it, in words."""
        folder = self.path(key)
        aside = self.root / "damaged" / f"{key.stage}-{key.digest}-{uuid.uuid4().hex[:8]}"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        except FileNotFoundError:
            return  # another process was first
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            self._notify(f"{damage}; it cannot be moved aside ({error.strerror})")
        else:
            self._notify(f"{damage}; moved to {aside}, it will be made again")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While this lasts nothing is removed from the store."""
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.root / ".lock", shared=True))
            except NoLocks as error:
                if not self._unlocked:
                    self._unlocked = True
                    self._notify(f"{error}: prune nothing here while anybody uses it")
            except OSError as error:
                if error.errno not in NOT_WRITABLE:
                    raise  # where nothing can be written nothing can be removed
            yield

    @contextmanager
    def writing(self, key: Key) -> Iterator[Draft]:
        """A draft that becomes the artifact when the block ends well, and vanishes when it does not.

        Raises Unwritable, before anything is made, where the store may only be read.
        """
        folder = self.root / "drafts" / f"{key.stage}-{key.digest}-{uuid.uuid4().hex}"
        with self.in_use():
            self._begin(folder, key)
            draft = Draft(folder)
            try:
                yield draft
                self._seal(key, draft)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def _begin(self, folder: Path, key: Key) -> None:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            raise Unwritable(
                error.errno,
                f"the {key.stage} {key.digest} is not in the store, and cannot be put there ({error.strerror}); "
                "make it where this may be written, or take another --workspace",
                str(self.root),
            ) from error

    def clear_drafts(self, key: Key) -> None:
        """Remove what is left of processes that died while they wrote this artifact. Only for who holds its lock."""
        for folder in (self.root / "drafts").glob(f"{key.stage}-{key.digest}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _seal(self, key: Key, draft: Draft) -> None:
        files = sorted(p for p in draft.folder.rglob("*") if p.is_file())
        manifest = {
            "stage": key.stage,
            "key": key.digest,
            "fields": key.fields,
            "files": {p.relative_to(draft.folder).as_posix(): _checksum(p) for p in files},
            "facts": draft.facts,
            "environment": environment() | {"code": provenance()},
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        manifest["digest"] = _digest(manifest)
        (draft.folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        sync_tree(draft.folder)
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.folder.rename(target)
        except OSError:
            if not self.has(key):
                raise
            shutil.rmtree(draft.folder, ignore_errors=True)  # another process was first, with the same content
        sync(target.parent)

    def manifests(self, stage: Stage) -> Iterator[dict[str, Any]]:
        """Every readable manifest of a stage."""
        for path in sorted((self.root / stage).glob(f"*/{MANIFEST}")):
            try:
                yield read_manifest(path.parent)
            except Damaged:
                continue  # find() will name it when it is asked for


def _mark_as_used(folder: Path) -> None:
    """Let the manifest's time be that of its last use, to the day: `nsbench cache prune` goes by it."""
    with suppress(OSError):  # where that is not allowed nobody removes anything either
        manifest = folder / MANIFEST
        if time.time() - manifest.stat().st_mtime > _DAY:
            os.utime(manifest)


def verified_manifest(folder: Path, key: Key) -> dict[str, Any]:
    """The manifest of an artifact whose files are all there, unchanged, and nothing else. Raises Damaged."""
    manifest = read_manifest(folder)
    if (manifest["stage"], manifest["key"]) != (key.stage, key.digest) or fields_digest(manifest) != key.digest:
        raise Damaged(f"{folder / MANIFEST} does not belong to its key")
    for name, checksum in manifest["files"].items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise Damaged(f"{path} is missing")
        try:
            found = _checksum(path)
        except OSError as error:
            raise Damaged(f"{path} cannot be read ({error})") from error
        if found != checksum:
            raise Damaged(f"{path} has changed since it was written")
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name not in (MANIFEST, *manifest["files"]) and not path.is_dir() and not path.name.startswith(".nfs"):
            raise Damaged(f"{path} was added after the artifact was written")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an artifact, as it was written; whether it belongs here is not asked. Raises Damaged."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest.pop("digest") != _digest(manifest):
            raise Damaged(f"{path} has changed since it was written")
        well_formed = all(isinstance(manifest[name], dict) for name in ("files", "facts", "fields", "environment"))
        well_formed = well_formed and all(isinstance(manifest[name], str) for name in ("stage", "key", "made"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if not well_formed:
        raise Damaged(f"{path} is no manifest")
    outside = [name for name in manifest["files"] if not _is_inside(name)]
    if outside:
        raise Damaged(f"{path} names a file outside of its folder: {outside[0]!r}")
    return manifest


def fields_digest(manifest: dict[str, Any]) -> str:
    """The key that belongs to a manifest's fields."""
    return Key(manifest["stage"], manifest["fields"]).digest


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _digest(data: dict[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
