"""What every executor is: something that takes jobs, tells what happens in them, and says how they ended."""

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
    """Where a run takes place, and who is told of it."""

    suite: str
    workspace: Workspace
    registry: Registry
    emit: Emit
    stop: Stop


class Executor(Protocol):
    """Takes jobs while it is free, and hands back their ends. Leaving it ends whatever still runs, at once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def free(self) -> bool:
        """Whether another job can be started."""
        ...

    def busy(self) -> bool:
        """Whether any job has not ended."""
        ...

    def start(self, job: Job) -> None: ...

    def wait(self) -> list[JobEnd]:
        """Wait for something to happen: events are told, the ends of jobs are returned."""
        ...
