"""What a run hands out: a piece of work that can be done in any process that sees the store, and how it ended."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from nsbench.components.component import Conditions, Diverged, Split, Unavailable
from nsbench.components.events import Notice
from nsbench.registry.registry import BrokenComponent
from nsbench.results.rows import ScoreRow, Status
from nsbench.stages.score import recorded, score, score_null
from nsbench.stages.workshop import Bench
from nsbench.suite.planner import DataPlan, NullPlan, ScorePlan, Trial
from nsbench.suite.suite import Suite


@dataclass(frozen=True)
class DataWork:
    """Make splits of a dataset."""

    data: DataPlan
    splits: tuple[Split, ...]


@dataclass(frozen=True)
class TrialWork:
    """Score a trial by these metrics. anchor: it is wanted beside others' scores, and does what it can."""

    trial: Trial
    scores: tuple[ScorePlan, ...]
    anchor: bool = False


@dataclass(frozen=True)
class NullWork:
    """Score a null model by these metrics."""

    null: NullPlan
    scores: tuple[ScorePlan, ...]


@dataclass(frozen=True)
class Job:
    """A piece of work. name: of a trial its identity; of anything else, words that no trial is called."""

    name: str
    suite: Suite
    conditions: Conditions
    work: DataWork | TrialWork | NullWork

    def to_json(self) -> str:
        return _JOBS.dump_json(self, by_alias=True).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Job:
        return _JOBS.validate_json(text)


_JOBS = TypeAdapter(Job)


@dataclass(frozen=True)
class End:
    """How a job ended. fault: the traceback of what stopped it."""

    job: str
    status: Status
    error: str = ""
    fault: str = ""
    seconds: float = 0.0
    peak_bytes: int | None = None


def carry_out(bench: Bench, job: Job) -> End:
    """Do the work. Whatever stops it becomes its status; only what ends the process itself gets past this."""
    before = time.perf_counter()
    try:
        _work(bench, job)
    except KeyboardInterrupt:
        return End(job.name, "interrupted", seconds=time.perf_counter() - before)
    except Exception as error:
        seconds = time.perf_counter() - before
        text = f"{type(error).__name__}: {error}"
        return End(job.name, status_of(error), text, traceback.format_exc(), seconds)
    return End(job.name, "ok", seconds=time.perf_counter() - before)


def status_of(error: Exception) -> Status:
    """What an exception makes of a trial."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, Unavailable | BrokenComponent):
        return "skipped"
    return "oom" if _out_of_memory(error) else "failed"


def _out_of_memory(error: Exception) -> bool:
    """Also as torch says it: on a GPU by a class of its own, on a CPU in words."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "DefaultCPUAllocator: can't allocate memory" in str(error)


def _work(bench: Bench, job: Job) -> None:
    match job.work:
        case DataWork(data, splits):
            for split in splits:
                recorded(bench, job.name, data, split)
        case TrialWork(trial, scores, anchor):
            _each(bench, trial.id, scores, lambda metric: score(bench, trial, metric), lenient=anchor)
        case NullWork(null, scores):
            _each(bench, null.null, scores, lambda metric: score_null(bench, job.name, null, metric), lenient=True)


def _each(
    bench: Bench, name: str, scores: Sequence[ScorePlan], make: Callable[[ScorePlan], ScoreRow], *, lenient: bool
) -> None:
    """Make scores one by one. lenient: one that fails is told of and raised when the others have been tried."""
    first: Exception | None = None
    for metric in scores:
        try:
            make(metric)
        except Exception as error:
            if not lenient:
                raise
            bench.emit(Notice(f"no {metric.name} from {name}: {type(error).__name__}: {error}"))
            first = first or error
    if first is not None:
        raise first
