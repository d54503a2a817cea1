"""Rows of results: the outcome of a trial, and each metric's score of it. Their form as JSON is defined here alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast, get_args

from nsbench.components.metric import Zero

Status = Literal["ok", "failed", "diverged", "timeout", "oom", "killed", "skipped", "interrupted"]
"""The ways in which a trial ends: see docs/scaling.md."""

DECLARED = "declared"
"""The label of a score that rests on a declaration of the submission's maker, not on a measurement made here."""


@dataclass(frozen=True)
class ScoreRow:
    """A metric's score of one trial, with the facts that a reader needs beside it.

    value        None where the metric does not apply; `absent` then says why.
    floor, …     the same metric's scores of the anchors: floor and noise_free of the dataset's ground truth, redrawn
                 and without its randomness, and of the null models (nsbench/stages/nulls.py). The floor is the mean
                 over several draws of the truth, and floor_deviation their standard deviation; None for one draw.
    zero         the anchor at which skill is 0: skill = (zero − value) / (zero − floor), 1 at the floor. There is
                 no skill where the zero is no worse than the floor: such data cannot tell them apart.
    columns      (name of an extra, its heading): the extras that the metric wants shown beside its value.
    rollouts_only  the metric needs nothing that a null model does not have.
    costs        the value depends on the hardware.
    items_by     the kind of the score's items, where its value is their mean (nsbench/outcomes/pairing.py).
    """

    metric: str
    unit: str
    direction: Literal["min", "max"]
    value: float | None
    interval: tuple[float, float] | None = None
    label: str = ""
    absent: str = ""
    floor: float | None = None
    floor_deviation: float | None = None
    best_deterministic: float | None = None
    analogue: float | None = None
    noise_free: float | None = None
    climatology: float | None = None
    persistence: float | None = None
    extras: dict[str, float] = field(default_factory=dict)
    columns: tuple[tuple[str, str], ...] = ()
    anchored: bool = True
    zero: Zero = "best_deterministic"
    rollouts_only: bool = False
    costs: bool = False
    items_by: str | None = None

    @property
    def skill(self) -> float | None:
        """The place of the value between the anchor `zero`, at 0, and the floor, at 1; None where there is no scale."""
        zero = cast(float | None, getattr(self, self.zero))
        if self.value is None or self.floor is None or zero is None:
            return None
        room = zero - self.floor if self.direction == "min" else self.floor - zero
        return (zero - self.value) / (zero - self.floor) if room > 0 else None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ScoreRow:
        """The row that JSON's plain data describes; ``asdict`` is the inverse. Unknown fields are left out."""
        interval, columns = data.get("interval"), data.get("columns", ())
        pairs = {"interval": tuple(interval) if interval else None, "columns": tuple((n, h) for n, h in columns)}
        return cls(**_known(cls, data) | pairs)


@dataclass(frozen=True)
class TrialResult:
    """One row of results: the outcome of a trial.

    trial       its identity in the suite, "dataset/simulator/r0".
    keys        the name of an artifact, "model" or "score/<metric>", -> the digest of its key.
    hardware    the hardware that its costs were measured on, "" if not known.
    peak_bytes  the largest resident memory of the trial's processes, where they were its own; None for a row that was
                read from the store.
    changed     what its components had changed in their process, and processes that they left running: it was put back
                after each stage, and no other trial ran there. Empty for a row that was read from the store.
    outside     it is a submission (rollouts made elsewhere); keys then has "rollouts", the digest of their content, and
                no model.
    series      what it is a try of: the entry whose grid it comes from, or what its own entry says; "" for none.
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
    changed: tuple[str, ...] = ()
    series: str = ""

    def to_json(self) -> str:
        """The row as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrialResult:
        """The row of a line that ``to_json`` made, here or in another version: fields that are not known are left out.

        Raises ValueError, KeyError, TypeError or AttributeError for any other line.
        """
        data: dict[str, Any] = json.loads(text)
        row = cls(
            **_known(cls, data)
            | {"scores": tuple(ScoreRow.from_data(score) for score in data.get("scores", ()))}
            | {"changed": tuple(map(str, data.get("changed", ())))}
        )
        if not all(isinstance(name, str) for name in (row.trial, row.dataset, row.simulator, row.series)):
            raise TypeError("a trial, its dataset, its simulator and its series have names")
        if row.status not in get_args(Status):
            raise ValueError(f"no trial ends with the status {row.status!r:.40}")
        if not isinstance(row.keys, dict):
            raise TypeError(f"keys must be names and digests, got {row.keys!r:.40}")
        if row.outside and not {"rollouts", "evidence"} <= row.keys.keys():
            raise ValueError("a submission's row has the keys of its rollouts")
        return row

    def outcome(self) -> dict[str, Any]:
        """The part of the row that does not depend on when and how fast it was made."""
        names = ("trial", "status", "keys", "scores", "series")
        return {name: value for name, value in asdict(self).items() if name in names}


def _known(row_type: type[ScoreRow] | type[TrialResult], data: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of plain data that are fields of a row here."""
    names = {each.name for each in fields(row_type)}
    return {name: value for name, value in data.items() if name in names}
