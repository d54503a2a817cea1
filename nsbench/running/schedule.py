"""The schedule of a run: the jobs that are left to do, their order, and what became of each. A plan becomes jobs,
their ends become rows.

Data comes first, then the candidates (trials in the order of the suite, then submissions), each followed by the
anchors that its scores want. There is no job for what is in the store already. Where several jobs run side by side, a
candidate's job ends before its costs; when nothing else is left, costs are measured one after the other
(nsbench/running/waiting_costs.py), and then all is scored.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from nsbench.components.dataset import Split
from nsbench.components.events import Notice
from nsbench.components.rows import ScoreRow, Status, TrialResult
from nsbench.running.waiting_costs import WaitingCosts
from nsbench.running.workers.job import DataWork, Job, JobEnd, ScoreWork
from nsbench.stages.anchors import WantedAnchor, anchored_rows, wanted_anchors
from nsbench.stages.score import read_score
from nsbench.stages.simulate import cost_hardware
from nsbench.stages.workshop import Workshop
from nsbench.store.locks import Busy
from nsbench.suite.trials import Candidate, DataPlan, Plan, ScorePlan, Submission, Trial

_RETRIED: frozenset[Status] = frozenset({"failed", "oom", "killed"})
"""Statuses that may be bad luck: such a job is begun again. Its fit goes on from its checkpoint."""


class Schedule:
    """The jobs of a run that wait, and the ends of those that are over."""

    def __init__(self, plan: Plan, submissions: Sequence[Submission], workshop: Workshop) -> None:
        self._plan, self._workshop = plan, workshop
        self._waiting: dict[str, Job] = {}
        self._needs: dict[str, list[str]] = {}  # a candidate -> the jobs that make its data
        self._ends: dict[str, JobEnd] = {}
        self._attempts: dict[str, int] = {}
        self._claims: dict[str, ExitStack] = {}
        self._costs = WaitingCosts()
        self._scores: dict[tuple[str, str], ScoreRow] = {}
        candidates: tuple[Candidate, ...] = (*plan.trials, *submissions)
        self._candidates = {c.id for c in candidates}
        self._makers = {metric.key.digest: c.id for c in candidates for metric in c.scores}
        self._open = {c.id: c for c in candidates if self._stored_scores(c) is None}
        self._without_row = {c.id: c for c in candidates if c.id not in self._open}
        for candidate in self._open.values():
            self._needs[candidate.id] = [self._add_data_job(*need) for need in self._missing_data(candidate)]
        for candidate in self._open.values():
            self._add(candidate.id, ScoreWork(candidate, candidate.scores))

    def take(self, *, idle: bool = False) -> Job | None:
        """Take a job that can be started, and claim it until it has ended; None if there is none.

        Jobs that no other run is at come first, so that two runs share the work. idle: whether nothing of this run
        works, so that costs may be measured. Nothing is to be taken while that goes on.
        """
        first = None
        for job in self._waiting.values():
            if self._is_ready(job):
                first = first or job
                if self._claim(job):
                    first = job
                    break
        if first is not None:
            del self._waiting[first.name]
        elif idle and (first := self._costs.next()) is not None:
            self._claim(first)
        return first

    def end(self, job: Job, end: JobEnd) -> None:
        """Take note of a job's end. Where that may have been bad luck, the job is begun again, before all others."""
        self._give_up_claim(job.name)
        goes_on = self._costs.takes(job, end)
        self._waiting = {**self._costs.released(), **self._waiting}
        if goes_on:
            return
        end = self._costs.whole(end)
        attempt = self._attempts[job.name] = self._attempts.get(job.name, 0) + 1
        if end.status in _RETRIED and attempt <= self._plan.suite.limits.retries:
            self._workshop.emit(Notice(f"{job.name}: {end.status}: {end.error}; begun again"))
            self._waiting = {job.name: self._costs.begun_again(job), **self._waiting}
            return
        self._ends[job.name] = end
        if job.name in self._open:
            self._without_row[job.name] = self._open.pop(job.name)
        elif end.status not in ("ok", "interrupted"):
            self._workshop.emit(Notice(f"{job.name}: {end.status}: {end.error}"))
            self._skip_dependents(end)

    def _skip_dependents(self, lost: JobEnd) -> None:
        """End the jobs that wait for data whose own job ended badly."""
        for job in list(self._waiting.values()):
            if lost.job in self._needs.get(job.name, []):
                del self._waiting[job.name]
                self.end(job, JobEnd(job.name, "skipped", f"{lost.job}: {lost.status}: {lost.error}"))

    def rows(self) -> Iterator[TrialResult]:
        """The rows that are complete now, each once. Anchors that an incomplete row still wants become jobs."""
        for candidate in list(self._without_row.values()):
            row = self._row(candidate)
            if row is not None:
                del self._without_row[candidate.id]
                yield row

    def cut_short(self, running: Container[str]) -> Iterator[TrialResult]:
        """Rows of the candidates that were begun and have none, as interrupted. Claims are given up.

        Call it when the run ends. running: the names of the jobs at work.
        """
        for name in list(self._claims):
            self._give_up_claim(name)
        begun = [c for c in self._open.values() if c.id in running or self._costs.has_begun(c.id)]
        for candidate in [*self._without_row.values(), *begun]:
            yield replace(blank_row(candidate), status="interrupted")

    @property
    def gaps(self) -> tuple[str, ...]:
        """The names of the jobs that ended badly and have no row: data, and anchors."""
        return tuple(name for name, end in self._ends.items() if end.status != "ok" and name not in self._candidates)

    def _add(self, name: str, work: DataWork | ScoreWork) -> None:
        self._waiting[name] = Job(name, self._plan.suite, self._plan.conditions, work)

    def _is_ready(self, job: Job) -> bool:
        """Return whether a job's data is there."""
        return all(need in self._ends and self._ends[need].status == "ok" for need in self._needs.get(job.name, []))

    def _claim(self, job: Job) -> bool:
        """Claim a job's first missing artifact; returns False where another run is making any of the missing ones."""
        missing = [a.key for a in job.work.artifacts() if a.key.kind != "data" or isinstance(job.work, DataWork)]
        missing = [key for key in missing if not self._workshop.store.has(key)]
        if any(self._workshop.is_in_the_making(key) for key in missing):
            return False
        claim = ExitStack()
        try:
            if missing:
                claim.enter_context(self._workshop.claim(missing[0]))
        except Busy:
            return False
        except OSError:  # claims are a courtesy to other runs; a fault of the disk is for the job itself to report
            pass
        self._claims[job.name] = claim
        return True

    def _give_up_claim(self, name: str) -> None:
        self._claims.pop(name, ExitStack()).close()

    def _missing_data(self, candidate: Candidate) -> Iterator[tuple[DataPlan, Split]]:
        """The splits that a candidate needs and the store lacks."""
        store = self._workshop.store
        wanted: list[tuple[DataPlan, Split]] = [(candidate.data, "test")]
        if isinstance(candidate, Trial) and not store.has(candidate.evidence) and not store.has(candidate.model):
            wanted = [(candidate.fit_data, "train"), (candidate.fit_data, "val"), *wanted]
        return ((data, split) for data, split in wanted if not store.has(data.keys[split]))

    def _add_data_job(self, data: DataPlan, split: Split) -> str:
        """Add a job that makes a split, unless it waits already; returns its name."""
        name = f"{data.name}/{split}-data"
        if name not in self._waiting:
            self._add(name, DataWork(data, (split,)))
        return name

    def _stored_scores(self, candidate: Candidate) -> list[ScoreRow] | None:
        """A candidate's scores, if all of them are in the store; else None."""
        scores = [self._score(metric) for metric in candidate.scores]
        present = [score for score in scores if score is not None]
        return present if len(present) == len(scores) else None

    def _score(self, metric: ScorePlan) -> ScoreRow | None:
        row = self._scores.get((metric.key.digest, metric.name))
        if row is None and (artifact := self._workshop.store.find(metric.key)) is not None:
            row = self._scores[metric.key.digest, metric.name] = read_score(artifact.folder, metric.name)
        return row

    def _row(self, candidate: Candidate) -> TrialResult | None:
        """A candidate's row; None while anchors that it wants are being made."""
        end = self._ends.get(candidate.id, JobEnd(candidate.id, "ok"))
        row = replace(
            blank_row(candidate),
            status=end.status,
            error=end.error,
            seconds=end.seconds,
            peak_bytes=end.peak_bytes,
            changed=end.changed,
        )
        if end.status != "ok":
            return row
        scores = self._stored_scores(candidate)
        if scores is None:
            return replace(row, status="failed", error="its scores vanished from the store")
        anchors = list(wanted_anchors(self._plan, candidate, scores))
        unmade = [anchor for anchor in anchors if any(self._score(metric) is None for metric in anchor.scores)]
        pending = [anchor for anchor in unmade if not self._is_out_of_reach(candidate, anchor)]
        for anchor in pending:
            self._add_anchor_job(candidate, anchor)
        if pending:
            return None
        return replace(row, scores=anchored_rows(scores, anchors, self._score), hardware=self._hardware(candidate))

    def _hardware(self, candidate: Candidate) -> str:
        if isinstance(candidate, Submission):
            return ""
        return cost_hardware(self._workshop.store, candidate)

    def _is_out_of_reach(self, candidate: Candidate, anchor: WantedAnchor) -> bool:
        """Return whether an anchor's scores will not be made any more: every job that could make them has ended."""
        makers = self._trials_that_make(anchor) or {self._anchor_job(candidate, anchor)}
        return all(name in self._ends for name in makers)

    def _trials_that_make(self, anchor: WantedAnchor) -> set[str]:
        """The run's own candidates that make an anchor's scores, by identity: a suite may list its ground truth."""
        return {self._makers[m.key.digest] for m in anchor.scores if m.key.digest in self._makers}

    def _anchor_job(self, candidate: Candidate, anchor: WantedAnchor) -> str:
        return f"{candidate.data.name}/r{candidate.replicate}/{anchor.id}"

    def _add_anchor_job(self, candidate: Candidate, anchor: WantedAnchor) -> None:
        """Add a job that makes an anchor's scores, before all others, unless another job does."""
        name = self._anchor_job(candidate, anchor)
        if self._trials_that_make(anchor) or name in self._attempts or name in self._waiting:
            return
        self._attempts[name] = 0
        waiting, self._waiting = self._waiting, {}
        self._add(name, ScoreWork(anchor.plan, anchor.scores, anchor=True))
        self._waiting |= waiting


def blank_row(candidate: Candidate) -> TrialResult:
    """The row of a candidate without scores: its identity and keys, and the status "ok"."""
    return TrialResult(
        candidate.id,
        candidate.data.name,
        candidate.simulator,
        candidate.replicate,
        "ok",
        candidate.keys(),
        outside=isinstance(candidate, Submission),
        series=candidate.series if isinstance(candidate, Trial) else "",
    )
