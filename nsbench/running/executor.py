"""The protocol of executors: an executor takes jobs, tells what happens in them, and returns how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from nsbench.components.events import Emit
from nsbench.registry.registry import Registry
from nsbench.running.stop import Stop
from nsbench.running.workers.job import Job, JobEnd
from nsbench.store.workspace import Workspace


@dataclass(frozen=True)
class RunContext:
    """The surroundings of a run. suite: its name. emit: the function that is told of events."""

    suite: str
    workspace: Workspace
    registry: Registry
    emit: Emit
    stop: Stop


class Executor(Protocol):
    """A taker of jobs: it starts them while it is free, and returns their ends. Leaving it ends what still runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def free(self) -> bool:
        """Return whether another job can be started."""
        ...

    def busy(self) -> bool:
        """Return whether any job has not ended."""
        ...

    def start(self, job: Job) -> None:
        """Start a job. Call it only while the executor is free."""
        ...

    def wait(self) -> list[JobEnd]:
        """Wait for something to happen; tell the events, and return the ends of jobs."""
        ...
