"""Jobs: pieces of work that can be done in any process that sees the store, and how they ended."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pydantic import TypeAdapter

from nsbench.components.component import Unavailable
from nsbench.components.dataset import Split
from nsbench.components.events import Notice
from nsbench.components.protocol import Conditions
from nsbench.components.rows import ScoreRow, Status
from nsbench.components.simulator import Diverged
from nsbench.errors import shortened
from nsbench.registry.process_state import Keeper
from nsbench.registry.registry import BrokenComponent
from nsbench.stages.costs import Postponed
from nsbench.stages.prepare import prepare, recorded
from nsbench.stages.score import score, score_null, score_submission
from nsbench.stages.simulate import simulate
from nsbench.stages.workshop import Workshop, hold_threads
from nsbench.suite.suite import Suite
from nsbench.suite.trials import Candidate, DataPlan, NullPlan, PlannedArtifact, ScorePlan, Submission, Trial


@dataclass(frozen=True)
class DataWork:
    """The work of making splits of a dataset."""

    data: DataPlan
    splits: tuple[Split, ...]

    def artifacts(self) -> list[PlannedArtifact]:
        """The artifacts that this work makes."""
        return [self.data.artifact(split) for split in self.splits]


@dataclass(frozen=True)
class ScoreWork:
    """The work of scoring a candidate, or a null model, by these metrics.

    anchor: the scores are wanted as an anchor only, and a failing metric does not stop the others.
    """

    of: Trial | Submission | NullPlan
    scores: tuple[ScorePlan, ...]
    anchor: bool = False

    def artifacts(self) -> list[PlannedArtifact]:
        """The artifacts that this work may need or make; of the scores only those by its metrics."""
        scores = {metric.artifact().name for metric in self.scores}
        return [a for a in self.of.artifacts() if a.key.kind != "score" or a.name in scores]


@dataclass(frozen=True)
class CostWork:
    """The work of measuring a trial's costs, which completes its evidence. Nothing else of the run works beside it."""

    of: Trial

    def artifacts(self) -> list[PlannedArtifact]:
        """The artifacts that this work may need or make."""
        return [a for a in self.of.artifacts() if a.key.kind != "score"]


@dataclass(frozen=True)
class Job:
    """A piece of work. name: the candidate's identity; for other work a name that no candidate has.

    spent: the seconds that earlier jobs of that name worked on it, which its limit of time counts.
    """

    name: str
    suite: Suite
    conditions: Conditions
    work: DataWork | ScoreWork | CostWork
    spent: float = 0.0

    @property
    def candidate(self) -> Candidate | None:
        """The trial or submission that gets its row by this job; None where there is none."""
        match self.work:
            case ScoreWork(of=Trial() | Submission() as candidate, anchor=False):
                return candidate
        return None

    def to_json(self) -> str:
        return _JOBS.dump_json(self, by_alias=True).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Job:
        return _JOBS.validate_json(text)


_JOBS = TypeAdapter(Job)


@dataclass(frozen=True)
class JobEnd:
    """The end of a job. fault: the traceback of the exception that stopped it. changed: see `TrialResult`.

    postponed: all is done until costs are to be measured, which needs the run to itself.
    """

    job: str
    status: Status
    error: str = ""
    fault: str = ""
    seconds: float = 0.0
    peak_bytes: int | None = None
    changed: tuple[str, ...] = ()
    postponed: bool = False


def carry_out(workshop: Workshop, job: Job) -> JobEnd:
    """Do a job, and return its end. Exceptions become its status; only what ends the process itself gets past this.

    The process's state is put back after each stage, and named in the end where a component had changed it.
    """
    hold = partial(hold_threads, workshop.threads)
    hold()  # what nsbench itself sets is no change
    keeper = Keeper(hold)
    end = _end(replace(workshop, put_back=keeper.put_back), job)
    keeper.put_back(everything=True)
    return replace(end, changed=keeper.changes)


def _end(workshop: Workshop, job: Job) -> JobEnd:
    before = time.perf_counter()
    try:
        _work(workshop, job)
    except KeyboardInterrupt:
        return JobEnd(job.name, "interrupted", seconds=time.perf_counter() - before)
    except Postponed:
        return JobEnd(job.name, "ok", seconds=time.perf_counter() - before, postponed=True)
    except Exception as error:
        seconds = time.perf_counter() - before
        text = f"{type(error).__name__}: {error}"
        return JobEnd(job.name, status_of(error), text, traceback.format_exc(), seconds)
    return JobEnd(job.name, "ok", seconds=time.perf_counter() - before)


def status_of(error: Exception) -> Status:
    """The status of a trial that an exception ended."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, Unavailable | BrokenComponent):
        return "skipped"
    return "oom" if _out_of_memory(error) else "failed"


def _out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out: torch has a class of its own for that on a GPU, and only a message on a CPU."""
    by_class = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return by_class or "DefaultCPUAllocator: can't allocate memory" in str(error)


def _work(workshop: Workshop, job: Job) -> None:
    match job.work:
        case DataWork(data, splits):
            for split in splits:
                recorded(workshop, job.name, data, split)
        case CostWork(trial):
            simulate(workshop, trial, prepare(workshop, trial.id, trial.data, "test"))
        case ScoreWork(Trial() as trial, scores, anchor):
            _make_scores(workshop, trial.id, scores, lambda metric: score(workshop, trial, metric), lenient=anchor)
        case ScoreWork(NullPlan() as null, scores):
            _make_scores(
                workshop, null.name, scores, lambda metric: score_null(workshop, job.name, null, metric), lenient=True
            )
        case ScoreWork(Submission() as submission, scores):
            _make_scores(workshop, submission.id, scores, lambda metric: score_submission(workshop, submission, metric))


def _make_scores(
    workshop: Workshop,
    name: str,
    scores: Sequence[ScorePlan],
    make: Callable[[ScorePlan], ScoreRow],
    *,
    lenient: bool = False,
) -> None:
    """Make scores one by one. lenient: an error becomes a notice, and is raised once every metric has been tried."""
    first_error: Exception | None = None
    for metric in scores:
        try:
            make(metric)
        except Postponed:
            raise
        except Exception as error:
            if not lenient:
                raise
            workshop.emit(Notice(f"no {metric.name} from {name}: {shortened(f'{type(error).__name__}: {error}')}"))
            first_error = first_error or error
    if first_error is not None:
        raise first_error
