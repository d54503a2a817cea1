"""The agreement of what is made with its key: code and data are held against the plan, and what was opened while it was
made against what the digests cover.

Code is looked at when a component has been imported, and again when an artifact is sealed: a module may be imported in
the midst of a rollout. Files are read again only where their inode, size, or a time of theirs has changed. In a worker
the sources that have run (nsbench/registry/bytecode.py) must be those that are there.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from nsbench.components.dataset import DatasetSpec, Reading
from nsbench.registry import bytecode, opened
from nsbench.registry.imports import top_of
from nsbench.registry.kernels import hold_cache, require_held
from nsbench.registry.loading import reading_of
from nsbench.registry.registry import Registry
from nsbench.registry.source import SourceNotFound, Sources
from nsbench.registry.syntax import UnreadableSource, statements_of
from nsbench.store.key import digest_of
from nsbench.suite.trials import DataPlan, Part

_STAGES = "nsbench.trajectories.hdf5:read_trajectories"
"""Code that the stages import late, to write and read what others have made."""

_HOME = os.path.join(os.path.realpath(Path(__file__).parents[1]), "")
"""The folder of nsbench."""

_SHA256 = re.compile("[0-9a-f]{64}")

_COMPUTES = {"neural", "trajectories"}
"""The packages of nsbench that compute for components. The others find, check and carry what components make: they may
be imported at any time, and are in no key but where a component imports them."""


class CodeChanged(RuntimeError):
    """Code is no longer what the run was planned with: what it makes would have the wrong key."""


class DataChanged(RuntimeError):
    """Files that a dataset reads are no longer what the run was planned with."""


class UncoveredFile(RuntimeError):
    """A component reads a file that no digest in its artifact's key covers. wrong: what it reads; right: the cure."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}: the file could change, and no key would. Right: {right}")
        self.wrong, self.right = wrong, right


@dataclass(frozen=True)
class Code:
    """Code that a key rests on. name: in words. targets: as a spec names them.

    source: its digest in the plan, "" for code that is in no key. libraries: the versions in the plan, None likewise.
    texts: among its parameters. paths: the files and folders that they name. reading: of a dataset, by which the files
    that it may read are found.
    """

    name: str
    targets: tuple[str, ...]
    source: str = ""
    libraries: dict[str, str] | None = field(default=None, hash=False)
    paths: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    reading: str = ""


@dataclass(frozen=True)
class _Read:
    """Code that agreed with the plan when it was read. places: of its files; times: of these and their folders."""

    files: tuple[Path, ...]
    places: frozenset[str]
    times: dict[str, int]


class Agreement:
    """The agreement of what this process makes with the plan's keys. Keep one for all jobs of a process."""

    _stained: ClassVar[dict[tuple[tuple[str, ...], str], set[str]]] = {}
    """Code -> the uncovered files that it has read in this process, which may keep what was in them."""

    def __init__(self, registry: Registry, workspace: Path) -> None:
        self._registry, self._workspace = registry, workspace
        self._packages: frozenset[str] = frozenset()
        self._reads: dict[tuple[tuple[str, ...], str], _Read] = {}
        self._marks: dict[tuple[tuple[tuple[str, ...], str], ...], tuple[tuple[str, ...], tuple[int, ...]]] = {}
        self._readings: dict[str, frozenset[str] | None] = {}
        self._seals: list[Callable[[], None]] = []

    def of(self, part: Part) -> Code:
        """The code of a component."""
        spec, texts = self._registry.spec(part.kind, part.name), tuple(_texts(part.params))
        paths = tuple(path for text in texts if "\0" not in text and os.path.exists(path := os.path.expanduser(text)))
        reads = isinstance(spec, DatasetSpec) and spec.reading is not None
        reading = digest_of({"name": part.name, "params": part.params}) if reads else ""
        return Code(f"{part.kind} {part.name!r}", spec.code(), part.source, part.libraries, paths, texts, reading)

    def of_data(self, data: DataPlan) -> tuple[Code, ...]:
        """The code of a dataset, and of the formats that read its files."""
        return tuple(self.of(part) for part in (data.part, *data.formats))

    @contextmanager
    def importing(self, part: Part, others: Sequence[Part] = ()) -> Iterator[None]:
        """Hold a component's code against the plan once it has been imported, within the block. Raises CodeChanged.

        others: the formats that a dataset reads its files with, the simulators that a simulator is made of.
        """
        self._begin()
        rests_on = [self.of(part), *map(self.of, others)]
        with opened.noted(rests_on[0].paths) as files:
            yield
        for code in rests_on:
            self._places_of(code)  # once is enough here: whatever is made is held again when it is sealed
        self._require_covered(files, rests_on)

    @contextmanager
    def making(self, rests_on: Sequence[Code]) -> Iterator[Callable[[], None]]:
        """Take note of what is opened while an artifact is made; yields the function to call before it is sealed."""
        self._begin()
        with opened.noted(path for code in rests_on for path in code.paths) as files:
            self._seals.append(lambda: self._seal(rests_on, files))
            try:
                yield self._seals[-1]
            finally:
                self._seals.pop()

    def hold(self) -> None:
        """Hold what is being made against its key as when it is sealed, because a part of it is to outlive this run."""
        self._seals[-1]()

    def hold_data(self, data: DataPlan) -> None:
        """Hold the files that a dataset reads against the plan. Raises DataChanged."""
        reading = self.read(data.part)
        if reading is None:
            return
        planned = data.keys["test"].fields["params"]
        if digest_of(reading.content) != digest_of(planned):
            changed = [name for name in planned if reading.content.get(name) != planned[name]]
            raise DataChanged(
                f"the files that dataset {data.name!r} reads have changed since this run was planned "
                f"({', '.join(changed)}){_last_changed(reading.files or ())}: run it again when they are still"
            )

    def read(self, part: Part) -> Reading | None:
        """What a dataset says that it reads, which it may then open; None for one that reads no files."""
        reading = reading_of(cast(DatasetSpec, self._registry.spec("dataset", part.name)), part.params)
        if reading is None:
            return None
        files = None if reading.files is None else frozenset(opened.place_of(str(f)) for f in reading.files)
        self._readings[self.of(part).reading] = files
        return reading

    def _begin(self) -> None:
        """Begin to watch, once: before anything is imported for a component."""
        if not self._packages:
            self._packages = frozenset(self._registry.packages())
            hold_cache(self._registry)  # with the folder of a worker, if this is one
            sources = Sources(self._packages)
            folders = [str(folder) for top in self._packages for folder in sources.folders(top)]
            opened.watch(folders, [str(self._workspace)])

    def _seal(self, rests_on: Sequence[Code], files: set[str]) -> None:
        self._hold(rests_on)
        self._require_covered(files, rests_on)

    def _hold(self, codes: Sequence[Code]) -> None:
        """Hold code against the plan; it is read again only where a file has changed. Raises CodeChanged."""
        key = tuple((code.targets, code.source) for code in codes)
        paths, mark = self._marks.get(key, ((), ()))
        if paths and mark == (len(bytecode.executed), *_times(paths)):
            return
        times = {path: time for code in codes for path, time in self._read(code).times.items()}
        self._marks[key] = tuple(times), (len(bytecode.executed), *times.values())

    def _read(self, code: Code) -> _Read:
        """Code as it was when it was last read. Raises CodeChanged where it is not what the plan says, or has run."""
        read = self._reads.get((code.targets, code.source))
        if read is None or [*read.times.values()] != _times(read.times):
            read = self._reads[code.targets, code.source] = self._read_now(code)
        if changed := [file for file in read.files if _ran_otherwise(file)]:
            raise CodeChanged(_changed(code, changed))
        return read

    def _read_now(self, code: Code) -> _Read:
        sources = Sources({*self._packages, *map(top_of, code.targets)})
        try:
            files = sources.files(code.targets)
            paths = {str(path): None for file in files.values() for path in (file, file.parent)}
            times = dict(zip(paths, _times(paths), strict=False))
            source, libraries = Sources({*self._packages, *map(top_of, code.targets)}).digest(code.targets)
        except (SourceNotFound, OSError) as error:
            raise CodeChanged(f"the code of {code.name} cannot be read any more: {error}; run it again") from error
        if code.source not in ("", source):
            raise CodeChanged(_changed(code, files.values()))
        if code.libraries is not None and code.source and code.libraries != libraries:
            raise CodeChanged(f"{_other_versions(code.libraries, libraries)} since this run was planned: run it again")
        require_held(files)
        return _Read(tuple(files.values()), frozenset(opened.place_of(str(f)) for f in files.values()), times)

    def _places_of(self, code: Code) -> frozenset[str]:
        """The places of the files that the digest of code covers, as they were when it was last read."""
        read = self._reads.get((code.targets, code.source)) or self._read(code)
        return read.places

    def _require_covered(self, files: set[str], rests_on: Sequence[Code]) -> None:
        """Raise UncoveredFile for a file that no digest covers, whether it was read now or before.

        rests_on: the code in the key; the first is the component that reads.
        """
        if not rests_on:
            return
        own = rests_on[0]
        suspects = self._stained.setdefault((own.targets, own.source), set())
        suspects |= files
        if not suspects:
            return
        covered = {file for code in rests_on for file in self._places_of(code)}
        uncovered = {f for f in suspects if f not in covered and not self._is_exempt(f, rests_on)}
        self._stained[own.targets, own.source] = uncovered
        if uncovered:
            raise _complaint(own, min(uncovered))

    def _is_exempt(self, file: str, rests_on: Sequence[Code]) -> bool:
        """Whether a file may be read that is in no digest: nsbench's own work, or data whose content is in a key."""
        if file.startswith(_HOME) and file.removeprefix(_HOME).partition("/")[0] not in _COMPUTES:
            return True
        is_data = any(self._is_data(file, code) for code in rests_on)
        return is_data or file in self._places_of(Code("the stages", (_STAGES,)))

    def _is_data(self, file: str, code: Code) -> bool:
        """Whether the content of a file is in the key: by what a dataset says that it reads, or by a SHA-256."""
        files = self._readings.get(code.reading, frozenset())
        if _is_below(file, code.paths) if files is None else file in files:
            return True
        return any(map(_SHA256.fullmatch, code.texts)) and _is_below(file, code.paths) and _sha256(file) in code.texts


def _times(paths: Iterable[str]) -> list[int]:
    """The ctime of each file or folder; nothing at all where one is missing.

    The system sets it whenever content, name or other times change, and no program can set it back.
    """
    try:
        return [os.stat(path).st_ctime_ns for path in paths]
    except OSError:
        return []


def _ran_otherwise(path: Path) -> bool:
    """Whether the statements of a file are no longer those that this process has run."""
    ran, now = bytecode.executed.get(str(path)), path.read_bytes()
    if ran is None or ran == now:
        return False
    try:
        return statements_of(ran, path) != statements_of(now, path)
    except UnreadableSource:
        return True


def _changed(code: Code, files: Iterable[Path]) -> str:
    last = _last_changed(files)
    return f"the code of {code.name} has changed since this run was planned{last}: run it again"


def _last_changed(files: Iterable[Path]) -> str:
    """The file that changed last, and when, in words; "" without files."""
    times = [(os.stat(file).st_ctime, file) for file in files if file.exists()]
    if not times:
        return ""
    when, file = max(times)
    return f" (last changed: {file}, {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(when))})"


def _other_versions(planned: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = [name for name in sorted(planned.keys() | now.keys()) if planned.get(name) != now.get(name)]
    return ", ".join(f"{name} was {planned.get(name, 'absent')} and is {now.get(name, 'absent')}" for name in names)


def _texts(value: Any) -> Iterator[str]:
    """The texts among parameters, at any depth, without empty ones."""
    if isinstance(value, str):
        yield from [value] if value else []
    else:
        values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        yield from (text for inner in values for text in _texts(inner))


def _sha256(file: str) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is_below(file: str, paths: Iterable[str]) -> bool:
    reals = (os.path.realpath(path) for path in paths)
    return any(file == real or file.startswith(os.path.join(real, "")) for real in reals)


def _complaint(code: Code, file: str) -> UncoveredFile:
    """The error about a file that no digest covers, with the cure."""
    if file.endswith(".py"):
        cure = (
            'import it by its name, in an import statement or a literal import_module("…"), so that the digest follows'
        )
    elif _is_below(file, code.paths):
        cure = (
            "name `reading` in the dataset's spec, and list the file in its Reading; or take its SHA-256 as a parameter"
        )
    else:
        cure = "name it in the component's spec, files=(…), by its path from the component's module on"
    return UncoveredFile(f"{code.name} reads {file}, which its digest does not cover", cure)
