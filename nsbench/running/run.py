"""A run: jobs go from the schedule to the executor, ends come back, rows are written, and listeners are told."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nsbench.components.dataset import SPLITS
from nsbench.components.events import Emit, Event, Notice, RunFinished, RunStarted, TrialFinished, TrialStarted
from nsbench.components.rows import TrialResult
from nsbench.errors import shortened
from nsbench.names import visible
from nsbench.outcomes.file import ResultsFile
from nsbench.registry.registry import Registry, in_a_line
from nsbench.running.executor import Executor, RunContext
from nsbench.running.expected import expected_stages
from nsbench.running.inline import Inline
from nsbench.running.schedule import Schedule
from nsbench.running.stop import Stop, stop_on_signals
from nsbench.running.workers.job import CostWork, Job, JobEnd
from nsbench.stages.prepare import prepare
from nsbench.stages.workshop import Workshop, workshop_in_use
from nsbench.store.files import make_folder, write_whole
from nsbench.suite.session import Session, as_session
from nsbench.suite.trials import Submission

_LOGGER = logging.getLogger(__name__)

Listener = Callable[[Event], None]

STOPPING = "stopping: what runs goes on to its next checkpoint; Ctrl-C once more stops at once"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    rows: of each trial and submission that was begun. gaps: names of the jobs without a row, for data and anchors,
    that ended badly.
    """

    rows: list[TrialResult]
    interrupted: bool
    gaps: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit status of the process: 0 if all is well, 1 if a trial or an anchor failed, 130 if interrupted."""
        if self.interrupted:
            return 130
        return 0 if all(row.status == "ok" for row in self.rows) and not self.gaps else 1


def fan_out(listeners: Sequence[Listener], registry: Registry) -> Emit:
    """A function that tells an event to all listeners and plugins, each event to all before the next.

    A listener that raises, or tries to end the program, is left out from then on, and a notice says so: what is shown
    must not cost what is computed. Only KeyboardInterrupt, the user's own, goes on.
    """
    left = [*((_name(listener), listener) for listener in listeners), *registry.listeners()]

    def emit(event: Event) -> None:
        faults = []
        for name, listener in list(left):
            try:
                listener(event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                left.remove((name, listener))
                faults.append(f"{name} failed, and is told no more of this run: {in_a_line(error)}")
                if listener in listeners:  # it may be the display, which would have shown the notice
                    _LOGGER.warning("%s", visible(faults[-1]))
        for fault in faults:
            emit(Notice(fault))

    return emit


def _name(listener: Listener) -> str:
    """A listener's name for messages: that of its function, or of its class."""
    return str(getattr(listener, "__qualname__", type(listener).__qualname__))


def new_invocation() -> str:
    """A new name for a run of a suite."""
    return uuid.uuid4().hex[:12]


def run(
    suite: Session | Path | str,
    listeners: Sequence[Listener] = (),
    invocation: str = "",
    executor: Callable[[RunContext], Executor] = Inline,
    submissions: Sequence[Submission] = (),
) -> Outcome:
    """Carry out a suite's plan. What is in the store is not made again; a trial that fails stops no other.

    suite: a session, or a suite's file. listeners: told every event of the run. invocation: a name for this run of
    the suite; a new one if not given. executor: makes the executor, which does the work. submissions: rollouts made
    elsewhere that are scored too, by the metrics that the suite has now.
    """
    session = as_session(suite)
    emit = fan_out(listeners, session.registry)
    with workshop_in_use(session, emit) as workshop:
        return _run(session, emit, workshop, invocation or new_invocation(), executor, submissions)


def _run(
    session: Session,
    emit: Emit,
    workshop: Workshop,
    invocation: str,
    executor: Callable[[RunContext], Executor],
    submissions: Sequence[Submission],
) -> Outcome:
    stop = Stop(lambda: emit(Notice(STOPPING)))
    name, workspace = session.suite.name, session.workspace
    before = time.perf_counter()
    write_whole(workspace.run(name) / "suite.yaml", session.suite.to_yaml())
    candidates = [*(trial.id for trial in session.plan.trials), *(submission.id for submission in submissions)]
    results, schedule = ResultsFile(session.results), Schedule(session.plan, submissions, workshop)
    pending, expected = session.plan.missing(workshop.store), expected_stages(session.plan, workshop.store)
    emit(RunStarted(name, invocation, tuple(candidates), pending, expected))
    if results.note:
        emit(Notice(results.note))
    underway = Run(schedule, results, RunContext(name, workspace, session.registry, emit, stop))
    with stop_on_signals(stop):
        underway.work(executor)
    order = {name: k for k, name in enumerate(candidates)}
    interrupted = stop.asked()
    emit(RunFinished(name, invocation, time.perf_counter() - before, interrupted))
    return Outcome(sorted(underway.rows, key=lambda row: order[row.trial]), interrupted, schedule.gaps)


@dataclass
class Run:
    """A run underway. running: the jobs at work, by name; begun: the candidates whose start listeners were told."""

    schedule: Schedule
    results: ResultsFile
    context: RunContext
    rows: list[TrialResult] = field(default_factory=list)
    running: dict[str, Job] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    def work(self, executor: Callable[[RunContext], Executor]) -> None:
        """Work until nothing is left to do, or the run is to end."""
        try:
            with executor(self.context) as crew:
                while self._step(crew):
                    pass
        except KeyboardInterrupt:
            self.context.stop.ask()
        self._settle(self.schedule.cut_short(self.running))

    def _step(self, crew: Executor) -> bool:
        """Do the next thing that is to be done; returns whether there is more."""
        self._settle(self.schedule.rows())
        if self._start(crew):
            return True
        if crew.busy():
            for end in crew.wait():
                self._end(end)
            return True
        return self._settle(self.schedule.rows()) > 0  # trials that were skipped just now

    def _start(self, crew: Executor) -> bool:
        """Start a job, if one can be started; returns whether it was."""
        if self.context.stop.asked() or not crew.free() or self._measures_costs():
            return False
        job = self.schedule.take(idle=not self.running)
        if job is None:
            return False
        self.running[job.name] = job
        if job.candidate is not None:
            self._begin(job.name)
        crew.start(job)
        return True

    def _measures_costs(self) -> bool:
        """Whether costs are being measured, which nothing is to be started beside."""
        return any(isinstance(job.work, CostWork) for job in self.running.values())

    def _end(self, end: JobEnd) -> None:
        """Take note of a job's end, in its log and in the schedule."""
        log = self.context.workspace.log(self.context.suite, end.job)
        self._log(log, end)
        if end.status == "interrupted":
            self.context.stop.ask()
        if end.error:
            end = replace(end, error=f"{shortened(end.error)} (see {log})")
        self.schedule.end(self.running.pop(end.job), end)

    def _log(self, log: Path, end: JobEnd) -> None:
        """Append the traceback of a job, and how it ended, to the job's log."""
        peak = f", {end.peak_bytes / 1e6:,.0f} MB at most" if end.peak_bytes else ""
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        changed = "".join(f"{when} {end.job} changed its process: {change}\n" for change in end.changed)
        text = (
            f"{end.fault}{changed}{when} {end.job}: {end.status} after {end.seconds:.1f} s{peak}. {end.error}".rstrip()
        )
        try:
            make_folder(log.parent)
            with log.open("a", encoding="utf-8") as file:
                file.write(visible(text) + "\n")
        except OSError as error:
            self.context.emit(Notice(f"{log} cannot be written: {error}"))

    def _begin(self, candidate: str) -> None:
        if candidate not in self.begun:
            self.begun.add(candidate)
            self.context.emit(TrialStarted(candidate))

    def _settle(self, rows: Iterable[TrialResult]) -> int:
        """Add rows to the results, and tell listeners of them; returns how many."""
        count = 0
        for row in rows:
            self._begin(row.trial)
            self.results.add(row)
            self.rows.append(row)
            self.context.emit(TrialFinished(row))
            count += 1
        return count


def prepare_all(session: Session, listeners: Sequence[Listener]) -> int:
    """Make every split of every dataset; returns how many trajectories there are."""
    data = session.plan.data.values()
    with workshop_in_use(session, fan_out(listeners, session.registry)) as workshop:
        return sum(len(prepare(workshop, dataset.name, dataset, split)) for dataset in data for split in SPLITS)
