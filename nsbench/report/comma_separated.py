"""The report as CSV, for programs: a row for each number."""

from __future__ import annotations

import csv
import io

from nsbench.names import printable
from nsbench.outcomes.summary import Line, MetricColumn, Summary

COLUMNS = (
    *("dataset", "simulator", "row", "metric", "unit", "direction", "kind", "value", "low", "high", "interval"),
    *("replicates", "best_or_tied", "skill", "ok", "not_ok", "absent", "series"),
)


def to_csv(summary: Summary) -> str:
    """The CSV text: a row for each score of a simulator, followed by a row for each of the metric's own columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for line in summary.lines:
        for metric in summary.metrics:
            if metric.name in line.cells:
                writer.writerows(map(_printable, _rows(line, metric)))
        if not line.cells:
            writer.writerow(_printable(_line_cells(line)))
    return text.getvalue()


def _printable(cells: dict[str, object]) -> dict[str, object]:
    """The cells with hidden characters of their texts made visible."""
    return {name: printable(cell) if isinstance(cell, str) else cell for name, cell in cells.items()}


def _line_cells(line: Line) -> dict[str, object]:
    ok, total = line.statuses.get("ok", 0), sum(line.statuses.values())
    counts = {"ok": ok, "not_ok": total - ok} if line.statuses else {}
    return {"dataset": line.dataset, "simulator": line.name, "row": line.kind, "series": line.series, **counts}


def _rows(line: Line, metric: MetricColumn) -> list[dict[str, object]]:
    cell, line_cells = line.cells[metric.name], _line_cells(line)
    low, high = cell.interval or ("", "")
    interval = "" if cell.interval is None else "replicates" if cell.replicates > 1 else "test cases"
    main = line_cells | {
        "metric": metric.name,
        "unit": cell.unit or metric.unit,
        "direction": metric.direction,
        "kind": cell.label,
        "value": "" if cell.value is None else cell.value,
        "low": low,
        "high": high,
        "interval": interval,
        "replicates": cell.replicates,
        "best_or_tied": "yes" if cell.best else "no",
        "skill": "" if cell.skill is None else cell.skill,
        "absent": cell.absent,
    }
    extras = [
        line_cells | {"metric": f"{metric.name}: {heading}", "value": value, "replicates": cell.replicates}
        for heading, value in cell.extras.items()
    ]
    return [main, *extras]
