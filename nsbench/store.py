"""The content-addressed store: an artifact's key is the digest of all that it was made from.

    <root>/<stage>/<key>/manifest.json   key fields, checksums, environment, facts
                        /…               the artifact's files

An artifact is there whole or not at all: it is written to a folder of its own, forced to disk, and
renamed. What is read is checked against its checksums; a damaged artifact is moved aside and made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nsbench.environment import environment
from nsbench.events import Stage
from nsbench.files import sync, sync_tree

MANIFEST = "manifest.json"


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


class Store:
    """Artifacts by key. notify: told, in words, what a person should know."""

    def __init__(self, root: Path, notify: Callable[[str], None] = lambda message: None) -> None:
        self.root = root
        self._notify = notify

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
            return Artifact(folder, verified_manifest(folder, key))
        except Damaged as damage:
            aside = self.root / "damaged" / f"{key.stage}-{key.digest}-{uuid.uuid4().hex[:8]}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
            self._notify(f"{damage}; moved to {aside}, it will be made again")
            return None

    @contextmanager
    def writing(self, key: Key) -> Iterator[Draft]:
        """A draft that becomes the artifact when the block ends well, and vanishes when it does not."""
        folder = self.root / "drafts" / f"{key.stage}-{key.digest}-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        draft = Draft(folder)
        try:
            yield draft
            self._seal(key, draft)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

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
            "environment": environment(),
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
            shutil.rmtree(draft.folder)  # another process was first, with the same content
        sync(target.parent)

    def manifests(self, stage: Stage) -> Iterator[dict[str, Any]]:
        """Every readable manifest of a stage."""
        for path in sorted((self.root / stage).glob(f"*/{MANIFEST}")):
            try:
                yield json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # find() will name it when it is asked for


def verified_manifest(folder: Path, key: Key) -> dict[str, Any]:
    """The manifest of an artifact whose files are all there and unchanged. Raises Damaged."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files, fields = manifest["files"], manifest["fields"]
        if not isinstance(manifest["facts"], dict) or Key(key.stage, fields).digest != key.digest:
            raise Damaged(f"{folder / MANIFEST} does not belong to its key")
        if manifest.pop("digest") != _digest(manifest):
            raise Damaged(f"{folder / MANIFEST} has changed since it was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{folder / MANIFEST} cannot be read ({type(error).__name__}: {error})") from error
    for name, checksum in files.items():
        path = folder / name
        if not path.is_file():
            raise Damaged(f"{path} is missing")
        if _checksum(path) != checksum:
            raise Damaged(f"{path} has changed since it was written")
    return manifest


def _digest(data: dict[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
