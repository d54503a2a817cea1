"""The view that MLflow's interface opens on an experiment: a leaderboard, and the charts that say most.

The view is a tag that MLflow 3 reads when the address asks for it. Its content has the form in which the interface
keeps its own state. That form is internal to MLflow: other versions may ignore it, and nothing else is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.report.verdict import RIVALS
from nsbench.tracking.content import CURRENT_RUNS, IMAGES, extra_name, score_name

VIEW = "nsbench"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""The tag of an experiment that holds the view; an address asks for it with viewStateShareKey=nsbench."""

_SECTIONS = ("overview", "score", "train", "val", "cost", "extra")
_COST = "cost/ms_per_trajectory"


def leaderboard(results: Iterable[TrialResult], primary: str = "") -> dict[str, Any]:
    """The view, as JSON: scores with floor, skill and extras, one group for each simulator, the best first.

    A group's row has the mean over its replicates. primary: the metric whose columns come first, and which decides
    the order; the first one if not given. Empty if there are no scores.
    """
    listed = list(results)
    scores = [row for result in listed for row in result.scores]
    rows = {score_name(row): row for row in sorted(scores, key=lambda row: row.metric != primary)}
    if not rows:
        return {}
    name, best = next(iter(rows.items()))
    columns = _columns(listed, rows)
    many_datasets = len({result.dataset for result in listed}) > 1
    groups = ["dataset", "simulator"] if many_datasets else ["simulator"]
    return {
        "searchFilter": CURRENT_RUNS,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "orderByKey": f"metrics.`{name}`",
        "orderByAsc": best.direction == "min",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {column: _width(column) for column in columns},
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [_by_param(name) for name in groups]},
        "useGroupedValuesInCharts": False,  # replicates apart: their spread is seen, and pictures belong to runs
        "runsHiddenMode": "SHOWALL",
    } | _charts(name)


def _columns(results: list[TrialResult], rows: dict[str, ScoreRow]) -> list[str]:
    columns = [f"metrics.`{name}`" for k, row in enumerate(rows.values()) for name in _shown(row, first=k == 0)]
    if any(result.outside for result in results):
        columns.append("tags.`nsbench.outside`")
    if any(result.status != "ok" for result in results):
        columns.append("tags.`nsbench.status`")
    return columns


def _shown(row: ScoreRow, *, first: bool) -> list[str]:
    """The names of MLflow's metrics that the table shows for a score. first: beside all anchors that it should beat."""
    names = ("floor", *(RIVALS if first else ()), "skill")
    anchored = [f"{score_name(row)}_{name}" for name in names if getattr(row, name, None) is not None]
    return [score_name(row), *anchored, *(extra_name(row, extra) for extra, _ in row.columns)]


def _width(column: str) -> int:
    """The width of a column in pixels, enough to read its heading."""
    return max(110, 8 * len(column.split("`")[1]) + 36)


def _by_param(name: str) -> dict[str, str]:
    return {"mode": "param", "groupByData": name}


def _charts(score: str) -> dict[str, Any]:
    """The charts, as JSON: an overview, then the sections that MLflow fills by itself, by the beginnings of names."""
    overview: list[dict[str, Any]] = [
        {"type": "BAR", "metricKey": score},
        {"type": "SCATTER", "xaxis": _axis(_COST), "yaxis": _axis(score)},
        {"type": "IMAGE", "imageKeys": [IMAGES], "step": 0, "showRunParams": False},
    ]
    common = {"metricSectionId": _id("overview"), "deleted": False, "isGenerated": False}
    charts = [chart | common | {"uuid": _id(f"chart-{k}")} for k, chart in enumerate(overview)]
    sections = [
        {"uuid": _id(name), "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": True}
        for name in _SECTIONS
    ]
    return {"compareRunCharts": charts, "compareRunSections": sections, "isAccordionReordered": True}


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _id(name: str) -> str:
    return f"{VIEW}-{name}"
