"""The run's own process does the work: for debugging, and for tests that need no isolation."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from nsbench.running.executor import Setting
from nsbench.running.workers.job import End, Job, carry_out
from nsbench.stages.workshop import open_bench


class Inline:
    """One job at a time, here. No limit but retries can be kept: what hangs, hangs the run."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._job: Job | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing runs on."""

    def free(self) -> bool:
        return self._job is None

    def busy(self) -> bool:
        return self._job is not None

    def start(self, job: Job) -> None:
        self._job = job

    def wait(self) -> list[End]:
        job, self._job = self._job, None
        if job is None:
            return []
        setting = self._setting
        bench = open_bench(
            job.suite, job.conditions, setting.registry, setting.workspace, setting.emit, stopping=setting.stop.asked
        )
        return [carry_out(bench, job)]
