"""Who leads by the primary metric, and whether the lead is worth something, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary
from nsbench.report.matrix import kinds, matrix_lines, of_kind

RIVALS = ("best_deterministic", "analogue")
"""The anchors that a simulator is there to beat."""

RULE = "better, worse: outside of the leader's 95 % interval."


def verdict(summary: Summary, dataset: str) -> list[str]:
    """A sentence for each kind of the primary metric's scores; nothing where no simulator's trial ended well.

    It claims no more than the matrix shows: the lead is of those that are marked best, and they are better or worse
    than an anchor whose score, or interval, lies outside of the interval of the first of them.
    """
    lines = matrix_lines(summary, dataset)
    metric = summary.primary_column()
    if metric is None or not any("ok" in line.statuses for line in lines if line.kind == "simulator"):
        return []
    return list(_sentences(metric, lines)) or [f"{metric.name}: no simulator has a score."]


def _sentences(metric: MetricColumn, lines: Sequence[Line]) -> Iterator[str]:
    every = kinds(metric, lines)
    for kind in every:
        scored = [
            (line, cell)
            for line in lines
            if line.kind == "simulator" and (cell := line.cells.get(metric.name)) is not None
            if cell.value is not None and of_kind(cell, kind, every)
        ]
        if scored:
            scored.sort(key=lambda pair: (pair[1].value or 0.0) * (1 if metric.direction == "min" else -1))
            title = f"{metric.name}, {kind}" if len(every) > 1 and kind else metric.name
            compared = _beside(metric, scored[0], lines)
            yield f"{title}: {_lead(scored)}{'; ' if compared else ''}{compared}."


def _lead(scored: Sequence[tuple[Line, Cell]]) -> str:
    """Who leads. scored: the best first."""
    names = [line.name for line, cell in scored if cell.best]
    if len(scored) == 1:
        return f"{scored[0][0].name} alone has a score"
    if not names:
        return f"{scored[0][0].name} is first, and no error is known that would make it a lead"
    if len(names) == 1:
        return f"{names[0]} leads"
    return f"{', '.join(names[:-1])} and {names[-1]} lead and cannot be told apart"


def _beside(metric: MetricColumn, first: tuple[Line, Cell], lines: Sequence[Line]) -> str:
    """How the first simulator stands to the anchors that it should beat."""
    line, cell = first
    words: dict[str, list[str]] = {}
    for rival in (rival for name in RIVALS for rival in lines if rival.anchor == name):
        other = rival.cells.get(metric.name)
        if other is not None and other.value is not None and other.label in ("", cell.label):
            words.setdefault(_relation(metric, cell, other), []).append(rival.name)
    if not words:
        return ""
    return f"{line.name} is " + ", ".join(f"{relation} {' and '.join(names)}" for relation, names in words.items())


def _relation(metric: MetricColumn, cell: Cell, other: Cell) -> str:
    if cell.interval is None or cell.value is None or other.value is None:
        return "without an interval to be compared with"
    low, high = other.interval or (other.value, other.value)
    below, above = cell.interval[1] < low, cell.interval[0] > high
    if not (below or above):
        return "not told from"
    return "better than" if below == (metric.direction == "min") else "worse than"
