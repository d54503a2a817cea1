"""The long tables of a run: every score with its interval, anchors and skill.

The first has a row for each trial, with the suite's first metrics side by side, each with floor, skill and its own
columns. If there are more metrics, a second has a row for each of their scores, metric by metric, with all anchors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nsbench.components.intervals import LEAST_UNITS
from nsbench.components.metric import ANCHORS
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.names import printable
from nsbench.outcomes.hardware import odd_hardware
from nsbench.outcomes.summary import spoken
from nsbench.quantities import arrow, number

ABSENT = "–"

ABREAST = 3
"""The number of metrics that fit side by side in one table."""

MARK = "‡"
"""The mark behind the name of a trial whose costs were measured on other hardware than most."""

_MARKS = re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)|[|`]|<(?=[A-Za-z/!?])|\](?=[(\[:])")
"""Characters that Markdown takes for the end of a cell, or the begin of code, a tag or a link."""

_ANCHORS = {anchor: spoken(anchor) for anchor in ANCHORS}

_ZEROS = {
    "best_deterministic": "one truth for all members, the medoid of new draws (best-deterministic)",
    "analogue": "the nearest training trajectories (analogue)",
    "noise_free": "the ground truth without its noise",
    "climatology": "a truth of any other parameters (climatology)",
    "persistence": "the start state, unchanged (persistence)",
}


@dataclass(frozen=True)
class Table:
    """A table of text.

    groups: the columns that belong together, first those that name the trial, then a group for each metric.
    """

    headings: list[str]
    rows: list[list[str]]
    groups: list[range]

    def part(self, group: range) -> Table:
        """A table with the columns that name the trial and those of one metric."""
        columns = [*self.groups[0], *group]
        return Table(
            [self.headings[c] for c in columns],
            [[row[c] for c in columns] for row in self.rows],
            [self.groups[0], range(len(self.groups[0]), len(columns))],
        )


def results_tables(results: Sequence[TrialResult], primary: str = "") -> list[Table]:
    """The results in one table or two, without columns that are absent for all trials. primary: the first metric."""
    metrics = list(dict.fromkeys(score.metric for r in results for score in r.scores))
    metrics.sort(key=lambda name: name != primary)  # stable
    abreast, remaining = metrics[:ABREAST], metrics[ABREAST:]
    return [_wide_table(results, abreast), *([_long_table(results, remaining)] if remaining else [])]


def _wide_table(results: Sequence[TrialResult], metrics: list[str]) -> Table:
    """A table with a row for each trial."""
    columns = _trial_columns(results)
    groups = [range(len(columns))]
    for metric in metrics:
        columns += _metric_columns(metric, [_find(r, metric) for r in results])
        groups.append(range(groups[-1].stop, len(columns)))
    return _table(columns, groups)


def _long_table(results: Sequence[TrialResult], metrics: list[str]) -> Table:
    """A table with a row for each score, metric by metric."""
    pairs = [(r, s) for metric in metrics for r in results if (s := _find(r, metric))]
    scores: list[ScoreRow | None] = [score for _, score in pairs]
    naming = [("metric", [_metric_title(score) for _, score in pairs]), *_trial_columns([r for r, _ in pairs])]
    columns = [
        *naming,
        ("value", [_value(score) for score in scores]),
        ("95 %\ninterval", [_interval(score) for score in scores]),
        *((heading, [_optional(getattr(score, anchor)) for _, score in pairs]) for anchor, heading in _ANCHORS.items()),
        ("skill", [_optional(score.skill if score else None, digits=2) for score in scores]),
        ("kind", [score.label if score and score.label else ABSENT for score in scores]),
        ("beside it", [_own_columns(score) for _, score in pairs]),
    ]
    shown = [column for column in columns if column in naming or any(c != ABSENT for c in column[1])]
    return _table(shown, [range(len(naming)), range(len(naming), len(shown))])


def _metric_title(score: ScoreRow) -> str:
    unit = "" if score.unit == "1" else f" {score.unit}"
    return f"{score.metric} {arrow(score.direction)}{unit}"


def _own_columns(score: ScoreRow) -> str:
    """The metric's own columns, in words."""
    columns = [(heading, score.extras[name]) for name, heading in score.columns if name in score.extras]
    return ", ".join(f"{heading} {number(value)}" for heading, value in columns) or ABSENT


def _table(columns: list[tuple[str, list[str]]], groups: list[range]) -> Table:
    rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
    return Table([heading for heading, _ in columns], rows, groups)


def _trial_columns(results: Sequence[TrialResult]) -> list[tuple[str, list[str]]]:
    """The columns that name the trials."""
    many_data = len({r.dataset for r in results}) > 1
    many_replicates = len({r.replicate for r in results}) > 1
    odd = odd_hardware(results)
    columns = [("simulator", [r.simulator + " †" * r.outside + f" {MARK}" * (r.trial in odd) for r in results])]
    if many_data:
        columns.append(("dataset", [r.dataset for r in results]))
    if many_replicates:
        columns.append(("replicate", [str(r.replicate) for r in results]))
    if any(r.status != "ok" for r in results):
        columns.append(("status", [r.status for r in results]))
    return columns


def _hardware_notes(results: Sequence[TrialResult]) -> list[str]:
    odd = odd_hardware(results)
    if not odd:
        return []
    usual = next(r.hardware for r in results if r.hardware and r.trial not in odd)
    elsewhere = "; ".join(dict.fromkeys(hardware or "unknown hardware" for hardware in odd.values()))
    return [
        f"{MARK}: costs measured on other hardware than the rest's, {usual}: on {elsewhere}. "
        "Milliseconds and seconds of marked and unmarked rows are not comparable; × truth is, roughly."
    ]


def _find(result: TrialResult, metric: str) -> ScoreRow | None:
    return next((score for score in result.scores if score.metric == metric), None)


def _metric_columns(metric: str, scores: list[ScoreRow | None]) -> list[tuple[str, list[str]]]:
    example = next(score for score in scores if score is not None)
    unit = f",\n{example.unit}" if example.unit else ""
    columns = [(f"{metric} {arrow(example.direction)}{unit}", [_value(score) for score in scores])]
    columns.append(("95 %\ninterval", [_interval(score) for score in scores]))
    columns.append(("floor", [_optional(score.floor if score else None) for score in scores]))
    columns.append(("skill", [_optional(score.skill if score else None, digits=2) for score in scores]))
    columns.append(("kind", [score.label if score and score.label else ABSENT for score in scores]))
    columns += [
        (heading, [_optional(score.extras.get(name) if score else None) for score in scores])
        for name, heading in example.columns
    ]
    return [column for column in columns if column[0].startswith(metric) or any(c != ABSENT for c in column[1])]


def _value(score: ScoreRow | None) -> str:
    return ABSENT if score is None or score.value is None else number(score.value)


def _interval(score: ScoreRow | None) -> str:
    if score is None or score.interval is None:
        return ABSENT
    return " … ".join(number(end) for end in score.interval)


def _optional(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return ABSENT
    return number(value) if digits is None else f"{value:.{digits}f}"


def notes(results: Sequence[TrialResult]) -> list[str]:
    """The notes below the tables: errors, missing scores, the meaning of floor and skill, doubts about costs."""
    lines = [f"{r.trial}: {r.status}: {r.error}" for r in results if r.error]
    lines += [f"{r.trial} changed its process: {'; '.join(r.changed)}" for r in results if r.changed]
    lines += sorted({f"{s.metric}: {s.absent}" for r in results for s in r.scores if s.absent})
    if any(r.outside for r in results):
        lines.append("†: rollouts made elsewhere, checked and scored here; costs are as their maker declares them.")
    zeros: dict[str, list[str]] = {}
    for score in (s for r in results for s in r.scores if s.skill is not None):
        zeros.setdefault(score.zero, []).append(score.metric)
    if zeros:
        lines.append("floor: the ground truth against itself, redrawn with other noise. skill: 1 at the floor;")
        lines += [f"0 at {_ZEROS[zero]}: {', '.join(dict.fromkeys(names))}." for zero, names in zeros.items()]
    lines += _without_interval(results)
    lines += _contended(results)
    if any(name == "ratio" for r in results for s in r.scores for name, _ in s.columns):
        lines.append("× truth: time over the ground truth's, both on one machine, batch by batch in turn.")
    return lines + _hardware_notes(results)


def _without_interval(results: Sequence[TrialResult]) -> list[str]:
    """A note on means over items that have no interval."""
    means = (s for r in results for s in r.scores if s.value is not None and s.items_by is not None)
    bare = dict.fromkeys(s.metric for s in means if s.interval is None)
    if not bare:
        return []
    return [
        f"no interval of {', '.join(bare)}: the test data have fewer than {LEAST_UNITS} ensembles, or trajectories, to "
        "tell from how the score varies with them; or the metric gives none."
    ]


def _contended(results: Sequence[TrialResult]) -> list[str]:
    """Notes on costs that were measured while other trials ran, or on different numbers of threads."""
    costs = [(r, s.extras) for r in results for s in r.scores if "jobs" in s.extras]
    contended = [r.trial for r, extras in costs if extras["jobs"] > 1]
    threads = {extras.get("threads") for _, extras in costs}
    lines = []
    if contended:
        lines.append(f"measured while other trials ran, so slower than alone: the costs of {', '.join(contended)}.")
    if len(threads) > 1:
        counts = "; ".join(f"{r.trial} {extras['threads']:g}" for r, extras in costs)
        lines.append(f"costs were measured on different numbers of threads: {counts}.")
    return lines


def plain(table: Table) -> str:
    """A table in Markdown."""
    lines = [table.headings, ["---"] + ["---:"] * (len(table.headings) - 1), *table.rows]
    return "\n".join("| " + " | ".join(map(in_markdown, line)) + " |" for line in lines)


def in_markdown(text: str) -> str:
    """The text in one line of Markdown, in which it opens no column, code, tag or link; stars stay emphasis."""
    return _MARKS.sub(r"\\\g<0>", printable(" ".join(text.split("\n"))))
