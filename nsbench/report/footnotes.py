"""The footnotes of the compact matrix: only those that are needed, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nsbench.components.rows import TrialResult
from nsbench.outcomes.summary import Line, Summary
from nsbench.report.matrix import TRIES, beaten_tries, matrix_lines, shared_kinds
from nsbench.report.tables import MARK
from nsbench.report.verdict import RULE, verdict

MEANINGS = {
    "floor": "the ground truth itself, redrawn with other noise; nothing can be expected to score better.",
    "best_deterministic": "one truth for all members, the medoid: the best to expect without randomness.",
    "analogue": "a look-up of the training trajectories nearest in parameters and start.",
    "noise_free": "the ground truth without its noise.",
}
"""Anchor -> what it is."""

REASONS = 3
"""The most reasons for absent values that are told."""

FAILURES = 6
"""The most kinds of failures that are told."""

NAMED = 3
"""The most trials that are named for each of them."""


def footnotes(summary: Summary, results: Sequence[TrialResult], *, mark: str) -> list[str]:
    """The meaning of marks, intervals, anchors and dashes in the matrices of a summary, and doubts about costs.

    mark: what the best simulators are marked by.
    """
    lines = [line for dataset in summary.datasets for line in matrix_lines(summary, dataset)]
    marks = [*_marks(summary, lines, mark), *_tries(summary)]
    return [*marks, *_anchors(summary, lines), *_costs(lines, results), *_reasons(lines)]


def failures(summary: Summary) -> list[str]:
    """The trials without a result, those with the same reason together."""
    trials: dict[tuple[str, str], list[str]] = {}
    for trial, status, error in summary.failed:
        trials.setdefault((status, " ".join(error.split())), []).append(trial)
    lines = []
    for (status, error), names in trials.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(": ".join(filter(None, (", ".join(names[:NAMED]) + more, status, error))))
    left = len(lines) - FAILURES
    return lines if left <= 0 else [*lines[:FAILURES], f"… {left} more: --long, or the report"]


def _marks(summary: Summary, lines: Sequence[Line], mark: str) -> Iterator[str]:
    primary = [line.cells[summary.primary] for line in lines if summary.primary in line.cells]
    if any(cell.best for line in lines for cell in line.cells.values()):
        yield f"{mark}: the best simulator of its row, and those that cannot be told from it (paired, 5 %)."
    if any(cell.interval and cell.replicates == 1 for cell in primary):
        yield "low…high: 95 % over test cases, of one fit; what another fit would score is not in it."
    if any(cell.interval and cell.replicates > 1 for cell in primary):
        yield "±: half of the 95 % interval over replicates, which are other fits."
    shared = {kind: names for dataset in summary.datasets for kind, names in shared_kinds(summary, dataset).items()}
    yield from (f"{kind}: {', '.join(names)}." for kind, names in shared.items())


def _tries(summary: Summary) -> Iterator[str]:
    if any(beaten_tries(summary, dataset) for dataset in summary.datasets):
        yield f"of a series of more than {TRIES} tries the best alone is shown; the long tables have all."


def _anchors(summary: Summary, lines: Sequence[Line]) -> Iterator[str]:
    names = {line.name: MEANINGS[line.anchor] for line in lines if line.anchor in MEANINGS}
    yield from (f"{name}: {meaning}" for name, meaning in names.items())
    if any(" than " in sentence for dataset in summary.datasets for sentence in verdict(summary, dataset)):
        yield RULE


def _costs(lines: Sequence[Line], results: Sequence[TrialResult]) -> Iterator[str]:
    if any(line.outside for line in lines):
        yield "†: rollouts made elsewhere, checked and scored here; costs are as their maker declares them."
    if any(line.elsewhere for line in lines):
        yield f"{MARK}: costs measured on other hardware than the rest's; only × truth may be compared, roughly."
    if any("× truth" in cell.extras for line in lines for cell in line.cells.values()):
        yield "× truth: time over the ground truth's, both measured in turn on one machine."
    if any(score.extras.get("jobs", 1) > 1 for result in results for score in result.scores):
        yield "costs were measured while other trials ran, so slower than alone."
    yield from (f"{r.trial} changed its process: {'; '.join(r.changed)}" for r in results if r.changed)


def _reasons(lines: Sequence[Line]) -> list[str]:
    """Why there are dashes, the metrics with the same reason together."""
    metrics: dict[str, dict[str, None]] = {}
    for line in lines:
        for metric, cell in line.cells.items():
            if line.statuses and cell.absent:
                metrics.setdefault(cell.absent, {})[metric] = None
    return [f"–: {', '.join(names)}: {reason}." for reason, names in list(metrics.items())[:REASONS]]
