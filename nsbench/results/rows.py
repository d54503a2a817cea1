"""The long table of results: one row a trial, appended as trials end."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

from nsbench.components.component import Anchor

Status = Literal["ok", "failed", "diverged", "timeout", "oom", "killed", "skipped", "interrupted"]
"""How a trial ended: see docs/architecture.md, "How a trial ends"."""

ANCHORS = ("floor", "noise_free", "climatology", "persistence")
"""What stands beside a score, by its name in ScoreRow."""

DECLARED = "declared"
"""The label of a score that rests on what its maker says of it, not on what was measured here."""


@dataclass(frozen=True)
class ScoreRow:
    """A metric's score of one trial, with what a reader needs beside it.

    value is None where the metric does not apply; `absent` then says why. floor and noise_free are the
    same metric's scores of the dataset's ground truth, redrawn and without its randomness, climatology and
    persistence those of the null models; zero names the one of the last three at which skill is 0:
    skill = (zero − value) / (zero − floor), 1 at the floor. There is none where the zero is no worse than
    the floor: such data cannot tell them apart.
    columns: (name of an extra, its heading), what the metric wants shown beside its value.
    rollouts_only: the metric needs nothing that a null model does not have.
    costs: the value depends on the hardware.
    """

    metric: str
    unit: str
    direction: Literal["min", "max"]
    value: float | None
    interval: tuple[float, float] | None = None
    label: str = ""
    absent: str = ""
    floor: float | None = None
    noise_free: float | None = None
    climatology: float | None = None
    persistence: float | None = None
    extras: dict[str, float] = field(default_factory=dict)
    columns: tuple[tuple[str, str], ...] = ()
    anchored: bool = True
    zero: Anchor = "noise_free"
    rollouts_only: bool = False
    costs: bool = False

    @property
    def skill(self) -> float | None:
        zero = cast(float | None, getattr(self, self.zero))
        if self.value is None or self.floor is None or zero is None:
            return None
        room = zero - self.floor if self.direction == "min" else self.floor - zero
        return (zero - self.value) / (zero - self.floor) if room > 0 else None


@dataclass(frozen=True)
class TrialResult:
    """One row: what became of a trial.

    trial is its identity in the suite, "dataset/simulator/r0"; keys maps a stage to the key of its
    artifact, and "score/<metric>" to those of the scores. hardware: what its costs were measured on, "" if
    not known. peak_bytes: the largest resident memory of the trial's processes, where they were its own; None
    for a row that was read from the store. outside: its rollouts were made elsewhere; keys then has "rollouts",
    the digest of their content, and no model.
    """

    trial: str
    dataset: str
    simulator: str
    replicate: int
    status: Status
    keys: dict[str, str]
    scores: tuple[ScoreRow, ...] = ()
    seconds: float = 0.0
    error: str = ""
    hardware: str = ""
    peak_bytes: int | None = None
    outside: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrialResult:
        row: dict[str, Any] = json.loads(text)
        scores = [
            ScoreRow(
                **score
                | {
                    "interval": tuple(score["interval"]) if score["interval"] else None,
                    "columns": tuple((name, heading) for name, heading in score["columns"]),
                }
            )
            for score in row.pop("scores")
        ]
        return cls(**row, scores=tuple(scores))


class UnreadableResults(Exception):
    """A results file with a line that is no result."""


def append(path: Path, result: TrialResult) -> None:
    """Add a row, on disk when this returns. A line that was cut short before is ended first.

    A row that cannot be written whole, as on a full disk, is taken back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        size = file.tell()
        torn = size > 0 and _last_byte(file) != b"\n"
        line = b"\n" * torn + result.to_json().encode() + b"\n"
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
            raise UnreadableResults(f"{path}:{number}: not a result: {error}") from error
        rows[row.trial] = row
    return list(rows.values())


def _cut_short(line: bytes) -> bool:
    """Whether this is how a row begins, and no more."""
    start = b'{"trial"'
    if not (line.startswith(start) or start.startswith(line)):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def same_outcome(a: TrialResult, b: TrialResult) -> bool:
    """Whether two rows say the same, whenever and however fast they were made."""
    return (a.trial, a.status, a.keys, a.scores) == (b.trial, b.status, b.keys, b.scores)
