"""What is left to do in a run, in which order, and what became of it: the plan becomes jobs, their ends rows.

Data comes first, then the trials in the order of the suite, each followed by what must stand beside its
scores. What is in the store already makes no job.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from nsbench.components.events import Notice, Stage
from nsbench.results.rows import ScoreRow, Status, TrialResult
from nsbench.running.workers.job import DataWork, End, Job, NullWork, TrialWork
from nsbench.stages.hardware import cost_hardware
from nsbench.stages.score import read_score
from nsbench.stages.workshop import Bench
from nsbench.store.files import Busy
from nsbench.store.store import Key, Store
from nsbench.suite.planner import DataPlan, Plan, ScorePlan, Trial

_RETRIED: frozenset[Status] = frozenset({"failed", "oom", "killed"})
"""Ends that may be bad luck. A fit goes on from its checkpoint."""


class Board:
    """The jobs of a run that wait, and the ends of those that do not."""

    def __init__(self, plan: Plan, bench: Bench) -> None:
        self._plan, self._bench = plan, bench
        self._waiting: dict[str, Job] = {}
        self._needs: dict[str, list[str]] = {}  # a trial -> the jobs that make its data
        self._ends: dict[str, End] = {}
        self._attempts: dict[str, int] = {}
        self._claims: dict[str, ExitStack] = {}
        self._scores: dict[tuple[str, str], ScoreRow] = {}
        self._listed = {metric.key.digest: trial.id for trial in plan.trials for metric in trial.scores}
        self._open = {trial.id: trial for trial in plan.trials if self._own(trial) is None}
        self._scored = {trial.id: trial for trial in plan.trials if trial.id not in self._open}  # without a row yet
        for trial in self._open.values():
            self._needs[trial.id] = [self._data_job(*need) for need in self._missing_data(trial)]
        for trial in self._open.values():
            self._waiting[trial.id] = self._job(trial.id, TrialWork(trial, trial.scores))

    def take(self) -> Job | None:
        """The next job that can be started: first one that no other run is at, so that two runs share the work.

        It is claimed until it has ended. Trials whose data cannot be had are skipped.
        """
        ready = None
        for job in list(self._waiting.values()):
            if not self._is_ready(job):
                continue
            ready = ready or job
            if self._claim(job):
                ready = job
                break
        if ready is not None:
            del self._waiting[ready.name]
        return ready

    def _is_ready(self, job: Job) -> bool:
        """Whether a job's data is there; a job whose data cannot be had is ended."""
        needed = self._needs.get(job.name, [])
        if not all(need in self._ends for need in needed):
            return False
        lost = [end for need in needed if (end := self._ends[need]).status != "ok"]
        if lost:
            del self._waiting[job.name]
            self.ended(End(job.name, "skipped", f"{lost[0].job}: {lost[0].status}: {lost[0].error}"))
        return not lost

    def _claim(self, job: Job) -> bool:
        """Claim what a job makes first; False where another has claimed it, or is at any of what the job makes."""
        missing = [key for key in _made_by(job) if not self._bench.store.has(key)]
        if any(self._bench.is_in_the_making(key) for key in missing):
            return False
        claim = ExitStack()
        try:
            if missing:
                claim.enter_context(self._bench.claim(missing[0]))
        except Busy:
            return False
        except OSError:  # a courtesy to other runs: what is wrong with the disk the job itself will say
            pass
        self._claims[job.name] = claim
        return True

    def _give_up_claim(self, name: str) -> None:
        self._claims.pop(name, ExitStack()).close()

    def ended(self, end: End) -> bool:
        """Take note of a job's end. Returns whether it is begun again."""
        self._give_up_claim(end.job)
        attempt = self._attempts[end.job] = self._attempts.get(end.job, 0) + 1
        if end.status in _RETRIED and attempt <= self._plan.suite.limits.retries:
            self._bench.emit(Notice(f"{end.job}: {end.status}: {end.error}; begun again"))
            return True
        self._ends[end.job] = end
        if end.job in self._open:
            self._scored[end.job] = self._open.pop(end.job)
        elif end.status not in ("ok", "interrupted"):
            self._bench.emit(Notice(f"{end.job}: {end.status}: {end.error}"))
        return False

    def again(self, job: Job) -> None:
        """Put a job back, before all others."""
        self._waiting = {job.name: job, **self._waiting}

    def rows(self) -> Iterator[TrialResult]:
        """The rows that are complete now, each once."""
        for trial in list(self._scored.values()):
            row = self._row(trial)
            if row is not None:
                del self._scored[trial.id]
                yield row

    def cut_short(self, running: Container[str]) -> Iterator[TrialResult]:
        """Rows of the trials that were begun and have none, when the run ends before they do. Claims are given up."""
        for name in list(self._claims):
            self._give_up_claim(name)
        for trial in [*self._scored.values(), *(t for t in self._open.values() if t.id in running)]:
            yield replace(blank_row(trial), status="interrupted")

    def _job(self, name: str, work: DataWork | TrialWork | NullWork) -> Job:
        return Job(name, self._plan.suite, self._plan.conditions, work)

    def _missing_data(self, trial: Trial) -> Iterator[tuple[DataPlan, Key]]:
        store = self._bench.store
        wanted: list[tuple[DataPlan, Key]] = []
        if not store.has(trial.evidence) and not store.has(trial.model):
            wanted += [(trial.fit_data, trial.fit_data.keys[split]) for split in ("train", "val")]
        wanted.append((trial.data, trial.data.keys["test"]))
        return ((data, key) for data, key in wanted if not store.has(key))

    def _data_job(self, data: DataPlan, key: Key) -> str:
        split = next(split for split, own in data.keys.items() if own is key)
        name = f"{data.name}/{split}-data"
        self._waiting.setdefault(name, self._job(name, DataWork(data, (split,))))
        return name

    def _own(self, trial: Trial) -> list[ScoreRow] | None:
        """A trial's scores, if all of them are in the store."""
        found: list[ScoreRow] = []
        for metric in trial.scores:
            row = self._score(metric)
            if row is None:
                return None
            found.append(row)
        return found

    def _score(self, metric: ScorePlan) -> ScoreRow | None:
        known = self._scores.get((metric.key.digest, metric.name))
        if known is None and (artifact := self._bench.store.find(metric.key)) is not None:
            known = read_score(artifact.folder, metric.name)
            self._scores[metric.key.digest, metric.name] = known
        return known

    def _row(self, trial: Trial) -> TrialResult | None:
        """A trial's row; None while scores that belong beside its own are being made."""
        end = self._ends.get(trial.id, End(trial.id, "ok"))
        row = replace(
            blank_row(trial), status=end.status, error=end.error, seconds=end.seconds, peak_bytes=end.peak_bytes
        )
        if end.status != "ok":
            return row
        own = self._own(trial)
        if own is None:
            return replace(row, status="failed", error="its scores vanished from the store")
        beside = self._beside(trial, own)
        if beside is None:
            return None
        scores = tuple(replace(score, **beside[score.metric]) for score in own)
        return replace(row, scores=scores, hardware=cost_hardware(self._bench.store, trial))

    def _beside(self, trial: Trial, own: list[ScoreRow]) -> dict[str, dict[str, Any]] | None:
        """The anchors' scores by metric, {metric: {anchor: value}}; None while some are being made."""
        found: dict[str, dict[str, Any]] = {score.metric: {} for score in own}
        complete = True
        for anchor, work in self._anchors(trial, own):
            missing = []
            for metric in work.scores:
                score = self._score(metric)
                found[metric.name][anchor] = score.value if score else None
                if score is None:
                    missing.append(metric)
            if missing and not self._has_ended(trial, anchor, work):
                complete = False
        return found if complete else None

    def _anchors(self, trial: Trial, own: list[ScoreRow]) -> Iterator[tuple[str, TrialWork | NullWork]]:
        """What is wanted beside a trial's scores: who makes it, and for which metrics."""
        anchors = self._plan.anchors[trial.data.name, trial.replicate]
        beside = [i for i, score in enumerate(own) if score.anchored]
        for name, anchor in (("floor", anchors.floor), ("noise_free", anchors.noise_free)):
            if anchor is not None and beside:
                yield name, TrialWork(anchor, tuple(anchor.scores[i] for i in beside), anchor=True)
        unasked = [i for i in beside if own[i].rollouts_only]
        for null, plan in anchors.nulls.items():
            if unasked:
                yield null, NullWork(plan, tuple(plan.scores[i] for i in unasked))

    def _has_ended(self, trial: Trial, anchor: str, work: TrialWork | NullWork) -> bool:
        """Whether nobody will make this any more. A job for it is added if there has been none."""
        listed = {self._listed[m.key.digest] for m in work.scores if m.key.digest in self._listed}
        if listed:
            return all(name in self._ends for name in listed)
        name = f"{trial.data.name}/r{trial.replicate}/{anchor}"
        if name not in self._ends and name not in self._attempts and name not in self._waiting:
            self._attempts[name] = 0
            self._waiting = {name: self._job(name, work), **self._waiting}
        return name in self._ends


def _made_by(job: Job) -> list[Key]:
    """What a job makes, in that order."""
    match job.work:
        case DataWork(data, splits):
            return [data.keys[split] for split in splits]
        case TrialWork(trial, scores):
            return [trial.model, trial.evidence, *(metric.key for metric in scores)]
        case NullWork(_, scores):
            return [metric.key for metric in scores]


def blank_row(trial: Trial) -> TrialResult:
    return TrialResult(trial.id, trial.data.name, trial.simulator, trial.replicate, "ok", trial_keys(trial))


def trial_keys(trial: Trial) -> dict[str, str]:
    """Every artifact of a trial, by stage."""
    keys = {f"data/{split}": trial.fit_data.keys[split].digest for split in ("train", "val")}
    keys |= {"data/test": trial.data.keys["test"].digest}
    keys |= {"model": trial.model.digest, "evidence": trial.evidence.digest}
    return keys | {f"score/{metric.name}": metric.key.digest for metric in trial.scores}


def pending(plan: Plan, store: Store) -> dict[str, Stage]:
    """Key -> stage of each artifact that is not in the store."""
    keys = [key for trial in plan.trials for key in stage_keys(trial)]
    return {key.digest: key.stage for key in keys if not store.has(key)}


def stage_keys(trial: Trial) -> list[Key]:
    """The artifacts of a trial in the order in which they are made; those that nobody will ask for too."""
    data = [trial.fit_data.keys["train"], trial.fit_data.keys["val"], trial.data.keys["test"]]
    return [*data, trial.model, trial.evidence, *(metric.key for metric in trial.scores)]
