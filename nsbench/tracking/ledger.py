"""The ledger of what has been logged where: without it, each call would log everything again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nsbench.store.files import write_whole
from nsbench.store.locks import locked_if_possible


@dataclass(frozen=True)
class Tracked:
    """The run that shows a trial.

    outcome: the digest of the result, "" while the trial runs. replaces: runs of earlier outcomes, not yet marked
    as superseded.
    """

    run: str
    outcome: str
    replaces: tuple[str, ...] = ()


class Ledger:
    """A list of the tracked trials, {destination: {trial: run}} in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, label: str, trial: str) -> Tracked | None:
        """The run of a trial at a destination; None if it is not tracked there."""
        entry = self._read().get(label, {}).get(trial)
        return Tracked(entry["run"], entry["outcome"], tuple(entry["replaces"])) if entry else None

    def put(self, label: str, trial: str, entry: Tracked) -> None:
        """Store the run of a trial at a destination."""
        with locked_if_possible(self.path.with_suffix(".lock")):
            table = self._read()
            table.setdefault(label, {})[trial] = asdict(entry)
            write_whole(self.path, json.dumps(table, indent=1))

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self.path.exists():
            return {}
        try:
            table: dict[str, dict[str, Any]] = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; without this file all trials are logged again") from error
        return table
