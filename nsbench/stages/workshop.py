"""What every stage works with, and the one way to an artifact: it is read, or made once, under its lock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsbench.components.events import Emit, Notice, StageFinished, StageProgress, StageStarted
from nsbench.components.protocol import Conditions
from nsbench.registry.loading import build
from nsbench.registry.registry import Registry
from nsbench.store.environment import default_threads
from nsbench.store.key import Key
from nsbench.store.locks import held, held_at_once, is_held
from nsbench.store.store import Artifact, Draft, Store
from nsbench.store.workspace import Workspace
from nsbench.suite.session import Session
from nsbench.suite.suite import Suite
from nsbench.suite.trials import Part

Write = Callable[[Draft], None]
"""Writes the files of an artifact into its draft."""


@dataclass(frozen=True)
class Workshop:
    """What every stage works with.

    work      where unfinished fits keep their checkpoints; beside it, the locks of what is in the making.
    stopping  stopping(): whether the run is to end.
    waiting   waiting(True), waiting(False): another process is making what is wanted here, and is done.
    built     built(part, code): a component was imported; its code, as its spec names it.
    parallel  how many trials the run has going at once.
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
    parallel: int = 1

    @property
    def threads(self) -> int:
        return self.suite.compute.threads or default_threads()

    def component(self, part: Part) -> Any:
        """An instance of a part, its libraries held to the suite's threads."""
        spec = self.registry.spec(part.kind, part.name)
        component = build(part.kind, spec, part.params)
        self.built(part, spec.code())
        hold_threads(self.threads)
        return component

    def obtain(self, job: str, key: Key, what: str, make: Callable[[], Write], holds: Set[str]) -> Artifact:
        """The artifact of a key: read from the store or, where it is not there, made, which is announced.

        job: whose it is in events; what: the artifact in words. make: asked for only where the artifact is missing and
        before its lock is taken, it gathers what the artifact is made from and returns what writes it. holds: the
        files that such an artifact has at least; one that lacks any is damaged.
        """
        artifact = self._stored(job, key, what, holds)
        if artifact is not None:
            return artifact
        write = make()
        self.stop_if_asked()
        with self._lock(key) as alone:
            if alone:
                self.store.clear_drafts(key)
            return self._stored(job, key, what, holds) or self._make(job, key, what, write)

    def _stored(self, job: str, key: Key, what: str, holds: Set[str]) -> Artifact | None:
        """The artifact, if it is in the store, announced as a hit; one that lacks a file is moved aside."""
        artifact = self.store.find(key)
        if artifact is None:
            return None
        if lacking := holds - set(artifact.manifest["files"]):
            self.store.set_aside(key, f"{artifact.folder} lacks {', '.join(sorted(lacking))}")
            return None
        self.emit(StageFinished(job, key.kind, key.digest, what, True, 0.0))
        return artifact

    def _make(self, job: str, key: Key, what: str, write: Write) -> Artifact:
        self.emit(StageStarted(job, key.kind, key.digest, what))
        before = time.perf_counter()
        with self.store.writing(key) as draft:
            write(draft)
            draft.facts.setdefault("seconds", time.perf_counter() - before)
            draft.facts["threads"] = self.threads
        seconds = time.perf_counter() - before
        self.emit(StageFinished(job, key.kind, key.digest, what, False, seconds))
        artifact = self.store.find(key)
        if artifact is None:
            raise RuntimeError(f"the {key.kind} artifact {key.digest} vanished as soon as it was written")
        return artifact

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
        return self.work.with_name("locks") / f"{key.kind}-{key.digest}"

    def is_in_the_making(self, key: Key) -> bool:
        """Whether another process is making the artifact now."""
        return is_held(self._lock_path(key))

    def claim(self, key: Key) -> AbstractContextManager[bool]:
        """Say that the artifact is about to be made, so that others begin elsewhere; raises Busy if another said it.

        A claim keeps nobody from making the artifact: only the lock under which that is done does.
        """
        path = self._lock_path(key)
        return held_at_once(path.with_name(f"{path.name}-claim"))

    def stop_if_asked(self) -> None:
        """Raises KeyboardInterrupt when the run is to end: nothing here is half done."""
        if self.stopping():
            raise KeyboardInterrupt

    def progress(self, job: str, key: Key, unit: str) -> Callable[[int, int], None]:
        """A function that tells how far a stage is, and ends it when the run is to end.

        The first call after a stop request lets a fit write its own checkpoint; the second interrupts it.
        """
        grace = 1 if key.kind == "model" else 0

        def tell(done: int, total: int) -> None:
            nonlocal grace
            self.emit(StageProgress(job, key.kind, done, total, unit))
            if not self.stopping() or done >= total:
                return
            if grace == 0:
                raise KeyboardInterrupt
            grace -= 1

        return tell


def open_workshop(
    suite: Suite,
    conditions: Conditions,
    registry: Registry,
    workspace: Workspace,
    emit: Emit,
    stopping: Callable[[], bool] = lambda: False,
) -> Workshop:
    """The workshop of a suite in a workspace; what the store has to say becomes an event."""
    store = Store(workspace.store, notify=lambda message: emit(Notice(message)))
    return Workshop(suite, conditions, registry, store, workspace.work, emit, stopping)


def workshop_of(session: Session, emit: Emit = lambda event: None) -> Workshop:
    """The workshop of a session."""
    return open_workshop(session.suite, session.plan.conditions, session.registry, session.workspace, emit)


def hold_threads(threads: int) -> None:
    """Hold the libraries that are loaded to so many threads."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    if "numba" in sys.modules:
        import numba

        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
