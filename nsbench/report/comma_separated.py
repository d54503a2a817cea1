"""The report as CSV: a row for each number, for programs."""

from __future__ import annotations

import csv
import io

from nsbench.results.summary import Line, MetricColumn, Summary

COLUMNS = (
    *("dataset", "simulator", "row", "metric", "unit", "direction", "kind", "value", "low", "high", "interval"),
    *("replicates", "best_or_tied", "skill", "ok", "not_ok", "absent"),
)


def to_csv(summary: Summary) -> str:
    """A row for each simulator and metric; then a row for each number that stands beside a metric."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for line in summary.lines:
        for metric in summary.metrics:
            if metric.name in line.cells:
                writer.writerows(_rows(line, metric))
        if not line.cells:
            writer.writerow(_about(line))
    return text.getvalue()


def _about(line: Line) -> dict[str, object]:
    ok, total = line.statuses.get("ok", 0), sum(line.statuses.values())
    counts = {"ok": ok, "not_ok": total - ok} if line.statuses else {}
    return {"dataset": line.dataset, "simulator": line.name, "row": line.kind, **counts}


def _rows(line: Line, metric: MetricColumn) -> list[dict[str, object]]:
    cell, about = line.cells[metric.name], _about(line)
    low, high = cell.interval or ("", "")
    interval = "" if cell.interval is None else "replicates" if cell.replicates > 1 else "test cases"
    main = about | {
        "metric": metric.name,
        "unit": metric.unit,
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
    beside = [
        about | {"metric": f"{metric.name}: {heading}", "value": value, "replicates": cell.replicates}
        for heading, value in cell.extras.items()
    ]
    return [main, *beside]
