"""What lies in a workspace's store: how much, how old, in whose use, whether unharmed; and what may go.

Nothing is removed while somebody uses the store: they share a lock which removal must have alone. Where a file
system has no locks, what was touched within a day is taken to be in use.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nsbench.components.events import Stage
from nsbench.results.rows import UnreadableResults, load
from nsbench.running.schedule import stage_keys
from nsbench.store.files import NoLocks, locked
from nsbench.store.store import MANIFEST, STAGES, Damaged, Key, read_manifest, verified_manifest
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Plan

Leftover = Literal["draft", "damaged", "finished fit", "unfinished fit"]

_KEY = re.compile(r"[0-9a-f]{32}")
_AGE = re.compile(r"([0-9]{1,6})\s*([hdw])")
_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """A folder of the workspace that can be kept or removed as one.

    what: in words. made, used: seconds since 1970. suites: whose results name it. fault: why its manifest
    cannot be read, "" if it can.
    """

    stage: Stage | Leftover
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


def parse_age(text: str) -> float:
    """Seconds of "12h", "30d" or "4w". Raises ValueError."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"an age is a number of hours, days or weeks, e.g. 12h, 30d, 4w; got {text!r}")
    return int(found[1]) * _SECONDS[found[2]]


def artifacts(workspace: Workspace) -> list[Entry]:
    """Every artifact of the store, stage by stage; of one whose manifest is damaged, as much as can be said."""
    suites, names = suites_by_key(workspace), _Names(workspace.store)
    return [
        _artifact(folder, stage, names, suites.get(folder.name, ()))
        for stage in STAGES
        for folder in _folders(workspace.store / stage)
        if _KEY.fullmatch(folder.name)
    ]


def _artifact(folder: Path, stage: Stage, names: _Names, suites: tuple[str, ...]) -> Entry:
    fault, what = "", ""
    try:
        what = names.of(stage, read_manifest(folder)["fields"])
    except Damaged as damage:
        fault = str(damage)
    times = _times(folder)
    manifest = folder / MANIFEST
    used = manifest.stat().st_mtime if manifest.exists() else max(times)
    return Entry(stage, folder.name, folder, _size(folder), min(times), used, what, suites, fault)


class _Names:
    """Artifacts in words: evidence and scores name their simulator through the keys of what they came from."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[Stage, str], str] = {}

    def of(self, stage: Stage, fields: dict[str, Any]) -> str:
        match stage:
            case "data":
                return f"{fields.get('split')} data of {fields.get('name')}"
            case "model":
                return f"fit of {fields.get('name')}"
            case "evidence":
                return f"rollouts of {self._simulator('model', fields.get('model'))}"
            case "score":
                return f"{fields.get('name')} of {self._simulator('evidence', fields.get('evidence'))}"

    def _simulator(self, stage: Stage, key: object) -> str:
        if isinstance(key, dict):
            return str(key.get("null"))  # of null models the key holds how they are made
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            return "?"
        if (stage, key) not in self._known:
            self._known[stage, key] = self._looked_up(stage, key)
        return self._known[stage, key]

    def _looked_up(self, stage: Stage, key: str) -> str:
        try:
            fields = read_manifest(self._root / stage / key)["fields"]
        except Damaged:
            return "?"  # removed, or not to be trusted
        return str(fields.get("name")) if stage == "model" else self._simulator("model", fields.get("model"))


def leftovers(workspace: Workspace) -> list[Entry]:
    """What is no artifact: drafts that nobody finished, what was moved aside, and the work of fits."""
    found: list[Entry] = []
    for folder in _folders(workspace.store / "drafts"):
        found.append(_leftover("draft", folder))
    for folder in _folders(workspace.store / "damaged"):
        found.append(_leftover("damaged", folder))
    for folder in _folders(workspace.work):
        finished = any((workspace.store / stage / folder.name / MANIFEST).is_file() for stage in ("model", "data"))
        found.append(_leftover("finished fit" if finished else "unfinished fit", folder))
    return found


def _leftover(kind: Leftover, folder: Path) -> Entry:
    times = _times(folder)
    return Entry(kind, folder.name, folder, _size(folder), min(times), max(times))


def suites_by_key(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """{key: the suites whose results name it}; results that cannot be read are nobody's."""
    found: dict[str, list[str]] = {}
    for folder in _folders(workspace.root / "runs"):
        try:
            rows = load(workspace.results(folder.name))
        except UnreadableResults:
            continue
        for key in {key for row in rows for key in row.keys.values()}:
            found.setdefault(key, []).append(folder.name)
    return {key: tuple(names) for key, names in found.items()}


def needed(plan: Plan) -> set[str]:
    """The key of everything that a suite would ask for, its anchors' included."""
    trials = [*plan.trials, *(t for a in plan.anchors.values() for t in (a.floor, a.noise_free) if t)]
    nulls = [null for anchors in plan.anchors.values() for null in anchors.nulls.values()]
    keys: list[Key] = [key for trial in trials for key in stage_keys(trial)]
    keys += [metric.key for null in nulls for metric in null.scores]
    keys += [key for data in plan.data.values() for key in data.keys.values()]
    return {key.digest for key in keys}


def prunable(workspace: Workspace, *, older_than: float | None = None, keep: Collection[str] | None = None) -> Pruning:
    """What may go: drafts, damaged artifacts and the work of finished fits always; artifacts and unfinished fits
    if told which: those that were not used for so long and are not kept.

    older_than: seconds, 0 if only `keep` is given. keep: keys, none if only `older_than` is given.
    """
    left = leftovers(workspace)
    removed = [(entry, _REASONS[entry.stage]) for entry in left if entry.stage in _REASONS]
    if older_than is not None or keep is not None:
        rest = [*artifacts(workspace), *(entry for entry in left if entry.stage == "unfinished fit")]
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


def damage(workspace: Workspace, entry: Entry) -> str:
    """What is wrong with an artifact, all of its files read; "" if nothing."""
    try:
        fields = read_manifest(entry.folder)["fields"]
        stage = next(stage for stage in STAGES if stage == entry.stage)
        key = Key(stage, fields)
        if key.digest != entry.key:
            return f"{entry.folder / MANIFEST} does not belong to its key"
        verified_manifest(entry.folder, key)
    except Damaged as fault:
        return str(fault)
    return ""


def move_aside(workspace: Workspace, entry: Entry) -> Path:
    """Take a damaged artifact out of the store's way; returns where it lies."""
    aside = workspace.store / "damaged" / f"{entry.stage}-{entry.key}-{uuid.uuid4().hex[:8]}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    return entry.folder.rename(aside)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _times(folder: Path) -> list[float]:
    """When its files, and the folder itself, were last written."""
    return [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
