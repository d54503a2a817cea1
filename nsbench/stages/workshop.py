"""The workshop: the tools of every stage, and the one way to an artifact, read or made once under its lock."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsbench.components.contracts.numbers import plain
from nsbench.components.events import Emit, Notice, StageFinished, StageProgress, StageStarted
from nsbench.components.protocol import Conditions
from nsbench.registry.loading import build
from nsbench.registry.registry import Registry
from nsbench.stages.agreement import Agreement, Code
from nsbench.stages.sources import keep_sources
from nsbench.store.environment import default_threads
from nsbench.store.files import NOT_WRITABLE
from nsbench.store.key import Key
from nsbench.store.locks import held, held_at_once, is_held
from nsbench.store.owner import Owner
from nsbench.store.store import Artifact, Draft, Store
from nsbench.store.variables import variables_in_key
from nsbench.store.workspace import Workspace
from nsbench.suite.session import Session
from nsbench.suite.suite import Suite
from nsbench.suite.trials import Part
from nsbench.trajectories.stored import close_below

Write = Callable[[Draft], None]
"""A function that writes the files of an artifact into its draft."""


class VariablesChanged(RuntimeError):
    """Environment variables that change numbers are not those of the plan: artifacts would have the wrong key."""


@dataclass(frozen=True)
class Workshop:
    """The tools that every stage works with.

    work      the folder of unfinished work: checkpoints of fits, parts of data and evidence.
    stopping  stopping(): whether the run is to end.
    waiting   waiting(True): another process is making an artifact that is wanted here; waiting(False): it is done.
    put_back  puts this process's state back to what it was before a component's code ran; returns what it had changed.
    parallel  how many trials the run has going at once.
    postpones whether costs are left for a job that has the run to itself.
    agreement what is made is held against its key by it.
    """

    suite: Suite
    conditions: Conditions
    registry: Registry
    store: Store
    work: Path
    emit: Emit
    agreement: Agreement
    stopping: Callable[[], bool] = lambda: False
    waiting: Callable[[bool], None] = lambda begins: None
    put_back: Callable[[], list[str]] = list
    parallel: int = 1
    postpones: bool = False

    @property
    def threads(self) -> int:
        """Threads that the suite names, or else this machine's."""
        return self.suite.compute.threads or default_threads()

    def component(self, part: Part, others: Sequence[Part] = ()) -> Any:
        """An instance of a part, with its libraries limited to the suite's threads.

        others: the formats that a dataset reads its files with, the simulators that a simulator is made of.
        """
        spec = self.registry.spec(part.kind, part.name)
        require_variables(part.name, part.variables, variables_in_key(part.libraries, spec.variables))
        with self.agreement.importing(part, others):
            component = build(part.kind, spec, part.params, self.registry)
        hold_threads(self.threads)
        self.put_back()
        return component

    def obtain(
        self, job: str, key: Key, what: str, make: Callable[[], Write], holds: Set[str], rests_on: Sequence[Code] = ()
    ) -> Artifact:
        """The artifact of a key, read from the store or, if it is missing, made; events announce both.

        job: the trial, or other job, that events name. what: the artifact in words. make: called only if the artifact
        is missing, before its lock is taken; it gathers what the artifact is made from and returns the function that
        writes it. holds: files that such an artifact must have; an artifact that lacks one is damaged. rests_on: the
        code in its key, that of the component which makes it first.
        """
        artifact = self._stored(job, key, what, holds)
        if artifact is not None:
            return artifact
        with self.agreement.making(rests_on) as seal:
            write = make()
            self.stop_if_asked()
            with self._lock(key) as is_locked:
                if is_locked:
                    self.store.clear_drafts(key)
                return self._stored(job, key, what, holds) or self._make(job, key, what, write, seal)

    def _stored(self, job: str, key: Key, what: str, holds: Set[str]) -> Artifact | None:
        """The artifact, announced as a hit, if it is in the store. An artifact that lacks a file is moved aside."""
        artifact = self.store.find(key)
        if artifact is None:
            return None
        if missing := holds - set(artifact.manifest["files"]):
            self.store.set_aside(key, f"{artifact.folder} lacks {', '.join(sorted(missing))}")
            return None
        self.emit(StageFinished(job, key.kind, key.digest, what, True, 0.0))
        return artifact

    def _make(self, job: str, key: Key, what: str, write: Write, seal: Callable[[], None]) -> Artifact:
        self.emit(StageStarted(job, key.kind, key.digest, what))
        before = time.perf_counter()
        with self.store.writing(key) as draft:
            try:
                write(draft)
            finally:
                changed = self.put_back()
            if changed:
                draft.facts["changed"] = changed
            draft.facts.setdefault("seconds", time.perf_counter() - before)
            draft.facts["threads"] = self.threads
            seal()
        seconds = time.perf_counter() - before
        self.emit(StageFinished(job, key.kind, key.digest, what, False, seconds))
        artifact = self.store.find(key)
        if artifact is None:
            raise RuntimeError(f"the {key.kind} artifact {key.digest} vanished as soon as it was written")
        return artifact

    def clear_work(self, key: Key) -> None:
        """Remove the unfinished work of an artifact that is in the store, unless another process still works on it."""
        folder = self.work / key.digest
        close_below(folder)  # also where another process has removed it
        if folder.is_dir() and not self.store.is_in_draft(key):
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _lock(self, key: Key) -> Iterator[bool]:
        """Hold the artifact's lock, waiting for it. Yields False where the file system has no locks."""
        waits = False

        def wait(holder: Owner | None) -> None:
            nonlocal waits
            self.stop_if_asked()
            if not waits:
                waits = True
                self.waiting(True)
                by = f", held by {holder}" if holder else ""
                self.emit(Notice(f"waiting for the {key.kind} {key.digest[:12]} that another process makes{by}"))

        with ExitStack() as stack:
            try:
                is_locked = stack.enter_context(held(self._lock_path(key), waiting=wait))
            except OSError as error:
                if error.errno not in NOT_WRITABLE:
                    raise
                is_locked = False  # the store may only be read, as it will say itself
            if waits:
                self.waiting(False)
                self.emit(Notice(f"the {key.kind} {key.digest[:12]} is free, and the work goes on"))
            yield is_locked

    def _lock_path(self, key: Key) -> Path:
        """The file of an artifact's lock, in the store: workspaces that share the store share its locks."""
        return self.store.root / "locks" / f"{key.kind}-{key.digest}"

    def is_in_the_making(self, key: Key) -> bool:
        """Whether another process is making the artifact now."""
        return is_held(self._lock_path(key))

    def claim(self, key: Key) -> AbstractContextManager[bool]:
        """Claim the artifact before making it, so that other processes begin elsewhere. Raises Busy if it is claimed.

        A claim prevents nobody from making the artifact: only the lock does.
        """
        path = self._lock_path(key)
        return held_at_once(path.with_name(f"{path.name}-claim"))

    def stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt if the run is to end. Called only where no work is half done."""
        if self.stopping():
            raise KeyboardInterrupt

    def progress(self, job: str, key: Key, unit: str) -> Callable[[int, int], None]:
        """A function that announces how far a stage is, and interrupts it when the run is to end.

        The first call after a stop request lets a fit write its own checkpoint; the second interrupts it.
        """
        grace = 1 if key.kind == "model" else 0

        def tell(count: int, total: int) -> None:
            nonlocal grace
            count, total = plain(count), plain(total)
            self.emit(StageProgress(job, key.kind, count, total, unit))
            if not self.stopping() or count >= total:
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
    agreement: Agreement | None = None,
) -> Workshop:
    """The workshop of a suite in a workspace. Messages of the store become events.

    agreement: that of earlier jobs of this process, which need not be checked again; a new one if None.
    """
    store = Store(workspace.store, notify=lambda message: emit(Notice(message)))
    agreement = agreement or Agreement(registry, workspace.root)
    return Workshop(suite, conditions, registry, store, workspace.work, emit, agreement, stopping)


def workshop_of(session: Session, emit: Emit = lambda event: None) -> Workshop:
    """The workshop of a session. The sources of the session's plan are kept in its store."""
    keep_sources(session, Store(session.workspace.store), lambda message: emit(Notice(message)))
    return open_workshop(session.suite, session.plan.conditions, session.registry, session.workspace, emit)


def require_variables(what: str, planned: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Raise VariablesChanged where the environment variables here are not those of the plan.

    what: the name of the component, or artifact, whose numbers depend on them.
    """
    different = [name for name in sorted(planned.keys() | here.keys()) if planned.get(name) != here.get(name)]
    if different:
        values = [f"{name} was {_value(planned, name)} and is {_value(here, name)}" for name in different]
        raise VariablesChanged(
            f"the environment of {what!r} has changed since this run was planned: {'; '.join(values)}. "
            "Set such variables before a run, the same on every node and not in a component's code; then run it again"
        )


def _value(variables: Mapping[str, str], name: str) -> str:
    return repr(variables[name]) if name in variables else "not set"


@contextmanager
def workshop_in_use(session: Session, emit: Emit) -> Iterator[Workshop]:
    """The workshop of a session whose store is in use while the block runs: nothing is removed from it."""
    with Store(session.workspace.store, notify=lambda message: emit(Notice(message))).in_use():
        yield workshop_of(session, emit)


def hold_threads(threads: int) -> None:
    """Limit the libraries that are loaded to a number of threads."""
    if "numba" in sys.modules:  # before torch: Numba's first call starts OpenMP's threads, and torch's with them
        import numba

        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
