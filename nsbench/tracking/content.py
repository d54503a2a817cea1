"""The content of an MLflow run: a trial's record, and the names of its metrics, tags and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

from nsbench.components.evidence import Cost
from nsbench.components.metric import ANCHORS
from nsbench.components.rows import DECLARED, ScoreRow, TrialResult
from nsbench.errors import shortened
from nsbench.tracking.names import in_alphabet

Point = tuple[str, float, int]
"""(name, value, step) of a training curve."""

CURRENT_RUNS = "tags.`nsbench.superseded` IS NULL"
"""MLflow's filter for the runs that show the latest outcomes of their trials."""

OUTCOME = "nsbench.outcome"
"""Tag with the digest of the result that a run shows, set when all of it is there."""

SCORES_TABLE = "tables/scores.json"

IMAGES = "rollouts/frames"
"""The name under which pictures of rollouts are logged by step."""

OUTSIDE = "rollouts made elsewhere, checked and scored here"


@dataclass(frozen=True)
class DataSplit:
    """A split of a dataset: its digest, not its data. profile: JSON, e.g. domain and counts."""

    name: str
    split: str
    digest: str
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRecord:
    """The record of a trial: all that is logged of it.

    started, finished: seconds since 1970. params: flat, see ``flatten``. artifacts: content by file name,
    folders in the name allowed ("figures/ewd.png").
    """

    result: TrialResult
    started: float
    finished: float
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: tuple[DataSplit, ...] = ()
    cost: Cost | None = None
    curves: tuple[Point, ...] = ()
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


def flatten(prefix: str, params: Mapping[str, Any]) -> dict[str, object]:
    """Nested parameters under dotted names: flatten("sim", {"a": {"b": 1}}) is {"sim.a.b": 1}."""
    flat: dict[str, object] = {}
    for name, value in params.items():
        flat |= flatten(f"{prefix}.{name}", value) if isinstance(value, Mapping) else {f"{prefix}.{name}": value}
    return flat


def run_name(trial: str) -> str:
    """The name of a trial's run: "cgne-r0" for "snow32/cgne/r0"."""
    return "-".join(trial.split("/")[1:])


def metrics_of(result: TrialResult, cost: Cost | None = None) -> dict[str, float]:
    """Every number of a result under its name in MLflow; what is unknown is left out."""
    numbers: dict[str, float | None] = {}
    for row in result.scores:
        name, (low, high) = score_name(row), row.interval or (None, None)
        numbers |= {name: row.value, f"{name}_low": low, f"{name}_high": high}
        numbers |= {f"{name}_{anchor}": getattr(row, anchor) for anchor in ANCHORS}
        numbers[f"{name}_skill"] = row.skill
        numbers |= {extra_name(row, extra): value for extra, value in row.extras.items()}
    for name, value in asdict(cost).items() if cost else ():
        if not isinstance(value, str):
            numbers[f"{DECLARED if result.outside else 'cost'}/{name.replace('_seconds', '_s')}"] = value
    return {name: float(value) for name, value in numbers.items() if value is not None}


def score_name(row: ScoreRow) -> str:
    """The name of a score in MLflow. Declared values have another prefix: no column ranks them with measured ones."""
    return in_alphabet(f"{DECLARED if row.label == DECLARED else 'score'}/{row.metric}")


def extra_name(row: ScoreRow, extra: str) -> str:
    """The name of an extra in MLflow. Extras for tables begin like their score, so that they are sorted next to it."""
    shown = extra in [name for name, _ in row.columns]
    name = f"{score_name(row)}.{extra}" if shown or row.label == DECLARED else f"extra/{row.metric}.{extra}"
    return in_alphabet(name)


def tags_of(result: TrialResult) -> dict[str, str]:
    """The tags of a result: trial, status, error, a description, and the words that belong to each score."""
    tags = {"nsbench.trial": result.trial, "nsbench.status": result.status}
    if result.outside:
        tags["nsbench.outside"] = OUTSIDE
    if result.error:
        tags["nsbench.error"] = result.error.strip().splitlines()[-1]
    if result.changed:
        tags["nsbench.changed"] = shortened("; ".join(result.changed))
    for row in result.scores:
        words = {"unit": row.unit, "label": row.label, "absent": row.absent}
        tags |= {f"nsbench.{row.metric}.{name}": word for name, word in words.items() if word}
    tags["mlflow.note.content"] = describe(result)  # the run page's description
    return tags


def image_artifacts(name: str, step: int, png: bytes, thumbnail: bytes) -> dict[str, bytes]:
    """The files of an image by step, named as MLflow's log_image does, so that the interface shows it on a slider.

    log_image takes the names from the time and a random number; here they come from the content, so that an image
    that is logged twice is there once. The form of the names is internal to MLflow 3.
    """
    stem = f"images/{name.replace('/', '~')}+step+{step}+timestamp+0+{UUID(bytes=sha256(png).digest()[:16])}"
    return {f"{stem}.png": png, f"{stem}+compressed.webp": thumbnail}


def scores_table(result: TrialResult) -> dict[str, Any]:
    """The scores as a table, in the layout that MLflow's interface shows: columns, and data row by row."""
    plain = ("metric", "value", *ANCHORS, "skill", "unit", "direction", "label", "absent")
    rows = []
    for row in result.scores:
        metric, value, *remaining = (getattr(row, name) for name in plain)
        cells = [metric, value, *(row.interval or (None, None)), *remaining]
        rows.append([float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in cells])
    return {"columns": [*plain[:2], "low", "high", *plain[2:]], "data": rows}


def describe(result: TrialResult) -> str:
    """A result in Markdown, one line for each metric."""
    if result.error:
        return f"**{result.status}**\n\n```\n{result.error.strip()[-4000:]}\n```\n"
    return "\n".join(_sentence(row) for row in result.scores)


def _sentence(row: ScoreRow) -> str:
    name = f"- **{row.metric}**" + (f" ({row.label})" if row.label else "")
    if row.value is None:
        return f"{name}: none, {row.absent}"
    interval = f" ({row.interval[0]:.4g} to {row.interval[1]:.4g})" if row.interval else ""
    anchors = {anchor.replace("_", "-"): getattr(row, anchor) for anchor in ANCHORS}
    anchor_text = "".join(f"; {anchor} {value:.4g}" for anchor, value in anchors.items() if value is not None)
    return f"{name}: {row.value:.4g}{interval} {row.unit}{anchor_text}"


def outcome_digest(result: TrialResult) -> str:
    """A digest of a result, equal for results that differ only in the time and speed with which they were made."""
    row = asdict(result)
    outcome = [row[name] for name in ("trial", "status", "keys", "scores")]
    return sha256(json.dumps(outcome, sort_keys=True).encode()).hexdigest()
