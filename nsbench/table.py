"""The table at the end of a run: one row a trial, each metric with its anchors and its own columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nsbench.numbers import number
from nsbench.results import ScoreRow, TrialResult

ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """Headings and rows of text.

    groups: the columns that belong together, first those that name the trial, then a group a metric.
    notes: what must be said below the table.
    """

    headings: list[str]
    rows: list[list[str]]
    groups: list[range]
    notes: list[str]

    def part(self, group: range) -> Table:
        """The columns that name the trial and those of one metric."""
        columns = [*self.groups[0], *group]
        return Table(
            [self.headings[c] for c in columns],
            [[row[c] for c in columns] for row in self.rows],
            [self.groups[0], range(len(self.groups[0]), len(columns))],
            self.notes,
        )


def results_table(results: Sequence[TrialResult]) -> Table:
    """The results as a table. Only columns that say something for at least one trial are shown."""
    many_data = len({r.dataset for r in results}) > 1
    many_replicates = len({r.replicate for r in results}) > 1
    columns = [("simulator", [r.simulator for r in results])]
    if many_data:
        columns.append(("dataset", [r.dataset for r in results]))
    if many_replicates:
        columns.append(("replicate", [str(r.replicate) for r in results]))
    if any(r.status != "ok" for r in results):
        columns.append(("status", [r.status for r in results]))
    groups = [range(len(columns))]
    metrics = list(dict.fromkeys(score.metric for r in results for score in r.scores))
    for metric in metrics:
        columns += _metric_columns(metric, [_find(r, metric) for r in results])
        groups.append(range(groups[-1].stop, len(columns)))
    rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
    return Table([heading for heading, _ in columns], rows, groups, _notes(results))


def _find(result: TrialResult, metric: str) -> ScoreRow | None:
    return next((score for score in result.scores if score.metric == metric), None)


def _metric_columns(metric: str, scores: list[ScoreRow | None]) -> list[tuple[str, list[str]]]:
    known = next(score for score in scores if score is not None)
    arrow = "↓" if known.direction == "min" else "↑"
    columns = [(f"{metric} {arrow}\n{known.unit}", [_value(score) for score in scores])]
    columns.append(("95 %\ninterval", [_interval(score) for score in scores]))
    columns.append(("floor", [_maybe(score.floor if score else None) for score in scores]))
    columns.append(("skill", [_maybe(score.skill if score else None, digits=2) for score in scores]))
    columns.append(("kind", [score.label if score and score.label else ABSENT for score in scores]))
    columns += [
        (heading, [_maybe(score.extras.get(name) if score else None) for score in scores])
        for name, heading in known.columns
    ]
    return [column for column in columns if column[0].startswith(metric) or any(c != ABSENT for c in column[1])]


def _value(score: ScoreRow | None) -> str:
    return ABSENT if score is None or score.value is None else number(score.value)


def _interval(score: ScoreRow | None) -> str:
    if score is None or score.interval is None:
        return ABSENT
    return " … ".join(number(end) for end in score.interval)


def _maybe(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return ABSENT
    return number(value) if digits is None else f"{value:.{digits}f}"


def _notes(results: Sequence[TrialResult]) -> list[str]:
    notes = [f"{r.trial}: {r.status}: {r.error}" for r in results if r.error]
    anchored = [s for r in results for s in r.scores if s.floor is not None and s.noise_free is not None]
    if anchored:
        notes.append(
            "floor: the ground truth against itself, redrawn with other noise. "
            "skill: 1 at the floor, 0 at the ground truth without its noise."
        )
    if any(name == "ratio" for r in results for s in r.scores for name, _ in s.columns):
        notes.append("× truth: time over the ground truth's, both on this machine, batch by batch in turn.")
    return notes


def plain(table: Table) -> str:
    """The table in Markdown."""
    headings = [heading.replace("\n", ", ") for heading in table.headings]
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
