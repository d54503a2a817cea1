"""Checks of a metric, on growth whose law is known: direction, invariances, repetition, numbers.

Rollouts that are scored beside the truth:

identical  the truth itself
redrawn    the truth's law, drawn anew
another    the same cases in another order, and members in another order
noise      the same scattered sites attach in every case and member: no growth, no dependence on anything
still      nothing ever attaches
flicker    every state is drawn by itself, and attached sites melt
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from nsbench.components.contracts.metric import require_score
from nsbench.components.evidence import Cost, Evidence, Likelihood
from nsbench.components.metric import Metric, MetricSpec, NotApplicable, Score, Zero
from nsbench.registry.loading import build
from nsbench.registry.registry import Registry
from nsbench.suite.seeds import generator
from nsbench.testing.findings import Blocked, Check, Finding, Raised, calling, place_of
from nsbench.testing.global_randomness import changes, watched
from nsbench.testing.known_growth import Growth, GrowthParams, GrowthTruth
from nsbench.testing.small_data import bits
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories

MEMBERS = 4
"""Rollouts of each case."""

SEEDS = 6
"""Seeds from which a metric's own randomness is estimated."""


@dataclass
class MetricSubject:
    """A metric under check. declined: the reason for which it last raised NotApplicable."""

    registry: Registry
    spec: MetricSpec
    params: dict[str, Any]
    declined: str = ""

    @cached_property
    def metric(self) -> Metric:
        metric = build("metric", self.spec, self.params)
        assert isinstance(metric, Metric)
        return metric

    @cached_property
    def truth(self) -> Trajectories:
        """Twelve values of ρ, four truths each, in frames."""
        dataset = Growth(GrowthParams(test=12, repeats=4, size=12, steps=12))
        return dataset.prepare("test", np.random.default_rng(0)).framed(1, 12)

    def redrawn(self) -> Trajectories:
        """Rollouts drawn anew from the truth's law."""
        start = self.truth.start().select(np.repeat(np.arange(len(self.truth)), MEMBERS))
        return GrowthTruth().rollout(start, 12, np.random.default_rng(1))

    def noise(self) -> Trajectories:
        """Rollouts in which scattered sites attach in a fixed order, whatever the case."""
        start = self.truth.start().select(np.repeat(np.arange(len(self.truth)), MEMBERS))
        order = np.random.default_rng(2).permutation(start.domain.sites).reshape(start.domain.shape)
        late = np.where(order < 36, 1 + order // 4, -1).astype(np.int32)
        late[0, 0] = 0
        arrival = np.broadcast_to(late, (len(start), *late.shape)).copy()
        return GrowthTrajectories(start.params, np.full(len(start), 13, np.int32), start.domain, arrival)

    def still(self) -> Trajectories:
        """Rollouts in which nothing ever attaches."""
        noise = self.noise()
        assert isinstance(noise, GrowthTrajectories)
        return replace(noise, arrival=np.where(noise.arrival == 0, 0, -1).astype(np.int32))

    def flicker(self) -> Trajectories:
        """Rollouts whose states are drawn independently of each other."""
        start = self.truth.start().select(np.repeat(np.arange(len(self.truth)), MEMBERS))
        values = np.random.default_rng(5).random((len(start), 13, 1, *start.domain.shape)) < 0.25
        values[:, 0] = start.frame(0) > 0
        return FieldTrajectories(
            start.params, np.full(len(start), 13, np.int32), start.domain, values.astype(np.float32)
        )

    def identical(self) -> Trajectories:
        """Rollouts that are copies of the truth."""
        return self.truth.select(np.repeat(np.arange(len(self.truth)), MEMBERS))

    def evidence(self, rollouts: Trajectories, quality: float, reference: Trajectories | None = None) -> Evidence:
        """Evidence with a likelihood (nats) and a cost (ms) that are the better the larger the quality."""
        reference = self.truth if reference is None else reference
        nats = quality - 10 + generator([3]).normal(size=len(reference.transitions()[0]))
        likelihood = Likelihood("elbo", nats, bounds={1: nats - 1, 16: nats - 0.5, 64: nats}, latents=np.full(8, 0.5))
        cost = Cost(
            ms_per_trajectory=10.0 - quality,
            batch=8,
            ms_per_trajectory_alone=12.0 - quality,
            threads=1,
            device="cpu",
            fit_seconds=1.0,
            truth_ms_per_trajectory=1.0,
            parameters=100,
            flops_per_trajectory=1e6,
            peak_bytes=1 << 20,
        )
        return Evidence(rollouts, len(rollouts) // len(reference), cost, likelihood)

    def score(self, evidence: Evidence, reference: Trajectories | None = None, seed: int = 0) -> Score:
        """A score that keeps its contract. Raises Raised, with a finding, or Blocked where the metric declines."""
        with calling(self.metric, "score", "score the evidence, or raise NotApplicable with the reason"):
            try:
                reference = self.truth if reference is None else reference
                score = self.metric.score(evidence, reference, generator([seed]))
            except NotApplicable as reason:
                self.declined = str(reason)
                raise Blocked from reason
            return require_score(self.metric, score)

    @cached_property
    def _scores(self) -> dict[str, Score] | None:
        sides = {"identical": 5.0, "redrawn": 4.0, "noise": 0.0}
        try:
            return {name: self.score(self.evidence(getattr(self, name)(), q)) for name, q in sides.items()}
        except (Raised, Blocked):
            return None

    @property
    def scores(self) -> dict[str, Score]:
        """The scores of the identical, the redrawn and the noise. Raises Blocked where they cannot be scored."""
        if self._scores is None:
            raise Blocked
        return self._scores

    @cached_property
    def failures(self) -> list[Score]:
        """The scores of rollouts that are worse than the truth in some way, as far as the metric scores them."""
        scores = [self.scores["noise"]]
        for make in (self.still, self.flicker):
            try:
                scores.append(self.score(self.evidence(make(), 0.0)))
            except (Raised, Blocked):
                continue  # it is judged by those that it does score
        return scores

    def loss(self, score: Score) -> float:
        """The value of a score, with its sign turned where more is better."""
        return score.value if self.metric.direction == "min" else -score.value


def gives_a_score(subject: MetricSubject) -> Iterator[Finding]:
    """The score is a finite number, with an interval in order, and numbers and a picture that can be shown."""
    metric, evidence = subject.metric, subject.evidence(subject.redrawn(), 4)
    where = place_of(metric, "score")
    if unknown := set(metric.needs) - {"rollouts", "likelihood", "cost"}:
        yield Finding(where, f"needs {', '.join(sorted(unknown))}", "of rollouts, likelihood, cost")
    if metric.zero not in get_args(Zero):
        yield Finding(where, f"zero is {metric.zero!r}", f"one of {', '.join(get_args(Zero))}")
    before = bits(evidence.rollouts), bits(subject.truth)
    try:
        score = subject.score(evidence)
    except Blocked:
        yield Finding(where, f"declines: {subject.declined}", "nothing, if it is meant so: the table shows it", "note")
        return
    if (bits(evidence.rollouts), bits(subject.truth)) != before:
        yield Finding(where, "changed the evidence or the reference", "copy what is to be changed: metrics share them")
    if score.interval is not None and not score.interval[0] <= score.interval[1]:
        yield Finding(where, f"its interval is {score.interval}", "(low, high)")
    figure = score.figure() if callable(score.figure) else score.figure
    if figure is not None and not figure.startswith(b"\x89PNG"):
        yield Finding(where, "its figure is no PNG", "the bytes of a PNG file")
    missing = [name for name, _ in metric.columns if name not in score.extras]
    if missing:
        yield Finding(where, f"columns show {', '.join(missing)}, which no extra is called", "names of extras", "note")


def respects_its_direction(subject: MetricSubject) -> Iterator[Finding]:
    """The truth, itself or redrawn, scores better than at least one failure: a metric may look for one fault."""
    scores, metric = subject.scores, subject.metric
    better = "less" if metric.direction == "min" else "more"
    for name in ("redrawn", "identical"):
        if not any(subject.loss(scores[name]) < subject.loss(failure) for failure in subject.failures):
            yield Finding(
                place_of(metric, "score"),
                f"gives the truth {name} {scores[name].value:.4g} and noise {scores['noise'].value:.4g}, and says that "
                f"{better} is better",
                f'direction = "{"max" if metric.direction == "min" else "min"}", or a value that tells the two apart',
            )


def identical_is_best(subject: MetricSubject) -> Iterator[Finding]:
    """Rollouts that are the truth score at least as well as others of its law."""
    scores = subject.scores
    gap = subject.loss(scores["identical"]) - subject.loss(scores["redrawn"])
    if gap > 1e-9 + 1e-6 * abs(scores["redrawn"].value):
        yield Finding(
            place_of(subject.metric, "score"),
            f"rollouts identical to the truth score {scores['identical'].value:.4g}, its law redrawn "
            f"{scores['redrawn'].value:.4g}",
            "nothing, if it judges ensembles rather than distances (copies of a truth are no ensemble)",
            "note",
        )


def depends_on_no_order(subject: MetricSubject) -> Iterator[Finding]:
    """Cases in another order score the same, within the metric's own randomness; so do members."""
    rollouts, metric = subject.redrawn(), subject.metric
    plain = subject.scores["redrawn"]
    order = np.random.default_rng(4).permutation(len(subject.truth))
    by_case = (order[:, None] * MEMBERS + np.arange(MEMBERS)).ravel()
    cases = subject.score(subject.evidence(rollouts.select(by_case), 4), subject.truth.select(order))
    if not _alike(subject, rollouts, cases, plain):
        yield Finding(
            place_of(metric, "score"),
            f"changes from {plain.value:.6g} to {cases.value:.6g} when the cases come in another order",
            "depend on which cases there are, not on where they stand",
        )
    turned = (np.arange(len(subject.truth))[:, None] * MEMBERS + np.arange(MEMBERS)[::-1]).ravel()
    members = subject.score(subject.evidence(rollouts.select(turned), 4))
    if not _alike(subject, rollouts, members, plain):
        yield Finding(
            place_of(metric, "score"),
            f"changes from {plain.value:.6g} to {members.value:.6g} when the members of a case change places",
            "nothing, if it reads some members only; else treat them alike",
            "note",
        )


def _alike(subject: MetricSubject, rollouts: Trajectories, a: Score, b: Score) -> bool:
    """Return whether scores are equal, or differ by no more than four times the metric's range over some seeds."""
    gap, rounding = abs(a.value - b.value), 1e-6 * max(1.0, abs(b.value))
    if gap <= rounding:
        return True
    values = [subject.score(subject.evidence(rollouts, 4), seed=seed).value for seed in range(1, SEEDS)]
    return gap <= rounding + 4 * float(np.ptp([b.value, *values]))


def repeats(subject: MetricSubject) -> Iterator[Finding]:
    """The same generator gives the same score, whatever the global generators are."""
    where, changed, results = place_of(subject.metric, "score"), set[str](), []
    evidence, expected = subject.evidence(subject.redrawn(), 4), subject.scores["redrawn"]
    for global_seed in (1, 2):
        with watched(changed, global_seed):
            results.append(_numbers(subject.score(copy.copy(evidence))))
    yield from changes(where, changed)
    if any(not np.array_equal(result, _numbers(expected), equal_nan=True) for result in results):
        yield Finding(
            where, "scores of the same evidence with generators in the same state differ", "use the generator given"
        )


def _numbers(score: Score) -> NDArray[np.float64]:
    extras = [score.extras[name] for name in sorted(score.extras)]
    return np.array([score.value, *(score.interval or ()), *np.ravel(score.items), *extras], dtype=np.float64)


def few_cases(subject: MetricSubject) -> Iterator[Finding]:
    """A single case with a single member is scored, or declined with a reason."""
    if subject._scores is None:
        raise Blocked
    case = subject.truth.select(slice(0, 1))
    evidence = subject.evidence(subject.redrawn().select(slice(0, 1)), 4, case)
    try:
        subject.score(evidence, case)
    except Blocked:
        return
    except Raised as raised:
        yield replace(raised.finding, right="score a single case and member, or raise NotApplicable with the reason")


METRIC_CHECKS: tuple[Check[MetricSubject], ...] = (
    Check("gives a score that can be shown", gives_a_score),
    Check("respects its direction: the truth before noise", respects_its_direction),
    Check("the truth itself scores best", identical_is_best),
    Check("depends on no order of cases and members", depends_on_no_order),
    Check("same seed, same score", repeats),
    Check("a single case is scored or declined", few_cases),
)
