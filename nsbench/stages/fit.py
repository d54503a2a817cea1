"""The second stage: a simulator is fitted on train and val data, within the budget.

The artifact holds what the simulator saves, in weights/, and its training curves, in curves.json.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nsbench.components.contracts.broken import BrokenContract, kind_of
from nsbench.components.contracts.numbers import real, whole
from nsbench.components.contracts.simulator import require_saved
from nsbench.components.events import CurvePoint, Notice
from nsbench.components.simulator import FitContext, Simulator
from nsbench.components.wrapper import Wrapper, member_name
from nsbench.stages.prepare import prepare
from nsbench.stages.workshop import Workshop, Write
from nsbench.store.checked import read_checked, set_file_aside, write_checked
from nsbench.store.files import make_folder
from nsbench.store.manifest import Damaged
from nsbench.store.store import Artifact, Draft
from nsbench.suite.seeds import generator
from nsbench.suite.trials import Trial
from nsbench.trajectories.base import Trajectories

Point = tuple[str, float, int]
"""A point of a training curve: (name, value, step)."""

JOURNAL_SECONDS = 5
"""Seconds between two writes of the journal to disk."""

_CURVES = "curves.json"
_WEIGHTS = "weights"


def fit(workshop: Workshop, trial: Trial, within: str = "") -> tuple[Simulator, float | None]:
    """The fitted simulator, and the seconds that its fit took; None for a simulator that learns nothing.

    Of a simulator that is made of fits of another one these are obtained first, and their seconds counted in. within:
    the place of such a fit in the simulator of the trial, "member-0/"; the names of its curves begin with it.
    """

    def make() -> Write:
        train = prepare(workshop, trial.id, trial.fit_data, "train")
        val = prepare(workshop, trial.id, trial.fit_data, "val")
        members = [
            fit(workshop, member, f"{within}{member_name(k)}/") for k, member in enumerate(_member_trials(trial))
        ]
        return lambda draft: _fit(workshop, trial, within, train, val, members, draft)

    agreement = workshop.agreement
    rests_on = [agreement.of(trial.part), *map(agreement.of, trial.inner_parts()), *agreement.of_data(trial.fit_data)]
    what = f"fit of {trial.simulator}{' ' if within else ''}{within.rstrip('/')}"
    artifact = workshop.obtain(trial.id, trial.model, what, make, {_CURVES}, rests_on)
    workshop.clear_work(trial.model)
    simulator: Simulator = workshop.component(trial.part, trial.inner_parts())
    simulator.conditions = workshop.conditions
    _load(simulator, artifact.folder / _WEIGHTS)
    return simulator, artifact.facts["fit_seconds"]


def _member_trials(trial: Trial) -> list[Trial]:
    """The trial with each of the fits of which its simulator is made in place of that simulator's own."""
    return [
        replace(trial, part=fit.part, model=fit.model, fit_seed=fit.seed, members=fit.members) for fit in trial.members
    ]


def read_curves(artifact: Artifact) -> list[Point]:
    """The training curves in a model's artifact."""
    points = json.loads((artifact.folder / _CURVES).read_text(encoding="utf-8"))
    return [(name, value, step) for name, value, step in points]


def _load(simulator: Simulator, weights: Path) -> None:
    """Load a simulator's weights. Raises BrokenContract, with the files that it saved, if it cannot read them."""
    try:
        simulator.load(weights)
    except Exception as error:
        saved = ", ".join(sorted(p.name for p in weights.rglob("*") if p.is_file())) or "nothing"
        got = f"raised {type(error).__name__}: {error} (save wrote {saved})"
        raise BrokenContract(simulator, "load", got, "it must read what save wrote, and nothing else") from error


def _fit(
    workshop: Workshop,
    trial: Trial,
    within: str,
    train: Trajectories,
    val: Trajectories,
    members: Sequence[tuple[Simulator, float | None]],
    draft: Draft,
) -> None:
    """Write a model's artifact: fit the simulator, unless it learns nothing, and save it with its curves."""
    simulator: Simulator = workshop.component(trial.part, trial.inner_parts())
    simulator.conditions = workshop.conditions
    if isinstance(simulator, Wrapper):
        simulator.take([member for member, _ in members])
    curves: list[Point] = []
    draft.facts["fit_seconds"] = None
    if type(simulator).fit is not Simulator.fit:  # ground truths have nothing to learn
        attributes = dict(vars(simulator))
        journal = _learn(workshop, trial, within, simulator, train, val)
        require_saved(simulator, vars(simulator), attributes)
        seconds = sum(seconds for _, seconds in members if seconds is not None)
        curves, draft.facts["fit_seconds"] = journal.curves(), journal.seconds + seconds
    weights = draft.folder / _WEIGHTS
    weights.mkdir()
    simulator.save(weights)
    (draft.folder / _CURVES).write_text(json.dumps(curves), encoding="utf-8")


def _learn(
    workshop: Workshop, trial: Trial, within: str, simulator: Simulator, train: Trajectories, val: Trajectories
) -> Journal:
    """Fit in a work directory that outlasts an interruption. Returns the journal of all sittings."""
    workdir = workshop.work / trial.model.digest
    journal = _journal(workshop, trial, within, workdir)
    ctx = FitContext(
        transitions=trial.model.fields["budget"]["transitions"],
        workdir=workdir / "checkpoints",
        rng=generator(trial.fit_seed),
        conditions=workshop.conditions,
        log=journal.log,
        progress=workshop.progress(trial.id, trial.model, "transitions"),
        stopping=workshop.stopping,
    )
    make_folder(ctx.workdir)
    with journal:
        simulator.fit(train, val, ctx)
    return journal


def _journal(workshop: Workshop, trial: Trial, within: str, workdir: Path) -> Journal:
    """The journal of a fit, in its work directory. If it is damaged all of the directory is set aside.

    Checkpoints alone would give the right weights with half of the curves, and too few seconds.
    """

    def tell(point: Point) -> None:
        name, value, step = point
        workshop.emit(CurvePoint(trial.id, f"{within}{name}", value, step))

    make_folder(workdir)
    try:
        return Journal(workdir, tell)
    except Damaged as damage:
        workshop.emit(Notice(f"{damage}; moved with its folder to {set_file_aside(workdir)}, the fit begins anew"))
    make_folder(workdir)
    return Journal(workdir, tell)


class Journal:
    """The journal of a fit, a file in its work directory: training curves and seconds, over all sittings.

    tell: called with each point when it is logged. Raises Damaged where the file has changed since it was written.
    """

    def __init__(self, workdir: Path, tell: Callable[[Point], None]) -> None:
        self._path = workdir / "journal.json"
        self._tell = tell
        stored: dict[str, Any] = json.loads(read_checked(self._path)) if self._path.exists() else {}
        self._points = {(name, step): value for name, value, step in stored.get("curves", [])}
        self._earlier_seconds = float(stored.get("seconds", 0.0))
        self._start = self._written = time.perf_counter()
        self._end: float | None = None

    def log(self, name: str, value: float, step: int) -> None:
        """Log a point. A point that is logged again, by a fit that went on from a checkpoint, replaces the old one.

        Raises TypeError for a value that is no real number, or a step that is not whole.
        """
        number, at = real(value), whole(step)
        if number is None or at is None:
            given, right = (value, "value is a number") if number is None else (step, "step is a whole number")
            raise TypeError(f"ctx.log({name!r}, …): a point's {right}, got {kind_of(given)} {given!r:.60}")
        if not math.isfinite(number):
            return  # a curve has gaps where there is no number; the fit itself decides what that means
        self._points[name, at] = number
        self._tell((name, number, at))
        if time.perf_counter() - self._written > JOURNAL_SECONDS:
            self._write()

    def curves(self) -> list[Point]:
        """All points, sorted by name and step."""
        return [(name, value, step) for (name, step), value in sorted(self._points.items())]

    @property
    def seconds(self) -> float:
        """Time spent in the fit, earlier sittings included."""
        return self._earlier_seconds + (self._end or time.perf_counter()) - self._start

    def __enter__(self) -> Journal:
        self._start = self._written = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = time.perf_counter()
        self._write()

    def _write(self) -> None:
        self._written = time.perf_counter()
        write_checked(self._path, json.dumps({"curves": self.curves(), "seconds": self.seconds}).encode())
