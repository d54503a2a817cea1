"""results.jsonl, the long table of a suite's results: a row a trial, appended as trials end, by one or several runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nsbench.components.rows import TrialResult
from nsbench.errors import Refusal
from nsbench.foreign_files import open_regular
from nsbench.store.files import make_folder, share, sync
from nsbench.store.locks import locked_if_possible
from nsbench.store.workspace import Workspace

MAX_ROW_BYTES = 1 << 24


class UnreadableResults(Refusal):
    """A file in the place of results in which nothing is a result."""


class ResultsFile:
    """A results file as a run adds to it: a row is added if it says something new, and never replaces a better one.

    note: what of the file could not be read as rows, as of ``read``. Raises UnreadableResults as that does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.note = ""
        self._rows: dict[str, TrialResult] = {}
        self._size = -1
        self._read()

    def add(self, row: TrialResult) -> None:
        """Add a row, on disk when this returns."""
        with locked_if_possible(self._path.with_suffix(".lock")) as alone:
            self._read()
            last = self._rows.get(row.trial)
            if last is not None and (last.outcome() == row.outcome() or _is_no_news(last, row)):
                return
            append(self._path, row, alone=alone)
            self._rows[row.trial] = row
            self._size = self._path.stat().st_size

    def _read(self) -> None:
        """Read the file, unless it is as this run left it."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size:
            content = read(self._path)
            self._rows = {row.trial: row for row in content.rows}
            self._size, self.note = size, content.note


def _is_no_news(last: TrialResult, row: TrialResult) -> bool:
    """Return whether the row says only that what was made once, from the same, could not be made this time.

    What a submission is made from are its rollouts: they may be gone when more is asked of them.
    """
    same = last.keys.get("rollouts") == row.keys.get("rollouts") if row.outside else last.keys == row.keys
    return row.status != "ok" and last.status == "ok" and same


def append(path: Path, row: TrialResult, *, alone: bool = True) -> None:
    """Append a row to a file, on disk when this returns. A line that was cut short before is ended first.

    alone: whether nobody else adds to the file meanwhile; a row that cannot be written whole, as on a full disk, is
    then taken back. Otherwise it is left as it is, a line cut short: the system adds a row at the end in one piece.
    """
    make_folder(path.parent)
    is_new = not path.exists()
    with path.open("a+b", buffering=0) as file:
        if is_new:
            share(path)
            sync(path.parent)
        size = file.tell()
        torn = size > 0 and _last_byte(file) != b"\n"
        line = b"\n" * torn + row.to_json().encode() + b"\n"
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            if alone:
                file.truncate(size)
            raise


def _last_byte(file: IO[bytes]) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


@dataclass(frozen=True)
class Rows:
    """The content of a results file.

    rows    the last row of each trial, in the order in which the trials first appear.
    note    what of the file could not be read as rows, in words; "" if all of it was.
    """

    rows: tuple[TrialResult, ...]
    note: str = ""


def load(path: Path) -> list[TrialResult]:
    """The last row of each trial, in the order in which the trials first appear: ``read`` without its note."""
    return list(read(path).rows)


def read(path: Path) -> Rows:
    """The rows of a results file. The file is never changed: what cannot be read stays in it.

    A row of another version of nsbench counts by the fields that are known here. A line that a lost machine cut short,
    or left as zeros, is no row; any other line that is no row is left out, and named in the note. Raises
    UnreadableResults, naming file and line, where nothing in the file is a row.
    """
    rows: dict[str, TrialResult] = {}
    foreign: dict[int, str] = {}
    for number, line in enumerate(_lines(path) if path.exists() else (), start=1):
        if not line.strip(b"\0 "):
            continue
        try:
            row = TrialResult.from_json(line.decode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if not _cut_short(line):
                foreign[number] = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
            continue
        rows[row.trial] = row
    if foreign and not rows:
        number, fault = next(iter(foreign.items()))
        raise UnreadableResults(
            f"{path}:{number}: not a result: {fault}; mend or remove that file, nothing that was computed is lost"
        )
    return Rows(tuple(rows.values()), _note(path, foreign))


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, one at a time. What is longer than any row comes in pieces, none of which is one."""
    try:
        opened = open_regular(path)
    except ValueError as error:
        raise UnreadableResults(f"{path}: {error}") from error
    with opened as file:
        while line := file.readline(MAX_ROW_BYTES):
            yield line.rstrip(b"\r\n")


def _note(path: Path, foreign: Mapping[int, str]) -> str:
    if not foreign:
        return ""
    lines = ", ".join(map(str, list(foreign)[:5])) + (", …" if len(foreign) > 5 else "")
    number, fault = next(iter(foreign.items()))
    what = f"{len(foreign):,} lines are no results of this version" if len(foreign) > 1 else "a line is no result"
    return f"{path}: {what}, left out and kept as they are: {lines} (line {number}: {fault:.200})"


def _cut_short(line: bytes) -> bool:
    """Return whether a line is the beginning of a row, and no more."""
    start = b'{"trial"'
    line = line.rstrip(b"\0")  # a machine that lost power may have kept the length of a file, and not its end
    if not (line.startswith(start) or start.startswith(line)):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    except RecursionError:  # no row nests so deeply
        pass
    return False


def suites_by_key(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """The suites whose results name a key, {key: suites}; results that cannot be read are left out."""
    suites: dict[str, list[str]] = {}
    runs = workspace.root / "runs"
    for folder in sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else ():
        try:
            rows = load(workspace.results(folder.name))
        except UnreadableResults:
            continue
        for key in {key for row in rows for key in row.keys.values()}:
            suites.setdefault(key, []).append(folder.name)
    return {key: tuple(names) for key, names in suites.items()}
