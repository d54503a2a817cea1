"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from nsbench.outcomes.summary import Line, Summary
from nsbench.report.grid import Entry, Grid, Quantity, grid, heading, legend
from nsbench.report.series import RULE, curve_sentences, series_sentences
from nsbench.report.tables import Table, in_markdown, plain


def to_markdown(summary: Summary, notes: Sequence[str]) -> str:
    """The Markdown text: a title, for each dataset a table and lines on its series, failed trials, and notes."""
    parts = [f"# {summary.suite}"]
    for dataset in summary.datasets:
        parts += [f"## {dataset}", plain(_table(grid(summary, dataset)))]
        if sentences := series_sentences(summary, dataset):
            parts.append(_list([*sentences, RULE]))
        if sentences := curve_sentences(summary, dataset):
            parts.append(_list(sentences))
    if summary.failed:
        rows = [[name, status, error] for name, status, error in summary.failed]
        parts += [
            f"## Trials without a result: {len(rows)}",
            plain(Table(["trial", "status", "what happened"], rows, [])),
        ]
    return "\n\n".join([*parts, _list([*legend(summary), *notes])]) + "\n"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {in_markdown(line)}" for line in lines)


def _table(layout: Grid) -> Table:
    names = [_name(line) for line in layout.lines]
    headings = [_heading(quantity) for quantity in layout.quantities]
    cells = [[_entry(entry) for entry in row] for row in layout.cells]
    if layout.across:
        return Table(
            ["", *names], [[h, *column] for h, column in zip(headings, zip(*cells, strict=True), strict=True)], []
        )
    return Table(["simulator", *headings], [[n, *row] for n, row in zip(names, cells, strict=True)], [])


def _heading(quantity: Quantity) -> str:
    parts = [quantity.heading, quantity.unit if quantity.main else "", "(primary metric)" if quantity.primary else ""]
    return " ".join(filter(None, parts))


def _name(line: Line) -> str:
    """The name of a line, in italics for anchors and null models."""
    return heading(line) if line.kind == "simulator" else f"*{heading(line)}*"


def _entry(entry: Entry) -> str:
    value = f"**{entry.text}**" if entry.best else entry.text
    if not entry.around:
        return value
    return f"{value} {entry.around}" if entry.around.startswith("±") else f"{value} ({entry.around})"
