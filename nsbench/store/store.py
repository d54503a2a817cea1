"""The content-addressed store: an artifact's key is the digest of all that it was made from.

    <root>/<kind>/<key>/manifest.json   key fields, checksums, environment, facts
                        /…               the artifact's files

An artifact is there whole or not at all: it is written to a folder of its own, forced to disk, and renamed. Files are
checked against their checksums when an artifact is read; a damaged artifact is moved aside and made again.

Several processes, on several machines, may use a store at once: what two of them make under a key is the same, and the
first to finish puts it there. Users of the store share a lock, which a process that removes something must hold alone
(nsbench/store/inventory.py). A store that may only be read serves the artifacts that it holds.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nsbench.store.environment import recorded_environment
from nsbench.store.files import NOT_WRITABLE, make_folder, share, sync, sync_tree
from nsbench.store.key import ArtifactKind, Key, digest_of
from nsbench.store.locks import NoLocks, locked
from nsbench.store.manifest import MANIFEST, Damaged, checksum, read_manifest, verified_manifest
from nsbench.store.owner import read_owner, this_process

_DAY = 86_400.0

_NOT_SHARED = (
    "its lock cannot be opened, so that nothing protects what is in use: the workspace of a group is a folder that the "
    "group may write to (chmod g+ws) before the first run in it"
)


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
    """An artifact in the making. folder: for its files. facts: values worth knowing, for its manifest."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)


class Unwritable(OSError):
    """A store that may only be read, and lacks an artifact."""


class NotShared(OSError):
    """A store that somebody else made, and that this user may write to but not lock."""


class Store:
    """Artifacts by key. notify: called with messages that a person should read."""

    def __init__(self, root: Path, notify: Callable[[str], None] = lambda message: None) -> None:
        self.root = root
        self._notify = notify

    def path(self, key: Key) -> Path:
        """The folder of the artifact, whether it is there or not."""
        return self.root / key.kind / key.digest

    def has(self, key: Key) -> bool:
        """Whether the artifact is there; its files are checked when it is read."""
        return (self.path(key) / MANIFEST).is_file()

    def find(self, key: Key) -> Artifact | None:
        """The artifact, verified; None if it is not there, or was damaged and has been moved aside.

        Raises OSError for an artifact that cannot be read now, which is no damage.
        """
        folder = self.path(key)
        if not folder.is_dir():
            return None
        try:
            artifact = Artifact(folder, verified_manifest(folder, key))
        except Damaged as damage:
            self.set_aside(key, str(damage), unless=lambda aside: _sound(aside, key) is not None)
            return _sound(folder, key)
        _mark_as_used(folder)
        return artifact

    def set_aside(self, key: Key, damage: str, unless: Callable[[Path], bool] = lambda aside: False) -> None:
        """Move a damaged artifact out of its place, and notify. damage: what is wrong with it, in words.

        unless: asked of what was moved, which goes back if it says so: another process may have made it again since the
        damage was found.
        """
        folder = self.path(key)
        try:
            aside = move_folder_aside(folder, self.root)
        except FileNotFoundError:
            return  # another process was first
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            self._notify(f"{damage}; it cannot be moved aside ({error.strerror})")
            return
        if unless(aside):
            with suppress(OSError):  # a third process may have made it once more
                aside.rename(folder)
            return
        self._notify(f"{damage}; moved to {aside}, it will be made again")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the store's shared lock, so that nothing is removed from the store while the block runs.

        Where the file system has no locks a person is told, once for each block.
        """
        with self._shared() as fault:
            if fault:
                self._notify(f"{fault}: prune nothing here while anybody uses it")
            yield

    @contextmanager
    def _shared(self) -> Iterator[str]:
        """Hold the store's lock, if that can be; yields the reason why the file system has none, "" if it has."""
        with ExitStack() as stack:
            fault = ""
            try:
                stack.enter_context(locked(self.root / ".lock", shared=True))
            except NoLocks as error:
                fault = str(error)
            except OSError as error:
                if error.errno not in NOT_WRITABLE:
                    raise
                if os.access(self.root, os.W_OK):  # something may be removed, and only the lock is out of reach
                    raise NotShared(error.errno, _NOT_SHARED, str(self.root / ".lock")) from error
            yield fault

    @contextmanager
    def writing(self, key: Key) -> Iterator[Draft]:
        """A draft that becomes the artifact when the block ends well, and vanishes when it does not.

        Raises Unwritable, before anything is made, where the store may only be read.
        """
        folder = self.root / "drafts" / f"{key.kind}-{key.digest}-{uuid.uuid4().hex}"
        with self._shared():  # whoever makes much has told of a file system without locks by `in_use`
            self._begin(folder, key)
            draft = Draft(folder)
            try:
                yield draft
                self._seal(key, draft)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            finally:
                owner_file(folder).unlink(missing_ok=True)

    def _begin(self, folder: Path, key: Key) -> None:
        try:
            make_folder(folder.parent)
            owner_file(folder).write_text(this_process().to_text(), encoding="utf-8")
            make_folder(folder)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            raise Unwritable(
                error.errno,
                f"the {key.kind} {key.digest} is not in the store, and cannot be put there ({error.strerror}); "
                "make it where this may be written, or take another --workspace",
                str(self.root),
            ) from error

    def clear_drafts(self, key: Key) -> None:
        """Remove the drafts of processes that died while they wrote this artifact.

        A draft whose maker may be alive stays, whoever holds which lock: file systems differ in what their locks mean.
        """
        for folder in self._drafts(key):
            if is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                owner_file(folder).unlink(missing_ok=True)

    def is_in_draft(self, key: Key) -> bool:
        """Whether anybody who may be alive writes this artifact now: where locks do not hold, two may."""
        return not all(is_abandoned(folder) for folder in self._drafts(key))

    def _drafts(self, key: Key) -> list[Path]:
        return [path for path in (self.root / "drafts").glob(f"{key.kind}-{key.digest}-*") if path.is_dir()]

    def _seal(self, key: Key, draft: Draft) -> None:
        """Write the manifest of a draft, and move the draft to the artifact's place. Raises ValueError for a link."""
        paths = sorted(draft.folder.rglob("*"))
        for path in paths:
            if path.is_symlink():
                name = path.relative_to(draft.folder)
                raise ValueError(f"an artifact holds files and folders, and {name} is a link: save what it leads to")
            if path.is_dir():
                share(path)
        manifest = {
            "stage": key.kind,
            "key": key.digest,
            "fields": key.fields,
            "files": {p.relative_to(draft.folder).as_posix(): checksum(p) for p in paths if p.is_file()},
            "facts": draft.facts,
            "environment": recorded_environment(),
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        manifest["digest"] = digest_of(manifest)
        (draft.folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        sync_tree(draft.folder)
        share(draft.folder / MANIFEST)  # whoever reads the artifact notes the day in it
        target = self.path(key)
        is_new = not target.parent.is_dir()
        make_folder(target.parent)
        if is_new:
            sync(self.root)
        try:
            draft.folder.rename(target)
        except OSError:
            if not self.has(key):
                raise
            shutil.rmtree(draft.folder, ignore_errors=True)  # another process was first, with the same content
        sync(target.parent)

    def manifests(self, kind: ArtifactKind) -> Iterator[dict[str, Any]]:
        """Every readable manifest of a kind."""
        for path in sorted((self.root / kind).glob(f"*/{MANIFEST}")):
            try:
                yield read_manifest(path.parent)
            except (Damaged, OSError):
                continue  # find() will name it when it is asked for


def owner_file(draft: Path) -> Path:
    """The file that names the process which makes a draft, beside its folder."""
    return draft.with_name(f"{draft.name}.owner")


def is_abandoned(draft: Path) -> bool:
    """Whether nobody will finish a draft: its maker is gone for certain, or nothing in it was touched for a day."""
    try:
        owner = read_owner(owner_file(draft).read_text(encoding="utf-8"))
    except OSError:
        owner = None
    if owner is not None and owner.is_gone():
        return True
    with suppress(OSError):  # it became an artifact just now
        times = [path.lstat().st_mtime for path in (draft, *draft.rglob("*"))]
        return time.time() - max(times) > _DAY
    return False


def _sound(folder: Path, key: Key) -> Artifact | None:
    """The artifact in a folder; None if it is damaged."""
    try:
        return Artifact(folder, verified_manifest(folder, key))
    except Damaged:
        return None


def move_folder_aside(folder: Path, root: Path) -> Path:
    """Move an artifact's folder to the damaged ones of a store; returns its new place."""
    aside = root / "damaged" / f"{folder.parent.name}-{folder.name}-{uuid.uuid4().hex[:8]}"
    make_folder(aside.parent)
    return folder.rename(aside)


def _mark_as_used(folder: Path) -> None:
    """Set the time of the manifest to now, at most once a day: `nsbench cache prune` reads it as the last use."""
    with suppress(OSError):
        manifest = folder / MANIFEST
        if time.time() - manifest.stat().st_mtime > _DAY:
            os.utime(manifest)
