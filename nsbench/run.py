"""`nsbench run`: the plan, carried out trial by trial, and everybody told."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from nsbench import results
from nsbench.components import Diverged
from nsbench.events import Emit, Event, Notice, RunFinished, RunStarted, Stage, TrialFinished, TrialStarted
from nsbench.files import write_whole
from nsbench.plan import SPLITS, DataPlan, NullPlan, Plan, ScorePlan, Trial
from nsbench.registry import Registry
from nsbench.results import ScoreRow, Status, TrialResult, same_outcome
from nsbench.stages import Bench, prepare, score, score_null
from nsbench.store import Key, Store
from nsbench.workspace import Workspace

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a row for each trial that was begun."""

    rows: list[TrialResult]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 fine, 1 some trials failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if all(row.status == "ok" for row in self.rows) else 1


def make_bench(plan: Plan, registry: Registry, workspace: Workspace, emit: Emit) -> Bench:
    store = Store(workspace.store, notify=lambda message: emit(Notice(message)))
    return Bench(plan.suite, plan.conditions, registry, store, workspace.work, emit)


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
    plan: Plan, registry: Registry, workspace: Workspace, listeners: Sequence[Listener] = (), invocation: str = ""
) -> Outcome:
    """Carry out a plan. What is in the store is not done again; a trial that fails stops no other.

    invocation: a name for this run of the suite; a new one if not given.
    """
    suite = plan.suite.name
    emit = fan_out(listeners, registry)
    bench = make_bench(plan, registry, workspace, emit)
    invocation, before = invocation or new_invocation(), time.perf_counter()
    write_whole(workspace.run(suite) / "suite.yaml", plan.suite.to_yaml())
    known = {row.trial: row for row in results.load(workspace.results(suite))}
    emit(RunStarted(suite, invocation, tuple(t.id for t in plan.trials), pending(plan, bench.store)))
    anchors = AnchorScores(plan, bench)
    rows: list[TrialResult] = []
    for trial in plan.trials:
        emit(TrialStarted(trial.id))
        row = run_trial(bench, trial, anchors, workspace)
        if trial.id not in known or not same_outcome(known[trial.id], row):
            results.append(workspace.results(suite), row)
        rows.append(row)
        emit(TrialFinished(row))
        if row.status == "interrupted":
            break
    interrupted = bool(rows) and rows[-1].status == "interrupted"
    emit(RunFinished(suite, invocation, time.perf_counter() - before, interrupted))
    return Outcome(rows, interrupted)


def new_invocation() -> str:
    return uuid.uuid4().hex[:12]


def run_trial(bench: Bench, trial: Trial, anchors: AnchorScores, workspace: Workspace) -> TrialResult:
    """All stages of a trial; a failure becomes its status, with the traceback in the run's logs."""
    before = time.perf_counter()
    row = TrialResult(trial.id, trial.data.name, trial.simulator, trial.replicate, "ok", trial_keys(trial))
    try:
        scores = [score(bench, trial, metric) for metric in trial.scores]
        scores = [anchors.beside(trial, i, own) for i, own in enumerate(scores)]
    except KeyboardInterrupt:
        return replace(row, status="interrupted", seconds=time.perf_counter() - before)
    except Exception as error:
        log = workspace.log(bench.suite.name, trial.id)
        write_whole(log, traceback.format_exc())
        text = f"{type(error).__name__}: {error} (see {log})"
        status: Status = "diverged" if isinstance(error, Diverged) else "failed"
        return replace(row, status=status, error=text, seconds=time.perf_counter() - before)
    return replace(row, scores=tuple(scores), seconds=time.perf_counter() - before)


def trial_keys(trial: Trial) -> dict[str, str]:
    """Every artifact of a trial, by stage."""
    keys = {f"data/{split}": trial.fit_data.keys[split].digest for split in ("train", "val")}
    keys |= {"data/test": trial.data.keys["test"].digest}
    keys |= {"model": trial.model.digest, "evidence": trial.evidence.digest}
    return keys | {f"score/{metric.name}": metric.key.digest for metric in trial.scores}


class Scored(Protocol):
    """What anchors need to know of a trial."""

    @property
    def id(self) -> str: ...
    @property
    def data(self) -> DataPlan: ...
    @property
    def replicate(self) -> int: ...


class AnchorScores:
    """The scores of the ground truth itself and of the null models, which stand beside everybody else's."""

    def __init__(self, plan: Plan, bench: Bench) -> None:
        self._plan = plan
        self._bench = bench
        self._known: dict[str, ScoreRow | None] = {}

    def beside(self, trial: Scored, metric: int, own: ScoreRow) -> ScoreRow:
        """A score with those of the anchors of the same metric beside it."""
        anchors = self._plan.anchors[trial.data.name, trial.replicate]
        if not own.anchored:
            return own
        nulls = anchors.nulls if own.rollouts_only else {}
        return replace(
            own,
            floor=self._value(anchors.floor, metric),
            noise_free=self._value(anchors.noise_free, metric),
            climatology=self._null(trial, nulls.get("climatology"), metric),
            persistence=self._null(trial, nulls.get("persistence"), metric),
        )

    def _value(self, anchor: Trial | None, metric: int) -> float | None:
        if anchor is None:
            return None
        plan = anchor.scores[metric]
        return self._once(plan, anchor.id, lambda: score(self._bench, anchor, plan))

    def _null(self, trial: Scored, null: NullPlan | None, metric: int) -> float | None:
        if null is None:
            return None
        plan = null.scores[metric]
        return self._once(plan, null.null, lambda: score_null(self._bench, trial.id, null, plan))

    def _once(self, plan: ScorePlan, name: str, make: Callable[[], ScoreRow]) -> float | None:
        if plan.key.digest not in self._known:
            self._known[plan.key.digest] = self._made(name, make)
        known = self._known[plan.key.digest]
        return known.value if known else None

    def _made(self, name: str, make: Callable[[], ScoreRow]) -> ScoreRow | None:
        try:
            return make()
        except Exception as error:
            self._bench.emit(Notice(f"no anchor from {name}: {type(error).__name__}: {error}"))
            return None


def pending(plan: Plan, store: Store) -> dict[str, Stage]:
    """Key -> stage of each artifact that is not in the store."""
    keys = [key for trial in plan.trials for key in stage_keys(trial)]
    return {key.digest: key.stage for key in keys if not store.has(key)}


def stage_keys(trial: Trial) -> list[Key]:
    """The artifacts of a trial in the order in which they are made; those that nobody will ask for too."""
    data = [trial.fit_data.keys["train"], trial.fit_data.keys["val"], trial.data.keys["test"]]
    return [*data, trial.model, trial.evidence, *(metric.key for metric in trial.scores)]


def prepare_all(plan: Plan, registry: Registry, workspace: Workspace, listeners: Sequence[Listener]) -> int:
    """Make every split of every dataset; returns how many trajectories there are."""
    bench = make_bench(plan, registry, workspace, fan_out(listeners, registry))
    return sum(len(prepare(bench, data.name, data, split)) for data in plan.data.values() for split in SPLITS)
