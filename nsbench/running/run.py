"""`nsbench run`: the plan, carried out job by job, and everybody told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nsbench.components.events import Emit, Event, Notice, RunFinished, RunStarted, TrialFinished, TrialStarted
from nsbench.registry.registry import Registry
from nsbench.results.file import ResultsFile
from nsbench.results.rows import TrialResult
from nsbench.running.executor import Executor, Setting
from nsbench.running.inline import Inline
from nsbench.running.schedule import Board, pending
from nsbench.running.stop import Stop, stop_on_signals
from nsbench.running.workers.job import End, Job, TrialWork
from nsbench.stages.score import prepare
from nsbench.stages.workshop import Bench, open_bench
from nsbench.store.files import write_whole
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import SPLITS, Plan

Listener = Callable[[Event], None]

STOPPING = "stopping: what runs goes on to its next checkpoint; Ctrl-C once more stops at once"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a row for each trial that was begun. gaps: what should stand beside scores and does not."""

    rows: list[TrialResult]
    interrupted: bool
    gaps: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 fine, 1 some trials failed, or anchors that their rows want, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if all(row.status == "ok" for row in self.rows) and not self.gaps else 1


def make_bench(plan: Plan, registry: Registry, workspace: Workspace, emit: Emit) -> Bench:
    return open_bench(plan.suite, plan.conditions, registry, workspace, emit)


def fan_out(listeners: Sequence[Listener], registry: Registry) -> Emit:
    """One function that tells every listener, and the plugins, whose faults are named once each."""
    named: set[str] = set()

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)
        for fault in registry.notify(event):
            if fault not in named:
                named.add(fault)
                emit(Notice(fault))

    return emit


def run(
    plan: Plan,
    registry: Registry,
    workspace: Workspace,
    listeners: Sequence[Listener] = (),
    invocation: str = "",
    executor: Callable[[Setting], Executor] = Inline,
) -> Outcome:
    """Carry out a plan. What is in the store is not done again; a trial that fails stops no other.

    invocation: a name for this run of the suite; a new one if not given. executor: who does the work.
    """
    suite = plan.suite.name
    emit = fan_out(listeners, registry)
    bench = make_bench(plan, registry, workspace, emit)
    invocation, before = invocation or new_invocation(), time.perf_counter()
    write_whole(workspace.run(suite) / "suite.yaml", plan.suite.to_yaml())
    results = ResultsFile(workspace.results(suite))
    emit(RunStarted(suite, invocation, tuple(t.id for t in plan.trials), pending(plan, bench.store)))
    stop = Stop(lambda: emit(Notice(STOPPING)))
    conduct = Conduct(Board(plan, bench), results, Setting(suite, workspace, registry, emit, stop))
    with stop_on_signals(stop):
        conduct.carry_out(executor)
    order = {trial.id: i for i, trial in enumerate(plan.trials)}
    rows = sorted(conduct.rows, key=lambda row: order[row.trial])
    interrupted = stop.asked()
    emit(RunFinished(suite, invocation, time.perf_counter() - before, interrupted))
    return Outcome(rows, interrupted, tuple(conduct.gaps))


def new_invocation() -> str:
    return uuid.uuid4().hex[:12]


@dataclass
class Conduct:
    """A run underway: jobs go from the board to the executor, ends come back, rows are written."""

    board: Board
    results: ResultsFile
    setting: Setting
    rows: list[TrialResult] = field(default_factory=list)
    running: dict[str, Job] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    gaps: list[str] = field(default_factory=list)

    def carry_out(self, executor: Callable[[Setting], Executor]) -> None:
        """Until nothing is left to do, or the run is to end."""
        try:
            with executor(self.setting) as crew:
                while self._step(crew):
                    pass
        except KeyboardInterrupt:
            self.setting.stop.ask()
        self._settle(self.board.cut_short(self.running))

    def _step(self, crew: Executor) -> bool:
        """Whatever is to be done next. Returns whether there is more."""
        self._settle(self.board.rows())
        if self._start(crew):
            return True
        if crew.busy():
            for end in crew.wait():
                self._ended(end)
            return True
        return self._settle(self.board.rows()) > 0  # trials that were skipped just now

    def _start(self, crew: Executor) -> bool:
        """Start a job, if there is one that can be."""
        if self.setting.stop.asked() or not crew.free():
            return False
        job = self.board.take()
        if job is None:
            return False
        self.running[job.name] = job
        if _is_trial(job):
            self._begin(job.name)
        crew.start(job)
        return True

    def _ended(self, end: End) -> None:
        log = self.setting.workspace.log(self.setting.suite, end.job)
        self._log(log, end)
        if end.status == "interrupted":
            self.setting.stop.ask()
        if end.error:
            end = replace(end, error=f"{end.error} (see {log})")
        job = self.running.pop(end.job)
        if self.board.ended(end):
            self.board.again(job)
        elif end.status != "ok" and not _is_trial(job):
            self.gaps.append(end.job)

    def _log(self, log: Path, end: End) -> None:
        """The traceback, and how it ended, below what the job itself had to say."""
        peak = f", {end.peak_bytes / 1e6:,.0f} MB at most" if end.peak_bytes else ""
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        said = f"{end.fault}{when} {end.job}: {end.status} after {end.seconds:.1f} s{peak}. {end.error}".rstrip()
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(said + "\n")
        except OSError as error:
            self.setting.emit(Notice(f"{log} cannot be written: {error}"))

    def _begin(self, trial: str) -> None:
        if trial not in self.begun:
            self.begun.add(trial)
            self.setting.emit(TrialStarted(trial))

    def _settle(self, rows: Iterable[TrialResult]) -> int:
        """Write rows down, and tell of them."""
        count = 0
        for row in rows:
            self._begin(row.trial)
            self.results.add(row)
            self.rows.append(row)
            self.setting.emit(TrialFinished(row))
            count += 1
        return count


def _is_trial(job: Job) -> bool:
    """Whether a row is made of it."""
    return isinstance(job.work, TrialWork) and not job.work.anchor


def prepare_all(plan: Plan, registry: Registry, workspace: Workspace, listeners: Sequence[Listener]) -> int:
    """Make every split of every dataset; returns how many trajectories there are."""
    bench = make_bench(plan, registry, workspace, fan_out(listeners, registry))
    return sum(len(prepare(bench, data.name, data, split)) for data in plan.data.values() for split in SPLITS)
