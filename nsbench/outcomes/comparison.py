"""Two simulators of a suite, metric by metric, paired over test cases and replicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nsbench.components.rows import ScoreRow
from nsbench.errors import Refusal
from nsbench.names import did_you_mean
from nsbench.outcomes.pairing import NoPairs, UnitScores
from nsbench.outcomes.statistics import Paired, compare_pairs, holm
from nsbench.outcomes.stored import StoredResults
from nsbench.suite.seeds import Seed, generator
from nsbench.suite.trials import Plan, Trial

Verdict = Literal["a", "b", "open", "untested", "not compared"]

LEVEL = 0.05
"""A difference is claimed below this p-value, after Holm's correction."""

ONE_FIT = (
    "one fit of each: this says how these fits differ on other test cases; "
    "training again might change it (raise `replicates`)"
)

Pair = tuple[Trial, Trial]


class CannotCompare(Refusal):
    """A refusal to compare what was asked for; the message says why."""


@dataclass(frozen=True)
class Comparison:
    """A metric's scores of a and b on one dataset.

    a, b        their values, means over replicates; None where a replicate has no value.
    paired      difference, ratio, intervals and p-value; None where they are not compared.
    p_holm      the p-value, corrected for all tests made together.
    floor       the ground truth's score against itself; effect: difference / |floor|, None where the floor cannot
                be told from 0.
    over        the units that were paired, in words.
    reason      why there is no test or no comparison.
    verdict     "a" or "b", the better one, if that can be claimed: p_holm < LEVEL, and the interval does not hold 0.
    """

    dataset: str
    metric: str
    unit: str
    direction: Literal["min", "max"]
    label: str
    a: float | None
    b: float | None
    paired: Paired | None = None
    p_holm: float | None = None
    floor: float | None = None
    effect: float | None = None
    over: str = ""
    reason: str = ""
    verdict: Verdict = "untested"


@dataclass(frozen=True)
class Comparisons:
    """All metrics on all datasets that a and b share. notes: remarks that belong beside them."""

    a: str
    b: str
    rows: tuple[Comparison, ...]
    notes: tuple[str, ...]


def compare(stored: StoredResults, a: str, b: str) -> Comparisons:
    """Compare two simulators of the suite, by name. Raises CannotCompare."""
    plan = stored.plan
    _require_names(plan, a, b)
    comparer = _Comparer(stored)
    rows: list[Comparison] = []
    notes: list[str] = []
    fewest = plan.suite.replicates
    for pairs in (_trials(plan, dataset, a, b) for dataset in plan.data):
        usable = [pair for pair in pairs if all(_is_ok(stored, trial) for trial in pair)]
        notes += [f"left out: {_why(stored, trial)}" for pair in pairs for trial in pair if not _is_ok(stored, trial)]
        if usable:
            fewest = min(fewest, len(usable))
            rows += [comparer.metric(usable, k) for k in range(len(plan.suite.metrics))]
    if not rows:
        raise CannotCompare(_nothing_to_compare(notes, a, b))
    if fewest == 1:
        notes.append(ONE_FIT)
    return Comparisons(a, b, tuple(_corrected(rows)), tuple(dict.fromkeys(notes)))


def _require_names(plan: Plan, a: str, b: str) -> None:
    names = list(dict.fromkeys(trial.simulator for trial in plan.trials))
    for name in (a, b):
        if name not in names:
            raise CannotCompare(f"the suite has no simulator {name!r}{did_you_mean(name, names)}")
    if a == b:
        raise CannotCompare(f"{a!r} is to be compared with itself; name two of {', '.join(names)}")


def _trials(plan: Plan, dataset: str, a: str, b: str) -> list[Pair]:
    """The pairs of trials of a and b on a dataset, one a replicate."""
    trials = {(t.simulator, t.replicate): t for t in plan.trials if t.data.name == dataset}
    return [(trials[a, r], trials[b, r]) for r in range(plan.suite.replicates) if (a, r) in trials and (b, r) in trials]


def _is_ok(stored: StoredResults, trial: Trial) -> bool:
    return trial.id in stored.rows and stored.rows[trial.id].status == "ok"


def _why(stored: StoredResults, trial: Trial) -> str:
    """The reason why a trial has no scores to compare, in words."""
    if trial.id in stored.open:
        return f"{trial.id} {stored.open[trial.id]}"
    row = stored.rows[trial.id]
    return f"{trial.id} {row.status}: {row.error}" if row.error else f"{trial.id} {row.status}"


def _nothing_to_compare(left_out: list[str], a: str, b: str) -> str:
    if not left_out:
        return f"{a!r} and {b!r} share no dataset"
    lines = [line.removeprefix("left out: ") for line in dict.fromkeys(left_out)]
    return "\n".join(["nothing to compare; `nsbench run` makes what is missing", *lines])


@dataclass(frozen=True)
class _Comparer:
    """A comparer of simulators by their stored scores."""

    stored: StoredResults

    def metric(self, pairs: Sequence[Pair], metric: int) -> Comparison:
        """The comparison by a metric of the suite, over the replicates of a dataset. metric: its index."""
        trials = list(zip(*pairs, strict=True))  # [2][R]
        name = pairs[0][0].scores[metric].name
        scores = [[self._score(trial, name) for trial in side] for side in trials]
        example = scores[0][0]
        a, b = (_mean(score.value for score in side) for side in scores)
        row = Comparison(pairs[0][0].data.name, name, example.unit, example.direction, example.label, a, b)
        if reason := _incomparable(scores):
            return replace(row, reason=reason, verdict="not compared")
        paired, over, reason = self._paired(trials, scores, [self.stored.plan.suite.seed, "compare", row.dataset, name])
        floor = _mean(score.floor for score in scores[0])
        clear = floor is not None and floor != 0 and self._clear_of_zero(pairs[0][0], metric)
        effect = paired.difference / abs(floor) if clear and floor else None
        return replace(row, paired=paired, floor=floor, effect=effect, over=over, reason=reason)

    def _paired(
        self, trials: Sequence[Sequence[Trial]], scores: Sequence[Sequence[ScoreRow]], seed: Seed
    ) -> tuple[Paired, str, str]:
        """The comparison over test cases, else over replicates alone: (comparison, its units, why there is no test)."""
        rng = generator(seed)
        try:
            sides = [
                [self.stored.units(trial, score) for trial, score in zip(*side, strict=True)]
                for side in zip(trials, scores, strict=True)
            ]
            return *_paired_over_units(sides, rng), ""
        except NoPairs as fault:
            a, b = (np.array([[score.value] for score in side], dtype=np.float64) for side in scores)  # [R, 1]
            return compare_pairs(a, b, np.ones(1), rng), _replicates(len(a)), f"no test: {fault}"

    def _score(self, trial: Trial, metric: str) -> ScoreRow:
        return next(score for score in self.stored.rows[trial.id].scores if score.metric == metric)

    def _clear_of_zero(self, trial: Trial, metric: int) -> bool:
        """Return whether the floor's interval, if it has one, leaves out 0: else it is no unit to measure by."""
        anchor = self.stored.plan.anchors[trial.data.name, trial.replicate].floor
        interval = self.stored.interval(anchor.scores[metric]) if anchor else None
        return interval is None or not interval[0] <= 0 <= interval[1]


def _incomparable(scores: Sequence[Sequence[ScoreRow]]) -> str:
    """The reason why two sides cannot be compared; "" if they can."""
    absent = {score.absent for side in scores for score in side if score.value is None}
    if absent:
        return "; ".join(sorted(absent))
    kinds = [" or ".join(sorted({f"{score.label} {score.unit}".strip() for score in side})) for side in scores]
    return "" if kinds[0] == kinds[1] and " or " not in kinds[0] else f"their kinds differ, {kinds[0]} and {kinds[1]}"


def _paired_over_units(sides: Sequence[Sequence[UnitScores]], rng: np.random.Generator) -> tuple[Paired, str]:
    """The comparison over units, and these in words. Raises NoPairs where the two sides are not of the same units."""
    all_units = [units for side in sides for units in side]
    first = all_units[0]
    if any(u.unit != first.unit or not np.array_equal(u.weights, first.weights) for u in all_units):
        raise NoPairs("their items are not of the same test cases")
    if len(first.values) < 2:
        raise NoPairs(f"there is one of {first.unit} only")
    a, b = (np.stack([units.values for units in side]) for side in sides)
    paired = compare_pairs(a, b, first.weights, rng)
    several = f" × {_replicates(len(sides[0]))}" if len(sides[0]) > 1 else ""
    return paired, f"{len(first.values)} {first.unit}{several}"


def _replicates(count: int) -> str:
    return "1 replicate" if count == 1 else f"{count} replicates"


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of values; None if there are none, or one of them is None."""
    entries = list(values)
    numbers = [value for value in entries if value is not None]
    return float(np.mean(numbers)) if numbers and len(numbers) == len(entries) else None


def _corrected(rows: Sequence[Comparison]) -> list[Comparison]:
    """The rows with Holm's p-values and verdicts, corrected over all rows together."""
    p_holm = holm([row.paired.p if row.paired else None for row in rows])
    return [replace(row, p_holm=p, verdict=_verdict(row, p)) for row, p in zip(rows, p_holm, strict=True)]


def _verdict(row: Comparison, p_holm: float | None) -> Verdict:
    if row.paired is None:
        return "not compared"
    if p_holm is None or row.paired.interval is None:
        return "untested"
    low, high = row.paired.interval
    if p_holm >= LEVEL or low <= 0 <= high:
        return "open"
    return "a" if (row.paired.difference < 0) == (row.direction == "min") else "b"
