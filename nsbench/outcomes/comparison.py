"""Simulators of a suite held against a baseline, paired over test cases and replicates.

The suite's primary metric, named before anything is run, decides: the family of its tests is all simulators against the
baseline. What the other metrics of a pair say is exploratory, and corrected over these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from nsbench.components.rows import ScoreRow
from nsbench.errors import Refusal
from nsbench.names import did_you_mean
from nsbench.outcomes.families import Test, max_t
from nsbench.outcomes.fits import FitVariance, fit_variances
from nsbench.outcomes.pairing import NoPairs, UnitScores
from nsbench.outcomes.power import fits_needed
from nsbench.outcomes.statistics import Array, Equivalence, Paired, compare_pairs, equivalence
from nsbench.outcomes.stored import StoredResults
from nsbench.suite.seeds import generator
from nsbench.suite.trials import Plan, Trial

Verdict = Literal["a", "b", "equivalent", "undecided", "untested", "not compared"]

LEVEL = 0.05
"""A difference, or an equivalence, is claimed below this p-value, corrected over its family."""

ONE_FIT = (
    "one fit of each: this says how these fits differ on other test cases; "
    "training again might change it (raise `replicates`)"
)

NO_MEASURE = "no margin: the baseline's score cannot be told from 0, so that a share of it is no measure"

Pair = tuple[Trial, Trial]


class CannotCompare(Refusal):
    """A refusal to compare what was asked for; the message says why."""


@dataclass(frozen=True)
class Comparison:
    """A metric's scores of a simulator, a, and the baseline, b, on one dataset.

    primary     whether this is the suite's primary metric, which decides; the others are exploratory.
    a, b        their values, means over replicates; None where a replicate has no value.
    paired      difference, ratio, intervals and p-value; None where they are not compared.
    p_adjusted  the p-value, corrected for so many `tests` made together.
    equivalent  the test of equivalence, p_equivalent its p-value, corrected likewise; None where no margin was asked
                for, or a share of the baseline's score is no measure.
    needed      the fits of each that would decide; infinite where cases decide; None where it is decided, or unknown.
    floor       the ground truth's score against itself; effect: difference / |floor|, None where the floor cannot
                be told from 0.
    over        the units that were paired, in words.
    reason      why there is no test or no comparison.
    verdict     "a" or "b", the better one, if p_adjusted < LEVEL; else "equivalent" if p_equivalent < LEVEL.
    baseline_share  the share of the variance between fits that is the baseline's.
    """

    dataset: str
    metric: str
    simulator: str
    unit: str
    direction: Literal["min", "max"]
    label: str
    a: float | None
    b: float | None
    primary: bool
    paired: Paired | None = None
    p_adjusted: float | None = None
    tests: int = 0
    equivalent: Equivalence | None = None
    p_equivalent: float | None = None
    needed: float | None = None
    floor: float | None = None
    effect: float | None = None
    over: str = ""
    reason: str = ""
    verdict: Verdict = "untested"
    baseline_share: float = 0.0


@dataclass(frozen=True)
class Comparisons:
    """Simulators held against a baseline, b, on all datasets that they share.

    a           the simulator that was asked for, with all metrics; "" for all simulators, by the primary metric.
    margin      the share of the baseline's score within which simulators count as equivalent; None if not asked.
    notes       remarks that belong beside the rows.
    """

    a: str
    b: str
    primary: str
    rows: tuple[Comparison, ...]
    margin: float | None
    notes: tuple[str, ...]


def compare(stored: StoredResults, a: str, b: str, margin: float | None = None) -> Comparisons:
    """Compare a simulator of the suite with a baseline, by name; all of them by the primary metric where a is "".

    margin: a share of the baseline's score. Raises CannotCompare.
    """
    plan = stored.plan
    _require_names(plan, [a, b] if a else [b])
    if margin is not None and not 0 < margin < 1:
        raise CannotCompare(f"the margin is a share of the baseline's score, between 0 and 1, not {margin:g}")
    primary = plan.suite.primary_metric
    variants = [name for name in dict.fromkeys(trial.simulator for trial in plan.trials) if name != b]
    comparer = _Comparer(stored, margin)
    pairs = {(data, name): _trials(plan, data, name, b) for data in plan.data for name in variants}
    usable = {key: good for key, all_of in pairs.items() if (good := [p for p in all_of if _both_ok(stored, p)])}
    asked = {key: all_of for key, all_of in pairs.items() if a in ("", key[1])}
    notes = _left_out(stored, asked.values())
    if not usable.keys() & asked.keys():
        raise CannotCompare(_nothing_to_compare(notes, a, b))
    family = [comparer.metric(of_fits, primary) for of_fits in usable.values()]
    rows = [row for row in comparer.decided(family, ["primary", b]) if a in ("", row.simulator)]
    if a:
        others = [use.name for use in plan.suite.metrics if use.name != primary]
        explored = [comparer.metric(of_fits, m) for key, of_fits in usable.items() if key in asked for m in others]
        rows += comparer.decided(explored, ["exploratory", a, b])
        rows.sort(key=lambda row: list(plan.data).index(row.dataset))  # stable: the primary metric first
    notes += [NO_MEASURE] if margin and any(r.p_adjusted is not None and r.equivalent is None for r in rows) else []
    if min(len(of_fits) for key, of_fits in usable.items() if key in asked) == 1:
        notes.append(ONE_FIT)
    return Comparisons(a, b, primary, tuple(rows), margin, tuple(dict.fromkeys(notes)))


def _require_names(plan: Plan, asked: Sequence[str]) -> None:
    names = list(dict.fromkeys(trial.simulator for trial in plan.trials))
    for name in asked:
        if name not in names:
            raise CannotCompare(f"the suite has no simulator {name!r}{did_you_mean(name, names)}")
    if len(set(asked)) < len(asked):
        raise CannotCompare(f"{asked[0]!r} is to be compared with itself; name two of {', '.join(names)}")


def _trials(plan: Plan, dataset: str, a: str, b: str) -> list[Pair]:
    """The pairs of trials of a and b on a dataset, one a replicate."""
    trials = {(t.simulator, t.replicate): t for t in plan.trials if t.data.name == dataset}
    return [(trials[a, r], trials[b, r]) for r in range(plan.suite.replicates) if (a, r) in trials and (b, r) in trials]


def _both_ok(stored: StoredResults, pair: Pair) -> bool:
    return all(_is_ok(stored, trial) for trial in pair)


def _is_ok(stored: StoredResults, trial: Trial) -> bool:
    return trial.id in stored.rows and stored.rows[trial.id].status == "ok"


def _left_out(stored: StoredResults, pairs: Iterable[Sequence[Pair]]) -> list[str]:
    trials = {trial.id: trial for of_fits in pairs for pair in of_fits for trial in pair}
    return [f"left out: {_why(stored, trial)}" for trial in trials.values() if not _is_ok(stored, trial)]


def _why(stored: StoredResults, trial: Trial) -> str:
    """The reason why a trial has no scores to compare, in words."""
    if trial.id in stored.open:
        return f"{trial.id} {stored.open[trial.id]}"
    row = stored.rows[trial.id]
    return f"{trial.id} {row.status}: {row.error}" if row.error else f"{trial.id} {row.status}"


def _nothing_to_compare(left_out: list[str], a: str, b: str) -> str:
    if not left_out:
        return f"{a!r} and {b!r} share no dataset" if a else f"no simulator shares a dataset with {b!r}"
    lines = [line.removeprefix("left out: ") for line in dict.fromkeys(left_out)]
    return "\n".join(["nothing to compare; `nsbench run` makes what is missing", *lines])


@dataclass(frozen=True)
class _Comparer:
    """A comparer of simulators by their stored scores."""

    stored: StoredResults
    margin: float | None
    _variances: dict[tuple[str, str, str], dict[str, FitVariance]] = field(default_factory=dict)

    def metric(self, pairs: Sequence[Pair], name: str) -> Comparison:
        """The comparison by a metric of the suite, over the replicates of a dataset."""
        trials = list(zip(*pairs, strict=True))  # [2][R]
        scores = [[self._score(trial, name) for trial in side] for side in trials]
        example, first = scores[0][0], pairs[0][0]
        a, b = (_mean(score.value for score in side) for side in scores)
        row = Comparison(
            first.data.name,
            name,
            first.simulator,
            example.unit,
            example.direction,
            example.label,
            a,
            b,
            primary=name == self.stored.plan.suite.primary_metric,
        )
        if reason := _incomparable(scores):
            return replace(row, reason=reason, verdict="not compared")
        row = self._paired(row, trials, scores)
        floor = _mean(score.floor for score in scores[0])
        clear = floor is not None and floor != 0 and self._clear_of_zero(first, name)
        assert row.paired is not None
        effect = row.paired.difference / abs(floor) if clear and floor else None
        return replace(row, floor=floor, effect=effect)

    def _paired(
        self, row: Comparison, trials: Sequence[Sequence[Trial]], scores: Sequence[Sequence[ScoreRow]]
    ) -> Comparison:
        """The row with its comparison over test cases, else over replicates alone and why there is no test."""
        of_a, of_b = (self._fits(row)[side[0].simulator] for side in trials)
        fits, both = (of_a, of_b), of_a.shrunk + of_b.shrunk
        try:
            sides = [
                [self.stored.units(trial, score) for trial, score in zip(*side, strict=True)]
                for side in zip(trials, scores, strict=True)
            ]
            a, b, weights, over = _on_units(sides)
        except NoPairs as fault:
            a, b = (np.array([[score.value] for score in side], dtype=np.float64) for side in scores)  # [R, 1]
            paired = compare_pairs(a, b, np.ones(1), fits)
            return replace(row, paired=paired, over=_replicates(len(a)), reason=f"no test: {fault}")
        return replace(
            row,
            paired=compare_pairs(a, b, weights, fits),
            equivalent=equivalence(a, b, weights, fits, self.margin) if self.margin else None,
            over=over,
            baseline_share=of_b.shrunk / both if both else 0.0,
        )

    def _fits(self, row: Comparison) -> dict[str, FitVariance]:
        """The variances between fits of all simulators with scores of this kind on the dataset, by name."""
        key = (row.dataset, row.metric, row.label)
        if key not in self._variances:
            values: dict[str, list[float]] = {}
            for stored in self.stored.rows.values():
                for score in stored.scores if stored.status == "ok" else ():
                    if (stored.dataset, score.metric, score.label) == key and score.value is not None:
                        values.setdefault(stored.simulator, []).append(score.value)
            self._variances[key] = dict(zip(values, fit_variances(list(values.values())), strict=True))
        return self._variances[key]

    def _score(self, trial: Trial, metric: str) -> ScoreRow:
        return next(score for score in self.stored.rows[trial.id].scores if score.metric == metric)

    def _clear_of_zero(self, trial: Trial, metric: str) -> bool:
        """Return whether the floor's interval, if it has one, leaves out 0: else it is no unit to measure by."""
        anchor = self.stored.plan.anchors[trial.data.name, trial.replicate].floor
        scored = next((score for score in anchor.scores if score.name == metric), None) if anchor else None
        interval = self.stored.interval(scored) if scored else None
        return interval is None or not interval[0] <= 0 <= interval[1]

    def decided(self, rows: Sequence[Comparison], family: Sequence[str]) -> list[Comparison]:
        """The rows of a family with corrected p-values, verdicts, and the fits that would decide. family: its name."""
        rng = generator([self.stored.plan.suite.seed, "compare", *family])
        tested = [row for row in rows if row.paired is not None and row.paired.p is not None]
        p = dict(zip(map(id, tested), max_t([_of_difference(row) for row in tested], rng), strict=True))
        closed = [row for row in tested if row.equivalent is not None]
        p_equal = dict(zip(map(id, closed), max_t([_of_equivalence(row) for row in closed], rng), strict=True))
        return [_with_verdict(row, p.get(id(row)), p_equal.get(id(row)), len(tested)) for row in rows]


def _of_difference(row: Comparison) -> Test:
    """The test of a row for its family."""
    assert row.paired is not None
    assert row.paired.p is not None
    return Test(row.paired.p, row.paired.estimate, _cases(row), row.baseline_share if row.primary else 0.0)


def _of_equivalence(row: Comparison) -> Test:
    assert row.equivalent is not None
    shared = row.equivalent.side * row.baseline_share if row.primary else 0.0
    return Test(row.equivalent.p, row.equivalent.estimate, _cases(row), shared, one_sided=True)


def _cases(row: Comparison) -> tuple[str, str, int]:
    """The name of the test cases of a row: equal ones are in the same order."""
    assert row.paired is not None
    return row.dataset, row.over.split(" ×")[0], row.paired.units


def _with_verdict(row: Comparison, p: float | None, p_equivalent: float | None, tests: int) -> Comparison:
    """The row with what its p-values, corrected for so many tests, decide."""
    paired = row.paired
    if paired is None or p is None:
        return row
    row = replace(row, p_adjusted=p, p_equivalent=p_equivalent, tests=tests)
    if p < LEVEL:
        return replace(row, verdict="a" if (paired.difference < 0) == (row.direction == "min") else "b")
    if p_equivalent is not None and p_equivalent < LEVEL:
        return replace(row, verdict="equivalent")
    needed = fits_needed(paired.estimate, paired.replicates, LEVEL / tests)
    return replace(row, needed=needed, verdict="undecided")


def _incomparable(scores: Sequence[Sequence[ScoreRow]]) -> str:
    """The reason why two sides cannot be compared; "" if they can."""
    absent = {score.absent for side in scores for score in side if score.value is None}
    if absent:
        return "; ".join(sorted(absent))
    kinds = [" or ".join(sorted({f"{score.label} {score.unit}".strip() for score in side})) for side in scores]
    return "" if kinds[0] == kinds[1] and " or " not in kinds[0] else f"their kinds differ, {kinds[0]} and {kinds[1]}"


def _on_units(sides: Sequence[Sequence[UnitScores]]) -> tuple[Array, Array, Array, str]:
    """The scores of both sides over units, their weights, and the units in words. Raises NoPairs where units differ."""
    all_units = [units for side in sides for units in side]
    first = all_units[0]
    if any(u.unit != first.unit or not np.array_equal(u.weights, first.weights) for u in all_units):
        raise NoPairs("their items are not of the same test cases")
    if len(first.values) < 2:
        raise NoPairs(f"there is one of {first.unit} only")
    a, b = (np.stack([units.values for units in side]) for side in sides)
    several = f" × {_replicates(len(sides[0]))}" if len(sides[0]) > 1 else ""
    return a, b, first.weights, f"{len(first.values)} {first.unit}{several}"


def _replicates(count: int) -> str:
    return "1 replicate" if count == 1 else f"{count} replicates"


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of values; None if there are none, or one of them is None."""
    entries = list(values)
    numbers = [value for value in entries if value is not None]
    return float(np.mean(numbers)) if numbers and len(numbers) == len(entries) else None
