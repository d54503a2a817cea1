"""The summary of a dataset as a grid of text: simulators by quantities, either way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary
from nsbench.quantities import number
from nsbench.report.tables import ABSENT, MARK


@dataclass(frozen=True)
class Entry:
    """The text of a cell. around: the interval, "± 1.2" or "14.9 … 17.3". note: why there is no value."""

    text: str
    around: str = ""
    best: bool = False
    note: str = ""


@dataclass(frozen=True)
class Quantity:
    """A metric, one of its own columns, or the trials' outcomes.

    of: the metric's name, "" for trials' outcomes. main: it is the metric itself. primary: and the primary one.
    """

    heading: str
    unit: str
    of: str
    main: bool
    primary: bool = False


@dataclass(frozen=True)
class Grid:
    """A dataset's cells, by line and quantity. across: whether the lines are shown as columns."""

    dataset: str
    lines: tuple[Line, ...]
    quantities: tuple[Quantity, ...]
    cells: tuple[tuple[Entry, ...], ...]
    across: bool


def grid(summary: Summary, dataset: str) -> Grid:
    """The grid of a dataset, without quantities that are absent everywhere. The longer side runs down."""
    lines = tuple(line for line in summary.lines if line.dataset == dataset)
    columns: list[tuple[Quantity, list[Entry]]] = []
    for metric in summary.metrics:
        cells = [line.cells.get(metric.name, Cell()) for line in lines]
        primary = metric.name == summary.primary
        heading = Quantity(f"{metric.name} {metric.arrow}", _unit_and_kind(metric, cells), metric.name, True, primary)
        columns.append((heading, values(cells)))
        columns += _own_columns(metric, cells, with_skill=primary)
    if not all(line.complete for line in lines):
        columns.append((Quantity("trials", "", "", False), [statuses(line) for line in lines]))
    shown = [(q, entries) for q, entries in columns if q.main or any(e.text != ABSENT for e in entries)]
    return arranged(dataset, lines, shown, across=len(shown) >= len(lines))


def arranged(
    dataset: str, lines: Sequence[Line], columns: Sequence[tuple[Quantity, Sequence[Entry]]], *, across: bool
) -> Grid:
    """The grid of lines and of quantities with an entry for each line."""
    cells = tuple(zip(*(entries for _, entries in columns), strict=True))
    return Grid(dataset, tuple(lines), tuple(quantity for quantity, _ in columns), cells, across)


def _own_columns(metric: MetricColumn, cells: list[Cell], *, with_skill: bool) -> list[tuple[Quantity, list[Entry]]]:
    columns: list[tuple[Quantity, list[Entry]]] = []
    if with_skill:
        skills = [Entry(ABSENT if c.skill is None else f"{c.skill:.2f}") for c in cells]
        columns.append((Quantity("skill", "", metric.name, False), skills))
    for heading in metric.extras:
        columns.append((Quantity(heading, "", metric.name, False), own_values(heading, cells)))
    if len(_labels(cells)) > 1:
        columns.append((Quantity("kind", "", metric.name, False), [Entry(c.label or ABSENT) for c in cells]))
    return columns


def own_values(heading: str, cells: Sequence[Cell]) -> list[Entry]:
    """The entries of a metric's own column."""
    return [Entry(number(c.extras[heading]) if heading in c.extras else ABSENT) for c in cells]


def _labels(cells: Sequence[Cell]) -> set[str]:
    return {cell.label for cell in cells if cell.value is not None} - {""}


def values(cells: Sequence[Cell]) -> list[Entry]:
    """The entries of a metric."""
    return [
        Entry(ABSENT, note=cell.absent) if cell.value is None else Entry(number(cell.value), around(cell), cell.best)
        for cell in cells
    ]


def around(cell: Cell) -> str:
    """A cell's interval as text: half its width if it is over replicates, its ends if it is the score's own."""
    if cell.interval is None or cell.value is None:
        return ""
    low, high = cell.interval
    half = (high - low) / 2 if high - low > 1e-9 * abs(cell.value) else 0.0
    return f"± {number(half)}" if cell.replicates > 1 else f"{number(low)} … {number(high)}"


def heading(line: Line) -> str:
    """The name of a line, with the marks of rollouts made elsewhere and of costs measured on other hardware."""
    return line.name + " †" * line.outside + f" {MARK}" * line.elsewhere


def statuses(line: Line) -> Entry:
    """The entry that counts a line's trials by status."""
    return Entry(", ".join(f"{count} {status}" for status, count in line.statuses.items()) or ABSENT)


def _unit_and_kind(metric: MetricColumn, cells: Sequence[Cell]) -> str:
    """The unit, and the kind of the scores if all are of one kind."""
    labels = _labels(cells)
    return ", ".join(filter(None, [unit(metric, cells), *(labels if len(labels) == 1 else ())]))


def unit(metric: MetricColumn, cells: Sequence[Cell]) -> str:
    """The unit of a metric on a dataset; "" for a number without one."""
    here = next((cell.unit for cell in cells if cell.unit), metric.unit)
    return "" if here == "1" else here


def legend(summary: Summary) -> list[str]:
    """The notes below a grid: the primary metric, the meaning of its intervals and of bold text."""
    many_fits = any(cell.replicates > 1 for line in summary.lines for cell in line.cells.values())
    one_fit = any(cell.replicates == 1 for line in summary.lines for cell in line.cells.values())
    lines = [f"primary metric: {summary.primary}, which claims rest on; the others help to explain it."]
    if many_fits:
        lines.append("mean ± half of the 95 % t-interval over replicates (other fits, the same test cases).")
    if one_fit:
        lines.append(
            "low … high: of a single replicate, the score's own 95 % interval over test cases; "
            "what another fit would score is not in it."
        )
    if any(cell.best for line in summary.lines for cell in line.cells.values()):
        lines.append(
            "bold: the best simulator, and those that cannot be told from it: no significant difference when paired "
            "over test cases and replicates (5 %, max-T), or, where there are no pairs, intervals that overlap."
        )
    return lines
