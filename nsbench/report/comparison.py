"""A comparison in the forms that people and programs read: a table, a sentence for each metric, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from nsbench import quantities
from nsbench.names import printable
from nsbench.outcomes.comparison import Comparison, Comparisons
from nsbench.outcomes.statistics import FLIPS, Interval
from nsbench.report.tables import ABSENT, Table


def comparison_table(comparisons: Comparisons) -> Table:
    """The table of a comparison: a row for each metric and dataset."""
    many_datasets = len({row.dataset for row in comparisons.rows}) > 1
    naming = ["metric", *(["dataset"] if many_datasets else [])]
    a, b = comparisons.a, comparisons.b
    sizes = [a, b, f"{a} − {b}", "95 %\ninterval", "ratio", "95 %\ninterval"]
    tests = ["in\nfloors", "p", "p\nHolm", "better"]
    rows = [
        [
            f"{row.metric} {quantities.arrow(row.direction)}{_unit(row)}",
            *([row.dataset] if many_datasets else []),
            *_cells(comparisons, row),
        ]
        for row in comparisons.rows
    ]
    first, last = len(naming), len(naming) + len(sizes)
    return Table([*naming, *sizes, *tests], rows, [range(first), range(first, last), range(last, last + len(tests))])


def _cells(comparisons: Comparisons, row: Comparison) -> list[str]:
    paired = row.paired
    if paired is None:
        return [_number(row.a), _number(row.b), *[ABSENT] * 7, _verdict(comparisons, row)]
    return [
        _number(row.a),
        _number(row.b),
        _number(paired.difference, signed=True),
        _interval(paired.interval, signed=True),
        _number(paired.ratio),
        _interval(paired.ratio_interval),
        _number(row.effect, signed=True),
        _p(paired.p),
        _p(row.p_holm),
        _verdict(comparisons, row),
    ]


def sentences(comparisons: Comparisons) -> Iterator[str]:
    """A sentence about each metric, followed by the notes and the explanation of p and floors."""
    many_datasets = len({row.dataset for row in comparisons.rows}) > 1
    for row in comparisons.rows:
        where = f" on {row.dataset}" if many_datasets else ""
        yield f"{row.metric}{where}: {_sentence(comparisons, row)}"
    yield from comparisons.notes
    if any(row.p_holm is not None for row in comparisons.rows):
        exact = {row.paired.exact for row in comparisons.rows if row.paired and row.paired.p is not None}
        flips = {True: "every assignment", False: f"{FLIPS:,} random ones"}
        yield (
            f"p: sign flips over test cases ({' or '.join(flips[e] for e in sorted(exact, reverse=True))}), "
            "corrected for all tests above (Holm)."
        )
    if any(row.effect is not None for row in comparisons.rows):
        yield "in floors: the difference divided by the size of the ground truth's score against itself."


def _sentence(comparisons: Comparisons, row: Comparison) -> str:
    if row.paired is None:
        return f"not compared: {row.reason}."
    names, size = (comparisons.a, comparisons.b), _size(row)
    if row.verdict == "untested":
        return f"{names[0]} has {_number(row.a)}, {names[1]} {_number(row.b)}; {size}; {row.reason}."
    tested = f"{size}, p {_equals(row.p_holm)} over {row.over}"
    if row.verdict == "open":
        return f"no winner: {names[0]} − {names[1]} is {tested}."
    first, second = names if row.verdict == "a" else names[::-1]
    return f"{first} is better than {second}: {names[0]} − {names[1]} is {tested}."


def _size(row: Comparison) -> str:
    assert row.paired is not None
    paired, unit = row.paired, _unit(row)
    text = f"{_number(paired.difference, signed=True)}{unit}"
    if paired.interval is not None:
        text += f" ({_interval(paired.interval, signed=True)}"
        text += f"; {quantities.number(abs(row.effect))} floors)" if row.effect is not None else ")"
    return text if row.verdict != "untested" else f"difference {text}, {row.over}"


def _verdict(comparisons: Comparisons, row: Comparison) -> str:
    """The name of the better simulator, or a word for a comparison without a winner."""
    words = {"open": "open", "untested": "no test", "not compared": ABSENT}
    return ({"a": comparisons.a, "b": comparisons.b} | words)[row.verdict]


def _unit(row: Comparison) -> str:
    return "" if row.unit == "1" else f" {row.unit}"


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ABSENT
    return quantities.signed(value) if signed else quantities.number(value)


def _interval(ends: Interval | None, *, signed: bool = False) -> str:
    return ABSENT if ends is None else " … ".join(_number(end, signed=signed) for end in ends)


def _p(p: float | None) -> str:
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _equals(p: float | None) -> str:
    text = _p(p)
    return text if text.startswith("<") else f"= {text}"


def records(comparisons: Comparisons) -> list[dict[str, Any]]:
    """Flat records, one for each metric and dataset; None stands for a missing value."""
    return [_record(comparisons, row) for row in comparisons.rows]


def _record(comparisons: Comparisons, row: Comparison) -> dict[str, Any]:
    paired = row.paired
    low, high = (paired.interval if paired else None) or (None, None)
    ratio_low, ratio_high = (paired.ratio_interval if paired else None) or (None, None)
    return {
        "dataset": row.dataset,
        "metric": row.metric,
        "unit": row.unit,
        "direction": row.direction,
        "kind": row.label,
        "a": comparisons.a,
        "b": comparisons.b,
        "value_a": row.a,
        "value_b": row.b,
        "difference": paired.difference if paired else None,
        "difference_low": low,
        "difference_high": high,
        "ratio": paired.ratio if paired else None,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "floor": row.floor,
        "floors": row.effect,
        "p": paired.p if paired else None,
        "p_holm": row.p_holm,
        "exact": paired.exact if paired and paired.p is not None else None,
        "over": row.over,
        "better": {"a": comparisons.a, "b": comparisons.b}.get(row.verdict),
        "verdict": row.verdict if row.verdict not in ("a", "b") else "better",
        "reason": row.reason,
    }


def to_csv(comparisons: Comparisons) -> str:
    """The records as CSV; an empty cell stands for a missing value."""
    text = io.StringIO()
    rows = records(comparisons)
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: printable(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows
    )
    return text.getvalue()


def to_json(comparisons: Comparisons) -> str:
    """The records and notes as JSON."""
    content = {
        "a": comparisons.a,
        "b": comparisons.b,
        "metrics": records(comparisons),
        "notes": list(comparisons.notes),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
