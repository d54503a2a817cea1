"""What is left to do in a run, in which order, and what became of it: the plan becomes jobs, their ends rows.

Data comes first, then the candidates (trials in the order of the suite, then submissions), each followed by the
anchors that its scores want. What is in the store already makes no job.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from nsbench.components.dataset import Split
from nsbench.components.events import Notice
from nsbench.components.rows import ScoreRow, Status, TrialResult
from nsbench.running.workers.job import DataWork, Job, JobEnd, ScoreWork
from nsbench.stages.anchors import WantedAnchor, anchored_rows, wanted_anchors
from nsbench.stages.score import read_score
from nsbench.stages.simulate import cost_hardware
from nsbench.stages.workshop import Workshop
from nsbench.store.locks import Busy
from nsbench.suite.trials import Candidate, DataPlan, Plan, ScorePlan, Submission, Trial

_RETRIED: frozenset[Status] = frozenset({"failed", "oom", "killed"})
"""Ends that may be bad luck. A fit goes on from its checkpoint."""


class Schedule:
    """The jobs of a run that wait, and the ends of those that do not."""

    def __init__(self, plan: Plan, submissions: Sequence[Submission], workshop: Workshop) -> None:
        self._plan, self._workshop = plan, workshop
        self._waiting: dict[str, Job] = {}
        self._needs: dict[str, list[str]] = {}  # a candidate -> the jobs that make its data
        self._ends: dict[str, JobEnd] = {}
        self._attempts: dict[str, int] = {}
        self._claims: dict[str, ExitStack] = {}
        self._scores: dict[tuple[str, str], ScoreRow] = {}
        candidates: tuple[Candidate, ...] = (*plan.trials, *submissions)
        self._candidates = {c.id for c in candidates}
        self._makers = {metric.key.digest: c.id for c in candidates for metric in c.scores}
        self._open = {c.id: c for c in candidates if self._own_scores(c) is None}
        self._without_row = {c.id: c for c in candidates if c.id not in self._open}
        for candidate in self._open.values():
            self._needs[candidate.id] = [self._add_data_job(*need) for need in self._missing_data(candidate)]
        for candidate in self._open.values():
            self._add(candidate.id, ScoreWork(candidate, candidate.scores))

    def take(self) -> Job | None:
        """The next job that can be started: first one that no other run is at, so that two runs share the work.

        It is claimed until it has ended.
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
        return first

    def end(self, job: Job, end: JobEnd) -> None:
        """Take note of a job's end: it is over or, where that may have been bad luck, begun again before all others."""
        self._give_up_claim(job.name)
        attempt = self._attempts[job.name] = self._attempts.get(job.name, 0) + 1
        if end.status in _RETRIED and attempt <= self._plan.suite.limits.retries:
            self._workshop.emit(Notice(f"{job.name}: {end.status}: {end.error}; begun again"))
            self._waiting = {job.name: job, **self._waiting}
            return
        self._ends[job.name] = end
        if job.name in self._open:
            self._without_row[job.name] = self._open.pop(job.name)
        elif end.status not in ("ok", "interrupted"):
            self._workshop.emit(Notice(f"{job.name}: {end.status}: {end.error}"))
            self._skip_those_that_need(end)

    def _skip_those_that_need(self, lost: JobEnd) -> None:
        """End the jobs that wait for data which cannot be had."""
        for job in list(self._waiting.values()):
            if lost.job in self._needs.get(job.name, []):
                del self._waiting[job.name]
                self.end(job, JobEnd(job.name, "skipped", f"{lost.job}: {lost.status}: {lost.error}"))

    def rows(self) -> Iterator[TrialResult]:
        """The rows that are complete now, each once. Anchors that one still wants become jobs."""
        for candidate in list(self._without_row.values()):
            row = self._row(candidate)
            if row is not None:
                del self._without_row[candidate.id]
                yield row

    def cut_short(self, running: Container[str]) -> Iterator[TrialResult]:
        """Rows of candidates that were begun and have none, when the run ends before they do; claims are given up."""
        for name in list(self._claims):
            self._give_up_claim(name)
        for candidate in [*self._without_row.values(), *(c for c in self._open.values() if c.id in running)]:
            yield replace(blank_row(candidate), status="interrupted")

    @property
    def gaps(self) -> tuple[str, ...]:
        """The jobs that ended badly and have no row of their own: data, and what should stand beside scores."""
        return tuple(name for name, end in self._ends.items() if end.status != "ok" and name not in self._candidates)

    def _add(self, name: str, work: DataWork | ScoreWork) -> None:
        self._waiting[name] = Job(name, self._plan.suite, self._plan.conditions, work)

    def _is_ready(self, job: Job) -> bool:
        """Whether a job's data is there."""
        return all(need in self._ends and self._ends[need].status == "ok" for need in self._needs.get(job.name, []))

    def _claim(self, job: Job) -> bool:
        """Claim what a job makes first; False where another has claimed it, or is at any of what the job makes."""
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
        except OSError:  # a courtesy to other runs: what is wrong with the disk the job itself will say
            pass
        self._claims[job.name] = claim
        return True

    def _give_up_claim(self, name: str) -> None:
        self._claims.pop(name, ExitStack()).close()

    def _missing_data(self, candidate: Candidate) -> Iterator[tuple[DataPlan, Split]]:
        store = self._workshop.store
        wanted: list[tuple[DataPlan, Split]] = [(candidate.data, "test")]
        if isinstance(candidate, Trial) and not store.has(candidate.evidence) and not store.has(candidate.model):
            wanted = [(candidate.fit_data, "train"), (candidate.fit_data, "val"), *wanted]
        return ((data, split) for data, split in wanted if not store.has(data.keys[split]))

    def _add_data_job(self, data: DataPlan, split: Split) -> str:
        name = f"{data.name}/{split}-data"
        if name not in self._waiting:
            self._add(name, DataWork(data, (split,)))
        return name

    def _own_scores(self, candidate: Candidate) -> list[ScoreRow] | None:
        """A candidate's scores, if all of them are in the store."""
        scores = [self._score(metric) for metric in candidate.scores]
        known = [score for score in scores if score is not None]
        return known if len(known) == len(scores) else None

    def _score(self, metric: ScorePlan) -> ScoreRow | None:
        known = self._scores.get((metric.key.digest, metric.name))
        if known is None and (artifact := self._workshop.store.find(metric.key)) is not None:
            known = self._scores[metric.key.digest, metric.name] = read_score(artifact.folder, metric.name)
        return known

    def _row(self, candidate: Candidate) -> TrialResult | None:
        """A candidate's row; None while scores that belong beside its own are being made."""
        end = self._ends.get(candidate.id, JobEnd(candidate.id, "ok"))
        row = replace(
            blank_row(candidate), status=end.status, error=end.error, seconds=end.seconds, peak_bytes=end.peak_bytes
        )
        if end.status != "ok":
            return row
        scores = self._own_scores(candidate)
        if scores is None:
            return replace(row, status="failed", error="its scores vanished from the store")
        anchors = list(wanted_anchors(self._plan, candidate, scores))
        unmade = [anchor for anchor in anchors if any(self._score(metric) is None for metric in anchor.scores)]
        pending = [anchor for anchor in unmade if not self._is_over(candidate, anchor)]
        for anchor in pending:
            self._add_anchor_job(candidate, anchor)
        if pending:
            return None
        return replace(row, scores=anchored_rows(scores, anchors, self._score), hardware=self._hardware(candidate))

    def _hardware(self, candidate: Candidate) -> str:
        if isinstance(candidate, Submission):
            return ""
        return cost_hardware(self._workshop.store, candidate)

    def _is_over(self, candidate: Candidate, anchor: WantedAnchor) -> bool:
        """Whether nobody will make this anchor's scores any more: all who could have ended."""
        makers = self._trials_that_make(anchor) or {self._anchor_job(candidate, anchor)}
        return all(name in self._ends for name in makers)

    def _trials_that_make(self, anchor: WantedAnchor) -> set[str]:
        """The candidates of the run that the anchor is: a suite may list its ground truth."""
        return {self._makers[m.key.digest] for m in anchor.scores if m.key.digest in self._makers}

    def _anchor_job(self, candidate: Candidate, anchor: WantedAnchor) -> str:
        return f"{candidate.data.name}/r{candidate.replicate}/{anchor.name}"

    def _add_anchor_job(self, candidate: Candidate, anchor: WantedAnchor) -> None:
        """A job that makes an anchor's scores, before all others, unless somebody is at it."""
        name = self._anchor_job(candidate, anchor)
        if self._trials_that_make(anchor) or name in self._attempts or name in self._waiting:
            return
        self._attempts[name] = 0
        waiting, self._waiting = self._waiting, {}
        self._add(name, ScoreWork(anchor.plan, anchor.scores, anchor=True))
        self._waiting |= waiting


def blank_row(candidate: Candidate) -> TrialResult:
    """The row of a candidate of which nothing is known but its keys."""
    return TrialResult(
        candidate.id,
        candidate.data.name,
        candidate.simulator,
        candidate.replicate,
        "ok",
        candidate.keys(),
        outside=isinstance(candidate, Submission),
    )
