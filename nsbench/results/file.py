"""The results of a suite, as a run adds to them: also when another run of the same suite does."""

from __future__ import annotations

from pathlib import Path

from nsbench.results.rows import TrialResult, append, load, same_outcome
from nsbench.store.files import locked


class ResultsFile:
    """results.jsonl: a row is added when it says something new, and none takes the place of a better one.

    Raises UnreadableResults for a file that holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, TrialResult] = {}
        self._size = -1
        self._read()

    def add(self, row: TrialResult) -> None:
        """On disk when this returns."""
        with locked(self._path.with_suffix(".lock")):
            self._read()
            known = self._rows.get(row.trial)
            if known is not None and (same_outcome(known, row) or _is_no_news(known, row)):
                return
            append(self._path, row)
            self._rows[row.trial] = row
            self._size = self._path.stat().st_size

    def _read(self) -> None:
        """What is in the file, unless it is what this run left there."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size:
            self._rows = {row.trial: row for row in load(self._path)}
            self._size = size


def _is_no_news(known: TrialResult, row: TrialResult) -> bool:
    """Whether another run finished what this one was stopped in."""
    return row.status == "interrupted" and known.status == "ok" and known.keys == row.keys
