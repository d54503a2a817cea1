"""A suite's results as a pandas frame, for notebooks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.outcomes.stored import StoredResults
from nsbench.suite.session import Session, as_session

if TYPE_CHECKING:
    import pandas as pd

_TRIAL_COLUMNS = (
    "trial",
    "dataset",
    "simulator",
    "series",
    "replicate",
    "status",
    "outside",
    "seconds",
    "hardware",
    "error",
)


def results(suite: Session | Path | str) -> pd.DataFrame:
    """A pandas frame with a row for each score of each finished trial and submission; one for a trial without scores.

    suite: a session, or a suite's file. Columns: of the trial (trial, dataset, simulator, series, replicate, …), of the
    score (metric, unit, direction, value, low, high, the anchors, skill, label, absent), and the metric's own numbers,
    extra.<name>. Results of an earlier state of the suite or the code are left out; `nsbench plan` says which
    artifacts would be made again.
    """
    import pandas as pd

    stored = StoredResults(as_session(suite))
    return pd.DataFrame([line for row in (*stored.rows.values(), *stored.submitted) for line in _lines(row)])


def _lines(row: TrialResult) -> list[dict[str, Any]]:
    columns = {name: getattr(row, name) for name in _TRIAL_COLUMNS}
    return [columns | _line(score) for score in row.scores] or [columns]


def _line(score: ScoreRow) -> dict[str, Any]:
    """A score as flat columns: its interval and its extras in columns of their own."""
    columns = asdict(score)
    (low, high), extras = columns.pop("interval") or (None, None), columns.pop("extras")
    for name in ("columns", "anchored", "rollouts_only", "costs", "items_by"):  # tables and skill are made with these
        del columns[name]
    return columns | {"low": low, "high": high, "skill": score.skill} | {f"extra.{k}": v for k, v in extras.items()}
