"""What lies in a workspace's store: how much, how old, in whose use, whether unharmed; and what may go.

Nothing is removed while somebody uses the store: they share a lock which removal must have alone. Where a file
system has no locks, what was touched within a day is taken to be in use.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from nsbench.store.key import ARTIFACT_KINDS, ArtifactKind, Key
from nsbench.store.locks import NoLocks, locked
from nsbench.store.manifest import MANIFEST, Damaged, read_manifest, verified_manifest
from nsbench.store.store import move_folder_aside
from nsbench.store.workspace import Workspace

Leftover = Literal["draft", "damaged", "finished fit", "unfinished fit"]

_KEY = re.compile(r"[0-9a-f]{32}")
_DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """A folder of the workspace that can be kept or removed as one.

    what: in words. made, used: seconds since 1970. suites: whose results name it. fault: why its manifest
    cannot be read, "" if it can.
    """

    kind: ArtifactKind | Leftover
    key: str
    folder: Path
    size: int
    made: float
    used: float
    what: str = ""
    suites: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Pruning:
    """What would go, and why each of them."""

    removed: tuple[tuple[Entry, str], ...]

    @property
    def size(self) -> int:
        return sum(entry.size for entry, _ in self.removed)


def artifacts(workspace: Workspace, suites: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> list[Entry]:
    """Every artifact of the store, kind by kind; of one whose manifest is damaged, as much as can be said.

    suites: {key: the suites whose results name it}.
    """
    names = _Names(workspace.store)
    return [
        _artifact(folder, kind, names, suites.get(folder.name, ()))
        for kind in ARTIFACT_KINDS
        for folder in _folders(workspace.store / kind)
        if _KEY.fullmatch(folder.name)
    ]


def _artifact(folder: Path, kind: ArtifactKind, names: _Names, suites: tuple[str, ...]) -> Entry:
    fault, what = "", ""
    try:
        what = names.of(kind, read_manifest(folder)["fields"])
    except Damaged as damage:
        fault = str(damage)
    times = _times(folder)
    manifest = folder / MANIFEST
    used = manifest.stat().st_mtime if manifest.exists() else max(times)
    return Entry(kind, folder.name, folder, _size(folder), min(times), used, what, suites, fault)


class _Names:
    """Artifacts in words: evidence and scores name their simulator through the keys of what they came from."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[ArtifactKind, str], str] = {}

    def of(self, kind: ArtifactKind, fields: dict[str, Any]) -> str:
        match kind:
            case "data":
                return f"{fields.get('split')} data of {fields.get('name')}"
            case "model":
                return f"fit of {fields.get('name')}"
            case "evidence":
                return f"rollouts of {self._simulator('model', fields.get('model'))}"
            case "score":
                return f"{fields.get('name')} of {self._simulator('evidence', fields.get('evidence'))}"

    def _simulator(self, kind: ArtifactKind, key: object) -> str:
        if isinstance(key, dict):
            return str(key.get("null"))  # of null models the key holds how they are made
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            return "?"
        if (kind, key) not in self._known:
            self._known[kind, key] = self._looked_up(kind, key)
        return self._known[kind, key]

    def _looked_up(self, kind: ArtifactKind, key: str) -> str:
        try:
            fields = read_manifest(self._root / kind / key)["fields"]
        except Damaged:
            return "?"  # removed, or not to be trusted
        return str(fields.get("name")) if kind == "model" else self._simulator("model", fields.get("model"))


def leftovers(workspace: Workspace) -> list[Entry]:
    """What is no artifact: drafts that nobody finished, what was moved aside, and the work of fits."""
    found: list[Entry] = []
    for folder in _folders(workspace.store / "drafts"):
        found.append(_leftover("draft", folder))
    for folder in _folders(workspace.store / "damaged"):
        found.append(_leftover("damaged", folder))
    for folder in _folders(workspace.work):
        finished = any((workspace.store / kind / folder.name / MANIFEST).is_file() for kind in ("model", "data"))
        found.append(_leftover("finished fit" if finished else "unfinished fit", folder))
    return found


def _leftover(kind: Leftover, folder: Path) -> Entry:
    times = _times(folder)
    return Entry(kind, folder.name, folder, _size(folder), min(times), max(times))


def prunable(workspace: Workspace, *, older_than: float | None = None, keep: Collection[str] | None = None) -> Pruning:
    """What may go: drafts, damaged artifacts and the work of finished fits always; artifacts and unfinished fits
    if told which: those that were not used for so long and are not kept.

    older_than: seconds, 0 if only `keep` is given. keep: keys, none if only `older_than` is given.
    """
    left = leftovers(workspace)
    removed = [(entry, _REASONS[entry.kind]) for entry in left if entry.kind in _REASONS]
    if older_than is not None or keep is not None:
        rest = [*artifacts(workspace), *(entry for entry in left if entry.kind == "unfinished fit")]
        since = time.time() - (older_than or 0.0)
        why = "no kept suite needs it, last used " if keep is not None else "last used "
        removed += [(e, why + _days_ago(e.used)) for e in rest if e.used <= since and e.key not in (keep or ())]
    return Pruning(tuple(removed))


_REASONS: dict[str, str] = {
    "draft": "nobody finished it",
    "damaged": "was moved aside",
    "finished fit": "its artifact is in the store",
}


def _days_ago(then: float) -> str:
    days = (time.time() - then) / _DAY
    return f"{days:.0f} days ago" if days >= 1.5 else "within a day or so"


@contextmanager
def alone(workspace: Workspace) -> Iterator[bool]:
    """Have the store for oneself; False where the file system has no locks to tell. Raises Busy."""
    try:
        with locked(workspace.store / ".lock", wait=False):
            yield True
    except NoLocks:
        yield False


def remove(workspace: Workspace, pruning: Pruning, *, locks: bool) -> list[Entry]:
    """Remove it, alone; returns what was. Without locks what was touched within a day stays."""
    removed = []
    for entry, _ in pruning.removed:
        if locks or time.time() - max(_times(entry.folder), default=0.0) > _DAY:
            _remove(entry.folder, workspace.store / "drafts" / f"pruned-{uuid.uuid4().hex}")
            removed.append(entry)
    return removed


def _remove(folder: Path, trash: Path) -> None:
    """An artifact goes whole or not at all: first out of its place, then file by file. Links are not followed."""
    trash.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return
    if trash.is_symlink():
        trash.unlink()
    else:
        shutil.rmtree(trash)


def damage(entry: Entry) -> str:
    """What is wrong with an artifact, all of its files read; "" if nothing."""
    try:
        fields = read_manifest(entry.folder)["fields"]
        kind = next(kind for kind in ARTIFACT_KINDS if kind == entry.kind)
        key = Key(kind, fields)
        if key.digest != entry.key:
            return f"{entry.folder / MANIFEST} does not belong to its key"
        verified_manifest(entry.folder, key)
    except Damaged as fault:
        return str(fault)
    return ""


def move_aside(workspace: Workspace, entry: Entry) -> Path:
    """Take a damaged artifact out of the store's way; returns where it lies."""
    return move_folder_aside(entry.folder, workspace.store)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _times(folder: Path) -> list[float]:
    """When its files, and the folder itself, were last written."""
    return [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
