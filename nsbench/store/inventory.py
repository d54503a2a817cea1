"""The inventory of a workspace's store: size, age, use and damage of each artifact; and which of them may be removed.

Nothing is removed while a process uses the store: users share a lock, which removal must hold alone. On a file system
without locks, a folder that was touched within a day counts as in use.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from nsbench.store.checked import ASIDE
from nsbench.store.files import make_folder
from nsbench.store.key import ARTIFACT_KINDS, ArtifactKind, Key
from nsbench.store.locks import NoLocks, locked
from nsbench.store.manifest import MANIFEST, Damaged, read_manifest, verified_manifest
from nsbench.store.sources import blobs_of, digest_at, in_words, listing_files, named_digests, sweep
from nsbench.store.store import move_folder_aside
from nsbench.store.workspace import Workspace

Leftover = Literal["draft", "damaged", "finished work", "unfinished work", "sources", "byte code", "kernels"]

_KEY = re.compile(r"[0-9a-f]{32}")
_DAY = 86_400.0

_REASONS: dict[str, str] = {
    "draft": "nobody finished it",
    "damaged": "was moved aside",
    "finished work": "its artifact is in the store",
    "sources": "no artifact that remains names them",
}
"""Kind of a leftover -> the reason for removing it."""


@dataclass(frozen=True)
class Entry:
    """A folder, or file, of the workspace that can be kept or removed as one.

    what: the entry in words. made, used: seconds since 1970. suites: those whose results name it. fault: why its
    manifest cannot be read, "" if it can. taken_in: rollouts made elsewhere, which cannot be made again here.
    unread: its manifest could not be read now, which says nothing of what it holds. code: the digests of code that its
    key names.
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
    taken_in: bool = False
    unread: bool = False
    code: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pruning:
    """Entries to remove, each with the reason."""

    removed: tuple[tuple[Entry, str], ...]

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(entry.size for entry, _ in self.removed)


def artifacts(workspace: Workspace, suites: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> list[Entry]:
    """Every artifact of the store, kind by kind. An artifact with a damaged manifest has a fault and no words.

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
    fault, what, taken_in, unread, code = "", "", False, False, frozenset[str]()
    try:
        fields = read_manifest(folder)["fields"]
        what, taken_in = names.of(kind, fields), kind == "evidence" and "rollouts" in fields
        code = frozenset(named_digests(fields))
    except Damaged as damage:
        fault = str(damage)
    except OSError as error:
        fault, unread = _unreadable(folder, error), True
    times = _times(folder)
    manifest = folder / MANIFEST
    used = manifest.stat().st_mtime if manifest.exists() else max(times)
    size, made = size_of(folder), min(times)
    return Entry(kind, folder.name, folder, size, made, used, what, suites, fault, taken_in, unread, code)


class _Names:
    """Artifacts in words. Evidence and scores name their simulator, looked up through their keys."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._simulators: dict[tuple[ArtifactKind, str], str] = {}

    def of(self, kind: ArtifactKind, fields: dict[str, Any]) -> str:
        match kind:
            case "data":
                return f"{fields.get('split')} data of {fields.get('name')}"
            case "model":
                return f"fit of {fields.get('name')}"
            case "evidence":
                if "rollouts" in fields:
                    return "rollouts made elsewhere"
                return f"rollouts of {self._of_rollouts(fields)}"
            case "score":
                return f"{fields.get('name')} of {self._simulator('evidence', fields.get('evidence'))}"

    def _simulator(self, kind: ArtifactKind, key: object) -> str:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            return "?"
        if (kind, key) not in self._simulators:
            self._simulators[kind, key] = self._look_up(kind, key)
        return self._simulators[kind, key]

    def _look_up(self, kind: ArtifactKind, key: str) -> str:
        try:
            fields = read_manifest(self._root / kind / key)["fields"]
        except (Damaged, OSError):
            return "?"  # the artifact was removed, or is damaged
        return str(fields.get("name")) if kind == "model" else self._of_rollouts(fields)

    def _of_rollouts(self, fields: Mapping[str, Any]) -> str:
        """What rolled out: a null model, or the simulator of a model."""
        return str(fields["null"]) if "null" in fields else self._simulator("model", fields.get("model"))


def sources(workspace: Workspace) -> list[Entry]:
    """The sources of each digest of code. The size of a file that several have is that of the first."""
    return _sources(workspace, listing_files(workspace.store))


def _sources(workspace: Workspace, listings: Sequence[Path]) -> list[Entry]:
    entries: list[Entry] = []
    counted: set[Path] = set()
    for path in listings:
        files, what, fault = {path}, "", ""
        try:
            files, what = ({path} | blobs_of(workspace.store, path)) - counted, in_words(path)
        except OSError as error:
            fault = _unreadable(path, error)
        counted |= files
        made, size = path.stat().st_mtime, sum(file.stat().st_size for file in files if file.exists())
        entries.append(Entry("sources", digest_at(path), path, size, made, made, what, fault=fault, unread=bool(fault)))
    return entries


def _unnamed_sources(workspace: Workspace, remaining: Sequence[Entry]) -> list[Entry]:
    """The sources that no remaining artifact names; none while one of these cannot be read, and so may name any."""
    if any(entry.fault for entry in remaining):
        return []
    named = set().union(*(entry.code for entry in remaining))
    listings = sorted(listing_files(workspace.store), key=lambda path: digest_at(path) not in named)
    return [entry for entry in _sources(workspace, listings) if entry.key not in named and not entry.unread]


def leftovers(workspace: Workspace) -> list[Entry]:
    """Entries that are not artifacts: unfinished drafts, damaged artifacts moved aside, and work folders."""
    entries: list[Entry] = []
    for folder in _folders(workspace.store / "drafts"):
        entries.append(_leftover("draft", folder))
    for file in sorted((workspace.store / "drafts").glob("*.owner")):
        if not file.with_suffix("").is_dir():
            entries.append(_leftover("draft", file))
    for folder in _folders(workspace.store / "damaged"):
        entries.append(_leftover("damaged", folder))
    for folder in _folders(workspace.work):
        finished = any((workspace.store / kind / folder.name / MANIFEST).is_file() for kind in ARTIFACT_KINDS)
        kind: Leftover = "damaged" if ASIDE in folder.name else "finished work" if finished else "unfinished work"
        entries.append(_leftover(kind, folder))
    return [*entries, *compiled(workspace)]


def compiled(workspace: Workspace) -> list[Entry]:
    """What was compiled from sources: the byte code of workers, and Numba's kernels by the digest of their code.

    All of it is compiled again when it is missing; kernels that were not used for long are of older code.
    """
    byte_code = [_leftover("byte code", folder) for folder in _folders(workspace.bytecode.parent)]
    users = _folders(workspace.kernels.parent)
    return byte_code + [_leftover("kernels", folder) for user in users for folder in _folders(user)]


def _leftover(kind: Leftover, folder: Path) -> Entry:
    times = _times(folder)
    return Entry(kind, folder.name, folder, size_of(folder), min(times), max(times))


def prunable(
    workspace: Workspace,
    *,
    older_than: float | None = None,
    keep: Collection[str] | None = None,
    submissions: Collection[str] = (),
) -> Pruning:
    """The entries that may be removed, with reasons.

    Drafts, damaged artifacts, work that is finished, and sources that no artifact names, always; if `older_than`
    or `keep` is given, also artifacts and unfinished work that were not used for so long and are not kept; if
    `older_than` is given, also what was compiled and not used for so long. older_than: seconds, 0 if only `keep` is
    given. keep: keys, none if only `older_than` is given. submissions: keys of rollouts made elsewhere, which go only
    if they are named here: nothing can make them again.
    """
    leftover, stored = leftovers(workspace), artifacts(workspace)
    removed = [(entry, _REASONS[entry.kind]) for entry in leftover if entry.kind in _REASONS]
    removed += [(entry, "was named") for entry in stored if entry.taken_in and entry.key in submissions]
    if older_than is not None or keep is not None:
        removable = [entry for entry in stored if not entry.taken_in and not entry.unread]
        removable += [entry for entry in leftover if entry.kind == "unfinished work"]
        since = time.time() - (older_than or 0.0)
        reason = "no kept suite needs it, last used " if keep is not None else "last used "
        removed += [(e, reason + _days_ago(e.used)) for e in removable if e.used <= since and e.key not in (keep or ())]
        if older_than is not None:
            idle = (entry for entry in leftover if entry.kind in ("byte code", "kernels") and entry.used <= since)
            removed += [(entry, f"last used {_days_ago(entry.used)}") for entry in idle]
    gone = {entry.folder for entry, _ in removed}
    unnamed = _unnamed_sources(workspace, [entry for entry in stored if entry.folder not in gone])
    return Pruning((*removed, *((entry, _REASONS["sources"]) for entry in unnamed)))


def _days_ago(then: float) -> str:
    days = (time.time() - then) / _DAY
    return f"{days:.0f} days ago" if days >= 1.5 else "within a day or so"


@contextmanager
def alone(workspace: Workspace) -> Iterator[bool]:
    """Hold the store's lock alone. Yields False where the file system has no locks. Raises Busy if it is in use."""
    try:
        with locked(workspace.store / ".lock", wait=False):
            yield True
    except NoLocks:
        yield False


def remove(workspace: Workspace, pruning: Pruning, *, locks: bool) -> list[Entry]:
    """Remove the entries of a pruning; returns those that were removed. Call only while holding the store alone.

    locks: whether the file system has locks; without, entries that were touched within a day stay.
    """
    removed = []
    for entry, _ in pruning.removed:
        if locks or time.time() - max(_times(entry.folder), default=0.0) > _DAY:
            _remove(entry.folder, workspace.store / "drafts" / f"pruned-{uuid.uuid4().hex}")
            removed.append(entry)
    if any(entry.kind == "sources" for entry in removed):
        sweep(workspace.store, locks=locks)
    return removed


def _remove(folder: Path, trash: Path) -> None:
    """Remove a folder or file whole or not at all: move it to the trash, then delete it. Links are not followed."""
    make_folder(trash.parent)
    try:
        folder.rename(trash)
    except FileNotFoundError:
        return
    if not trash.is_dir() or trash.is_symlink():
        trash.unlink()
    else:
        shutil.rmtree(trash)


def _unreadable(folder: Path, error: OSError) -> str:
    return f"{folder} could not be read ({error.strerror}), which says nothing about it: try again"


def damage(entry: Entry) -> str:
    """The fault of an artifact, found by reading all of its files; "" if there is none. Raises OSError."""
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
    """Move a damaged artifact out of its place; returns its new folder."""
    return move_folder_aside(entry.folder, workspace.store)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; those that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += 0 if path.is_dir() else path.lstat().st_size
    return total


def _times(folder: Path) -> list[float]:
    """The times when the folder and its files were last written, in seconds since 1970."""
    return [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
