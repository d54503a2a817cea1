"""results.jsonl, the long table of a suite's results: a row a trial, appended as trials end, by one or several runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO

from nsbench.components.rows import TrialResult
from nsbench.errors import Refusal
from nsbench.store.locks import locked
from nsbench.store.workspace import Workspace


class UnreadableResults(Refusal):
    """A results file with a line that is no result."""


class ResultsFile:
    """A results file as a run adds to it: a row is added if it says something new, and never replaces a better one.

    Raises UnreadableResults for a file that holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, TrialResult] = {}
        self._size = -1
        self._read()

    def add(self, row: TrialResult) -> None:
        """Add a row, on disk when this returns."""
        with locked(self._path.with_suffix(".lock")):
            self._read()
            last = self._rows.get(row.trial)
            if last is not None and (last.outcome() == row.outcome() or _is_no_news(last, row)):
                return
            append(self._path, row)
            self._rows[row.trial] = row
            self._size = self._path.stat().st_size

    def _read(self) -> None:
        """Read the file, unless it is as this run left it."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size:
            self._rows = {row.trial: row for row in load(self._path)}
            self._size = size


def _is_no_news(last: TrialResult, row: TrialResult) -> bool:
    """Return whether the row was interrupted in work that another run has finished."""
    return row.status == "interrupted" and last.status == "ok" and last.keys == row.keys


def append(path: Path, row: TrialResult) -> None:
    """Append a row to a file, on disk when this returns. A line that was cut short before is ended first.

    A row that cannot be written whole, as on a full disk, is taken back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        size = file.tell()
        torn = size > 0 and _last_byte(file) != b"\n"
        line = b"\n" * torn + row.to_json().encode() + b"\n"
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def _last_byte(file: IO[bytes]) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def load(path: Path) -> list[TrialResult]:
    """The last row of each trial, in the order in which the trials first appear.

    A row that a lost machine cut short is no row. Raises UnreadableResults, naming file and line, for a
    line that is something else.
    """
    if not path.exists():
        return []
    rows: dict[str, TrialResult] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = TrialResult.from_json(line.decode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if _cut_short(line):
                continue
            raise UnreadableResults(
                f"{path}:{number}: not a result: {error}; mend or remove that file, nothing that was computed is lost"
            ) from error
        rows[row.trial] = row
    return list(rows.values())


def _cut_short(line: bytes) -> bool:
    """Return whether a line is the beginning of a row, and no more."""
    start = b'{"trial"'
    if not (line.startswith(start) or start.startswith(line)):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
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
