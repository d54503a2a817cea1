"""Where things lie: one folder for the store, the runs and the tracking database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A workspace's folders and files; nothing is created by naming them."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def work(self) -> Path:
        """Unfinished fits, by the key of the model that they will become."""
        return self.root / "work"

    @property
    def locks(self) -> Path:
        """One for each artifact that is being made, by its key."""
        return self.root / "locks"

    def run(self, suite: str) -> Path:
        return self.root / "runs" / suite

    def results(self, suite: str) -> Path:
        return self.run(suite) / "results.jsonl"

    def log(self, suite: str, trial: str) -> Path:
        """What a trial wrote to its standard output and error, its traceback, and how it ended."""
        return self.run(suite) / "logs" / f"{trial.replace('/', '.')}.txt"
