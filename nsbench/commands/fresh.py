"""`nsbench run --only TRIAL --fresh`: a trial made again in a temporary store, and compared with the stored one."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from nsbench.commands.display.progress import progress_display
from nsbench.commands.display.screen import say
from nsbench.components.events import Event, Notice
from nsbench.errors import Refusal
from nsbench.stages.score import DRAWN_FILES, read_score, score
from nsbench.stages.simulate import MEASURED_FILES
from nsbench.stages.workshop import Workshop, open_workshop
from nsbench.store.environment import recorded_environment
from nsbench.store.files import write_whole
from nsbench.store.key import Key, differences
from nsbench.store.store import Artifact, Draft, Store
from nsbench.suite.session import Session
from nsbench.suite.suite import Suite
from nsbench.suite.trials import Trial


class NothingStored(Refusal, LookupError):
    """The store lacks scores of a trial, so there is nothing to compare with."""


class BesideStore(Store):
    """A temporary store: data are read from the real one, all other artifacts are made anew and kept apart."""

    def __init__(self, real: Store, root: Path) -> None:
        super().__init__(root)
        self._real = real

    def path(self, key: Key) -> Path:
        return self._real.path(key) if key.kind == "data" else super().path(key)

    def find(self, key: Key) -> Artifact | None:
        return self._real.find(key) if key.kind == "data" else super().find(key)

    @contextmanager
    def writing(self, key: Key) -> Iterator[Draft]:
        with self._real.writing(key) if key.kind == "data" else super().writing(key) as draft:
            yield draft


def make_again(session: Session, trial: Trial, console: Console) -> int:
    """Make a trial again and print how it compares with the stored one.

    Returns 0 if every number is the same, 1 if one differs or the trial failed, 130 if interrupted.
    Raises NothingStored.
    """
    workspace = session.workspace
    stored = Store(workspace.store, notify=lambda message: say(console, message))
    missing = [metric.name for metric in trial.scores if stored.find(metric.key) is None]
    if missing:
        raise NothingStored(
            f"the store holds no {', '.join(missing)} of {trial.id} to compare with; run it without --fresh first"
        )
    with (
        progress_display(console) as display,
        stored.in_use(),
        _temporary_workshop(session, trial, display) as workshop,
    ):
        try:
            for metric in trial.scores:
                score(workshop, trial, metric)
        except KeyboardInterrupt:
            say(console, f"{trial.id}: interrupted, nothing was compared")
            return 130
        except Exception as error:
            log = workspace.log(session.suite.name, f"{trial.id}/fresh")
            write_whole(log, traceback.format_exc())
            say(console, f"{trial.id}: failed when it was made again: {type(error).__name__}: {error} (see {log})")
            return 1
        different = list(_comparison(trial, stored, workshop.store, lambda text: say(console, text)))
    if not different:
        say(console, f"{trial.id}: every score is the same, bit by bit")
        return 0
    say(console, f"{trial.id}: not the same: {', '.join(different)}", *_surroundings(stored, trial))
    return 1


@contextmanager
def _temporary_workshop(session: Session, trial: Trial, display: Callable[[Event], None]) -> Iterator[Workshop]:
    """A workshop on a temporary store in the real one's drafts, so that an interruption leaves only a leftover."""
    root = session.workspace.store
    folder = root / "drafts" / f"fresh-{uuid4().hex}"
    folder.mkdir(parents=True)
    real = Store(root, notify=lambda message: display(Notice(message)))
    workshop = open_workshop(
        _on_as_many_threads(session.suite, trial, real),
        session.plan.conditions,
        session.registry,
        session.workspace,
        display,
    )
    try:
        yield replace(workshop, store=BesideStore(real, folder / "store"), work=folder / "work")
    finally:
        shutil.rmtree(folder)


def _on_as_many_threads(suite: Suite, trial: Trial, stored: Store) -> Suite:
    """The suite with as many threads as the stored fit had, which decide its last bits. Keys are planned already."""
    model = stored.find(trial.model)
    if model is None:
        return suite
    compute = suite.compute.model_copy(update={"threads": model.facts["threads"]})
    return suite.model_copy(update={"compute": compute})


def _comparison(trial: Trial, stored: Store, fresh: Store, tell: Callable[[str], None]) -> Iterator[str]:
    """Tell how each artifact compares with the stored one, and yield the names of the scores that differ."""
    for name, key in _model_and_evidence(trial).items():
        old, new = stored.find(key), fresh.find(key)
        if old is not None and new is not None:
            differing = _differing_files(old, new)
            tell(f"{name}: " + (f"differs in {', '.join(differing)}" if differing else "the same"))
        elif old is None:
            tell(f"{name}: not in the store any more, nothing to compare with")
    for metric in trial.scores:
        old, new = stored.find(metric.key), fresh.find(metric.key)
        assert old is not None
        assert new is not None
        then, now = (read_score(artifact.folder, metric.name) for artifact in (old, new))
        if then.costs:
            tell(f"{metric.name}: {then.value!r} then, {now.value!r} now: measured, not computed")
        elif _differing_files(old, new):
            changes = differences(asdict(now), asdict(then)) or ["items.npy differs"]
            tell(f"{metric.name}: {'; '.join(changes)}")
            yield metric.name
        else:
            tell(f"{metric.name}: {now.absent if now.value is None else now.value!r}, the same")


def _model_and_evidence(trial: Trial) -> dict[str, Key]:
    return {"model": trial.model, "evidence": trial.evidence}


def _differing_files(old: Artifact, new: Artifact) -> list[str]:
    """The names of files whose checksums differ; measured times and pictures are left out."""
    a, b = old.manifest["files"], new.manifest["files"]
    names = sorted((a.keys() | b.keys()) - MEASURED_FILES - DRAWN_FILES)
    return [name for name in names if a.get(name) != b.get(name)]


def _surroundings(stored: Store, trial: Trial) -> Iterator[str]:
    """A line for each stored artifact that was made in an environment other than the present one."""
    for name, key in _model_and_evidence(trial).items():
        artifact = stored.find(key)
        changes = differences(recorded_environment(), artifact.manifest["environment"]) if artifact else []
        if changes:
            yield f"where the stored {name} was made: {'; '.join(changes)}"
