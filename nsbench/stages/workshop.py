"""What every stage works with: the suite, what is installed, the store, and how an artifact is made once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsbench.components.component import Conditions
from nsbench.components.events import Emit, Notice, Stage, StageFinished, StageProgress, StageStarted
from nsbench.registry.registry import Registry, build
from nsbench.store.environment import default_threads
from nsbench.store.locks import held, held_at_once, is_held
from nsbench.store.store import Artifact, Draft, Key, Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Part
from nsbench.suite.suite import Suite

_HOLDS: dict[Stage, set[str]] = {
    "data": {"trajectories.h5"},
    "model": {"curves.json"},
    "evidence": {"rollouts.h5", "cost.json"},
    "score": {"score.json"},
}
"""What every artifact of a stage holds."""


@dataclass(frozen=True)
class Bench:
    """What every stage works with.

    work: where unfinished fits keep their checkpoints; beside it, the locks of what is in the making. stopping():
    whether the run is to end. waiting(True), waiting(False): another process is making what is wanted here,
    and is done. built(part, code): a component was imported, its code. jobs: how many trials the run has going at once.
    """

    suite: Suite
    conditions: Conditions
    registry: Registry
    store: Store
    work: Path
    emit: Emit
    stopping: Callable[[], bool] = lambda: False
    waiting: Callable[[bool], None] = lambda begins: None
    built: Callable[[Part, tuple[str, ...]], None] = lambda part, code: None
    jobs: int = 1

    @property
    def threads(self) -> int:
        return self.suite.compute.threads or default_threads()

    def component(self, part: Part) -> Any:
        """An instance of a part, its libraries held to the suite's threads."""
        spec = self.registry.spec(part.kind, part.name)
        made = build(part.kind, spec, part.params)
        self.built(part, spec.code())
        hold_threads(self.threads)
        return made

    def make(self, trial: str, key: Key, what: str, write: Callable[[Draft], None]) -> Artifact:
        """Make an artifact, with its start and end announced; wait for it if another process does."""
        self.stop_if_asked()
        with self._lock(key) as alone:
            if alone:
                self.store.clear_drafts(key)
            found = self.found(trial, key, what)
            return found or self._make(trial, key, what, write)

    def _make(self, trial: str, key: Key, what: str, write: Callable[[Draft], None]) -> Artifact:
        self.emit(StageStarted(trial, key.stage, key.digest, what))
        before = time.perf_counter()
        with self.store.writing(key) as draft:
            write(draft)
            draft.facts.setdefault("seconds", time.perf_counter() - before)
            draft.facts["threads"] = self.threads
        seconds = time.perf_counter() - before
        self.emit(StageFinished(trial, key.stage, key.digest, what, False, seconds))
        return self._expected(key)

    @contextmanager
    def _lock(self, key: Key) -> Iterator[bool]:
        waits = False

        def wait() -> None:
            nonlocal waits
            self.stop_if_asked()
            if not waits:
                waits = True
                self.waiting(True)

        with held(self._lock_path(key), waiting=wait) as alone:
            if waits:
                self.waiting(False)
            yield alone

    def _lock_path(self, key: Key) -> Path:
        return self.work.with_name("locks") / f"{key.stage}-{key.digest}"

    def is_in_the_making(self, key: Key) -> bool:
        """Whether another process is making the artifact now."""
        return is_held(self._lock_path(key))

    def claim(self, key: Key) -> AbstractContextManager[bool]:
        """Say that the artifact is about to be made, so that others begin elsewhere; raises Busy if another said it.

        It keeps nobody from making the artifact: only the lock under which that is done does.
        """
        path = self._lock_path(key)
        return held_at_once(path.with_name(f"{path.name}-claim"))

    def stop_if_asked(self) -> None:
        """Raises KeyboardInterrupt when the run is to end: nothing here is half done."""
        if self.stopping():
            raise KeyboardInterrupt

    def found(self, trial: str, key: Key, what: str) -> Artifact | None:
        """The artifact, if it is in the store, announced as a hit."""
        artifact = self.store.find(key)
        lacking = _HOLDS[key.stage] - set(artifact.manifest["files"]) if artifact else None
        if artifact is not None and lacking:
            self.store.set_aside(key, f"{artifact.folder} lacks {', '.join(sorted(lacking))}")
            artifact = None
        if artifact is not None:
            self.emit(StageFinished(trial, key.stage, key.digest, what, True, 0.0))
        return artifact

    def progress(self, trial: str, key: Key, unit: str) -> Callable[[int, int], None]:
        """Tells how far a stage is, and ends it when the run is to end.

        A fit is given one call's grace: one that keeps checkpoints sees for itself, and writes one.
        """
        warned = key.stage != "model"

        def tell(done: int, total: int) -> None:
            nonlocal warned
            self.emit(StageProgress(trial, key.stage, done, total, unit))
            if warned and done < total:
                self.stop_if_asked()
            warned = warned or self.stopping()

        return tell

    def _expected(self, key: Key) -> Artifact:
        artifact = self.store.find(key)
        if artifact is None:
            raise RuntimeError(f"the {key.stage} artifact {key.digest} vanished as soon as it was written")
        return artifact


def open_bench(
    suite: Suite,
    conditions: Conditions,
    registry: Registry,
    workspace: Workspace,
    emit: Emit,
    stopping: Callable[[], bool] = lambda: False,
) -> Bench:
    """The bench of a suite in a workspace; what the store has to say becomes an event."""
    store = Store(workspace.store, notify=lambda message: emit(Notice(message)))
    return Bench(suite, conditions, registry, store, workspace.work, emit, stopping)


def hold_threads(threads: int) -> None:
    """Hold the libraries that are loaded to so many threads."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    if "numba" in sys.modules:
        import numba

        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
