"""`nsbench run --only TRIAL --fresh`: a trial made again beside the store, and held against what is stored."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console

from nsbench.commands.progress import progress_display
from nsbench.commands.trial import here
from nsbench.components.events import Event, Notice
from nsbench.registry.registry import Registry
from nsbench.running.run import make_bench
from nsbench.stages.score import score
from nsbench.stages.workshop import Bench
from nsbench.store.files import write_whole
from nsbench.store.store import Artifact, Draft, Key, Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Plan, Trial, differences

MEASURED = {"cost.json", "figure.png"}
"""Files that hold times, or pictures that name the program that drew them: they are never the same twice."""


class NothingStored(LookupError):
    """A trial of which the store holds no scores to compare with."""


class BesideStore(Store):
    """A store for the moment: data come from the real one, everything else is made anew and kept apart."""

    def __init__(self, real: Store, root: Path) -> None:
        super().__init__(root)
        self._real = real

    def path(self, key: Key) -> Path:
        return self._real.path(key) if key.stage == "data" else super().path(key)

    def find(self, key: Key) -> Artifact | None:
        return self._real.find(key) if key.stage == "data" else super().find(key)

    @contextmanager
    def writing(self, key: Key) -> Iterator[Draft]:
        with self._real.writing(key) if key.stage == "data" else super().writing(key) as draft:
            yield draft


def make_again(plan: Plan, trial: Trial, registry: Registry, root: Path, console: Console) -> int:
    """Make it and say what came out: 0 if every number is the same, 1 if not, 130 if interrupted.

    Raises NothingStored.
    """
    workspace = Workspace(root)
    stored = Store(workspace.store, notify=lambda message: _say(console, message))
    lacking = [metric.name for metric in trial.scores if stored.find(metric.key) is None]
    if lacking:
        raise NothingStored(
            f"the store holds no {', '.join(lacking)} of {trial.id} to compare with; run it without --fresh first"
        )
    with progress_display(console) as display, stored.in_use(), _beside(plan, registry, workspace, display) as bench:
        try:
            for metric in trial.scores:
                score(bench, trial, metric)
        except KeyboardInterrupt:
            _say(console, f"{trial.id}: interrupted, nothing was compared")
            return 130
        except Exception as error:
            log = workspace.log(plan.suite.name, f"{trial.id}/fresh")
            write_whole(log, traceback.format_exc())
            _say(console, f"{trial.id}: failed when it was made again: {type(error).__name__}: {error} (see {log})")
            return 1
        different = list(_comparison(trial, stored, bench.store, lambda text: _say(console, text)))
    if not different:
        _say(console, f"{trial.id}: every score is the same, bit by bit")
        return 0
    _say(console, f"{trial.id}: not the same: {', '.join(different)}")
    for line in _surroundings(stored, trial):
        _say(console, line)
    return 1


@contextmanager
def _beside(plan: Plan, registry: Registry, workspace: Workspace, display: Callable[[Event], None]) -> Iterator[Bench]:
    """A bench on a store for the moment, below the real one's drafts: an interruption leaves a leftover there."""
    folder = workspace.store / "drafts" / f"fresh-{uuid4().hex}"
    folder.mkdir(parents=True)
    bench = make_bench(plan, registry, workspace, display)
    real = Store(workspace.store, notify=lambda message: display(Notice(message)))
    try:
        yield replace(bench, store=BesideStore(real, folder / "store"), work=folder / "work")
    finally:
        shutil.rmtree(folder)


def _comparison(trial: Trial, stored: Store, fresh: Store, say: Callable[[str], None]) -> Iterator[str]:
    """Say how each artifact compares; yields the names of the scores that differ."""
    for what, key in {"model": trial.model, "evidence": trial.evidence}.items():
        old, new = stored.find(key), fresh.find(key)
        if old is not None and new is not None:
            differing = _differing(old, new, skip=MEASURED)
            say(f"{what}: " + (f"differs in {', '.join(differing)}" if differing else "the same"))
        elif old is None:
            say(f"{what}: not in the store any more, nothing to compare with")
    for metric in trial.scores:
        old, new = stored.find(metric.key), fresh.find(metric.key)
        assert old is not None
        assert new is not None
        before, after = _content(old), _content(new)
        if before.get("costs"):
            say(f"{metric.name}: {before.get('value')!r} then, {after.get('value')!r} now: measured, not computed")
        elif _differing(old, new, skip=MEASURED):
            changes = differences(after, before) or ["items.npy differs"]
            say(f"{metric.name}: {'; '.join(changes)}")
            yield metric.name
        else:
            say(f"{metric.name}: {after.get('value', after.get('absent'))!r}, the same")


def _differing(old: Artifact, new: Artifact, skip: set[str]) -> list[str]:
    """Files whose content is not the same, by their checksums."""
    a, b = old.manifest["files"], new.manifest["files"]
    return [name for name in sorted(a.keys() | b.keys()) if name not in skip and a.get(name) != b.get(name)]


def _content(artifact: Artifact) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artifact.folder / "score.json").read_text(encoding="utf-8"))
    return content


def _surroundings(stored: Store, trial: Trial) -> Iterator[str]:
    """What is different here and now from where the stored artifacts were made."""
    for what, key in {"model": trial.model, "evidence": trial.evidence}.items():
        artifact = stored.find(key)
        changes = differences(here(), artifact.manifest["environment"]) if artifact else []
        if changes:
            yield f"where the stored {what} was made: {'; '.join(changes)}"


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
