"""The diary of a fit: its curves and the seconds it took, over all of its sittings."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from nsbench.store.files import write_whole

JOURNAL_SECONDS = 5
"""How often curves and seconds are put on disk."""


class Journal:
    """Keeps training curves and seconds in a work directory. tell: told each point (name, value, step)."""

    def __init__(self, workdir: Path, tell: Callable[[tuple[str, float, int]], None]) -> None:
        self._path = workdir / "journal.json"
        self._tell = tell
        kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        self._points = {(name, step): value for name, value, step in kept.get("curves", [])}
        self._before = float(kept.get("seconds", 0.0))
        self._since = self._written = time.perf_counter()
        self._until: float | None = None

    def log(self, name: str, value: float, step: int) -> None:
        """A point; one logged again, by a fit that went on from a checkpoint, replaces the old."""
        if not math.isfinite(value):
            return  # a curve has gaps where there is no number; the fit itself decides what that means
        self._points[name, step] = value
        self._tell((name, value, step))
        if time.perf_counter() - self._written > JOURNAL_SECONDS:
            self._write()

    def curves(self) -> list[tuple[str, float, int]]:
        return [(name, value, step) for (name, step), value in sorted(self._points.items())]

    @property
    def seconds(self) -> float:
        """Time spent in the fit, earlier sittings included."""
        return self._before + (self._until or time.perf_counter()) - self._since

    def __enter__(self) -> Journal:
        self._since = self._written = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._until = time.perf_counter()
        self._write()

    def _write(self) -> None:
        self._written = time.perf_counter()
        write_whole(self._path, json.dumps({"curves": self.curves(), "seconds": self.seconds}))
