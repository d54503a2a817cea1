"""A comparison in the forms that people and programs read: a table, a sentence for each metric, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any

from nsbench import quantities
from nsbench.names import printable
from nsbench.outcomes.comparison import LEVEL, Comparison, Comparisons
from nsbench.outcomes.power import MOST, POWER
from nsbench.outcomes.statistics import Interval
from nsbench.report.tables import ABSENT, Table


def comparison_table(comparisons: Comparisons) -> Table:
    """The table of a comparison: a row for each metric and dataset, or for each simulator and dataset."""
    many_datasets = len({row.dataset for row in comparisons.rows}) > 1
    b = comparisons.b
    naming = ["metric" if comparisons.a else "simulator", *(["dataset"] if many_datasets else [])]
    a = comparisons.a or f"{comparisons.primary}\n{_arrows(comparisons)}"
    sizes = [a, b, f"{comparisons.a or 'it'} − {b}", "95 %\ninterval", "ratio", "95 %\ninterval"]
    equal = [f"p within\n{_share(comparisons)}"] if comparisons.margin else []
    tests = ["in\nfloors", "p", "p\nmax-T", *equal, "outcome"]
    if comparisons.a:
        tests = ["role", *tests]
    rows = [
        [
            f"{row.metric} {quantities.arrow(row.direction)}{_unit(row)}" if comparisons.a else row.simulator,
            *([row.dataset] if many_datasets else []),
            *_cells(comparisons, row),
        ]
        for row in comparisons.rows
    ]
    first, last = len(naming), len(naming) + len(sizes)
    return Table([*naming, *sizes, *tests], rows, [range(first), range(first, last), range(last, last + len(tests))])


def _arrows(comparisons: Comparisons) -> str:
    row = comparisons.rows[0]
    return f"{quantities.arrow(row.direction)}{_unit(row)}"


def _cells(comparisons: Comparisons, row: Comparison) -> list[str]:
    paired = row.paired
    role = [_role(row)] if comparisons.a else []
    equal = [_p(row.p_equivalent)] if comparisons.margin else []
    if paired is None:
        blank = [ABSENT] * (3 + len(equal))
        return [_number(row.a), _number(row.b), *[ABSENT] * 4, *role, *blank, _outcome(comparisons, row)]
    return [
        _number(row.a),
        _number(row.b),
        _number(paired.difference, signed=True),
        _interval(paired.interval, signed=True),
        _number(paired.ratio),
        _interval(paired.ratio_interval),
        *role,
        _number(row.effect, signed=True),
        _p(paired.p),
        _p(row.p_adjusted),
        *equal,
        _outcome(comparisons, row),
    ]


def _role(row: Comparison) -> str:
    return "primary" if row.primary else "exploratory"


def sentences(comparisons: Comparisons) -> Iterator[str]:
    """A sentence about each row, followed by the notes and the explanation of roles, p and floors."""
    many_datasets = len({row.dataset for row in comparisons.rows}) > 1
    for row in comparisons.rows:
        where = f" on {row.dataset}" if many_datasets else ""
        yield f"{row.metric}{where} ({_role(row)}): {_sentence(comparisons, row)}"
    yield from comparisons.notes
    for primary in (True, False):
        tests = {row.tests for row in comparisons.rows if row.primary is primary and row.p_adjusted is not None}
        if tests:
            yield _family(comparisons, primary, tests.pop())
    if any(row.effect is not None for row in comparisons.rows):
        yield "in floors: the difference divided by the size of the ground truth's score against itself."


def _family(comparisons: Comparisons, primary: bool, tests: int) -> str:
    """What p was corrected for, in words."""
    count = f"{tests} tests, those" if tests > 1 else "one test, that"
    if primary:
        return (
            f"primary: {comparisons.primary}, named before anything was run, decides; p (max-T) is corrected for "
            f"{count} of all simulators against {comparisons.b}."
        )
    return f"exploratory: p (max-T) is corrected for {count} of this pair's other metrics; nothing is decided."


def _sentence(comparisons: Comparisons, row: Comparison) -> str:
    if row.paired is None:
        return f"not compared: {row.reason}."
    names, size = (row.simulator, comparisons.b), _size(row)
    if row.verdict == "untested":
        return f"{names[0]} has {_number(row.a)}, {names[1]} {_number(row.b)}; {size}; {row.reason}."
    tested = f"{names[0]} − {names[1]} is {size}, p {_equals(row.p_adjusted)} over {row.over}"
    if row.verdict == "undecided":
        return f"undecided: {tested}{_needed(row)}."
    if row.verdict == "equivalent":
        return f"{_outcome(comparisons, row)}, p {_equals(row.p_equivalent)}: {tested}."
    first, second = names if row.verdict == "a" else names[::-1]
    return f"{first} is better than {second}: {tested}{_though(comparisons, row)}."


def _needed(row: Comparison) -> str:
    """What would decide, in words."""
    if row.needed is None:
        return ""
    if math.isinf(row.needed):
        return "; cases decide, not fits: more test cases are needed"
    count = f"{MOST:,} fits of each or more" if row.needed >= MOST else f"about {row.needed:.0f} fits of each"
    return f"; {count} would decide, were this the true difference ({POWER:.0%} power)".replace("%", " %")


def _though(comparisons: Comparisons, row: Comparison) -> str:
    """That a difference is clear and yet small, in words."""
    close = row.p_equivalent is not None and row.p_equivalent < LEVEL
    return f"; yet equivalent within {_share(comparisons)}" if close else ""


def _size(row: Comparison) -> str:
    assert row.paired is not None
    paired, unit = row.paired, _unit(row)
    text = f"{_number(paired.difference, signed=True)}{unit}"
    if paired.interval is not None:
        text += f" ({_interval(paired.interval, signed=True)}"
        text += f"; {quantities.number(abs(row.effect))} floors)" if row.effect is not None else ")"
    return text if row.verdict != "untested" else f"difference {text}, {row.over}"


def _outcome(comparisons: Comparisons, row: Comparison) -> str:
    """The name of the better simulator, or words for a comparison without one."""
    words = {
        "a": f"{row.simulator} better",
        "b": f"{comparisons.b} better",
        "equivalent": f"equivalent within {_share(comparisons)}",
        "undecided": "undecided",
        "untested": "no test",
        "not compared": ABSENT,
    }
    return words[row.verdict]


def _share(comparisons: Comparisons) -> str:
    return f"{100 * (comparisons.margin or 0):g} %"


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
    """Flat records, one for each row; None stands for a missing value."""
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
        "role": _role(row),
        "a": row.simulator,
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
        "p_max_t": row.p_adjusted,
        "tests": row.tests or None,
        "margin": comparisons.margin,
        "p_equivalent": row.p_equivalent,
        "fits_needed": row.needed if row.needed is None or math.isfinite(row.needed) else None,
        "limit": None if row.needed is None else "cases" if math.isinf(row.needed) else "fits",
        "over": row.over,
        "better": {"a": row.simulator, "b": comparisons.b}.get(row.verdict),
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
        "a": comparisons.a or None,
        "b": comparisons.b,
        "primary": comparisons.primary,
        "metrics": records(comparisons),
        "notes": list(comparisons.notes),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
