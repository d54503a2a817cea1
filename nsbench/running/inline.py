"""The inline executor: the run's own process does the work. For debugging, and for tests that need no isolation."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from nsbench.running.executor import RunContext
from nsbench.running.workers.job import Job, JobEnd, carry_out
from nsbench.stages.agreement import Agreement
from nsbench.stages.workshop import open_workshop


class Inline:
    """An executor of one job at a time, in this process. No limit but retries holds: a job can hang the run."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._job: Job | None = None
        self._agreement = Agreement(context.registry, context.workspace.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no job runs on after `wait`."""

    def free(self) -> bool:
        return self._job is None

    def busy(self) -> bool:
        return self._job is not None

    def start(self, job: Job) -> None:
        self._job = job

    def wait(self) -> list[JobEnd]:
        job, self._job = self._job, None
        if job is None:
            return []
        context = self._context
        workshop = open_workshop(
            job.suite,
            job.conditions,
            context.registry,
            context.workspace,
            context.emit,
            stopping=context.stop.asked,
            agreement=self._agreement,
        )
        return [carry_out(workshop, job)]
