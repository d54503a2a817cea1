"""The compact matrix of a dataset: metrics by simulators on one screen, the primary metric first.

Its rows are the metrics, one a kind of score, so that what stands in a row may be compared; below a metric of costs,
its own columns. Its columns are the simulators, then the anchors that say what a score is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nsbench.components.metric import Anchor
from nsbench.outcomes.series import series_of
from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary
from nsbench.report.grid import Entry, Grid, Quantity, arranged, own_values, statuses, unit, values
from nsbench.report.tables import ABSENT

SCALES: tuple[Anchor, ...] = ("floor", "best_deterministic", "analogue")
"""The anchors that stand beside the simulators, in tables and pictures; others only where the suite lists them."""

TRIES = 6
"""The most tries of a series that all have a column; of more the best one has."""

UNKNOWN_KIND = "kind not recorded"

Row = tuple[Quantity, list[Entry]]


def matrix(summary: Summary, dataset: str) -> Grid:
    """The matrix of a dataset. Only the primary metric has intervals; any other without a value has no row."""
    lines = matrix_lines(summary, dataset)
    shared = shared_kinds(summary, dataset)
    rows = [
        row
        for metric in summary.metrics
        if metric.name == summary.primary
        or any(line.cells.get(metric.name, Cell()).value is not None for line in lines)
        for row in _rows(metric, lines, shared)
    ]
    if not rows:  # nothing has ended well: the words are all that there is
        rows = [(Quantity(summary.primary, "", summary.primary, True), [Entry(ABSENT)] * len(lines))]
    rows = [_as_primary(row) if row[0].of == summary.primary and row[0].main else row for row in rows]
    first, entries = rows[0]
    rows[0] = first, [_in_words(line, entry) for line, entry in zip(lines, entries, strict=True)]
    if any(len(line.statuses) > 1 for line in lines):
        rows.append((Quantity("trials", "", "", True), [statuses(line) for line in lines]))
    bare = [(q, entries if q.primary else [replace(e, around="") for e in entries]) for q, entries in rows]
    return arranged(dataset, lines, bare, across=True)


def matrix_lines(summary: Summary, dataset: str) -> list[Line]:
    """The lines of a summary that the matrix shows: simulators, then the anchors of SCALES, then others listed.

    Of a series with more than TRIES tries, as far as they have scores, it shows the best.
    """
    beaten = beaten_tries(summary, dataset)
    lines = [line for line in summary.lines if line.dataset == dataset and line.name not in beaten]
    simulators = [line for line in lines if line.kind == "simulator"]
    scales = [line for name in SCALES for line in lines if line.anchor == name]
    listed = [line for line in lines if line.anchor and line.anchor not in SCALES and line.statuses]
    return [*simulators, *scales, *listed]


def beaten_tries(summary: Summary, dataset: str) -> set[str]:
    """The tries that have no column because another of their many is the best."""
    many = [series for series in series_of(summary, dataset) if len(series.tries) > TRIES and series.best is not None]
    best = {series.best for series in many}
    return {attempt.simulator for series in many for attempt in series.tries if attempt not in best}


def kinds(metric: MetricColumn, lines: Sequence[Line]) -> list[str]:
    """The kinds of a metric's scores, in order: one at least, "" for scores without one.

    The kind of an anchor that is no trial of the suite is not recorded: it counts as that of the trials, where they
    are of one kind.
    """
    scored = [(line, cell) for line in lines if (cell := line.cells.get(metric.name)) and cell.value is not None]
    known = list(dict.fromkeys(cell.label for line, cell in scored if line.statuses))  # in the order of lines
    unknown = any(cell.label not in known for _, cell in scored)
    return [*known, ""] if unknown and len(known) != 1 else known or [""]


def shared_kinds(summary: Summary, dataset: str) -> dict[str, list[str]]:
    """{kind: metrics} of kinds that are the only one of several metrics, as "8 members": a footnote tells them."""
    lines = matrix_lines(summary, dataset)
    metrics: dict[str, list[str]] = {}
    for metric in summary.metrics:
        if len(every := kinds(metric, lines)) == 1 and every[0]:
            metrics.setdefault(every[0], []).append(metric.name)
    return {kind: names for kind, names in metrics.items() if len(names) > 1}


def of_kind(cell: Cell, kind: str, every: Sequence[str]) -> bool:
    """Whether a cell's score, if it has one, belongs to a row of that kind. every: all kinds of the metric."""
    return cell.value is None or cell.label == kind or len(every) == 1


def _rows(metric: MetricColumn, lines: Sequence[Line], shared: dict[str, list[str]]) -> Iterator[Row]:
    """The rows of a metric: one a kind, and its own columns where it is one of costs."""
    cells = [line.cells.get(metric.name, Cell()) for line in lines]
    every = kinds(metric, lines)
    for kind in every:
        belongs = [of_kind(cell, kind, every) for cell in cells]
        here = [cell if belong else Cell() for cell, belong in zip(cells, belongs, strict=True)]
        entries = [e if belong else Entry("") for e, belong in zip(values(here), belongs, strict=True)]
        known = any(cell.value is not None for cell, line in zip(here, lines, strict=True) if line.statuses)
        word = "" if kind in shared else kind if known or len(every) == 1 else UNKNOWN_KIND
        words = ", ".join(filter(None, [unit(metric, here), word]))
        yield Quantity(f"{metric.name} {metric.arrow}", words, metric.name, True), entries
        for heading in metric.extras if metric.costs else ():
            numbers = own_values(heading, here)
            if any(entry.text != ABSENT for entry in numbers):
                yield Quantity(heading, "", metric.name, False), numbers


def _as_primary(row: Row) -> Row:
    return replace(row[0], primary=True), row[1]


def _in_words(line: Line, entry: Entry) -> Entry:
    """The entry, or how the trials of its line ended, where none of them ended well."""
    ended = line.statuses and "ok" not in line.statuses
    return Entry(max(line.statuses, key=line.statuses.__getitem__), note=entry.note) if ended else entry
