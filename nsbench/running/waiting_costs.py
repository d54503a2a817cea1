"""The jobs whose costs are still to be measured, each with nothing else of the run at work.

Such a job is done in three parts of one name: all until its costs, side by side with others; the costs, alone; the
scores, side by side again, once all costs that wait have been measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nsbench.running.workers.job import CostWork, Job, JobEnd, ScoreWork
from nsbench.suite.trials import Trial


@dataclass
class WaitingCosts:
    """Jobs that wait for their costs, those whose costs are there, and what the ended parts took, all by name."""

    _postponed: dict[str, Job] = field(default_factory=dict)
    _measured: dict[str, Job] = field(default_factory=dict)
    _underway: dict[str, Job] = field(default_factory=dict)
    _earlier: dict[str, JobEnd] = field(default_factory=dict)

    def next(self) -> Job | None:
        """The next measurement of costs; None if none waits."""
        if not self._postponed:
            return None
        name = next(iter(self._postponed))
        job = self._underway[name] = self._postponed.pop(name)
        assert isinstance(job.work, ScoreWork)
        assert isinstance(job.work.of, Trial)  # nothing else has costs
        return replace(job, work=CostWork(job.work.of), spent=self._spent(name))

    def takes(self, job: Job, end: JobEnd) -> bool:
        """Take note of the end of a part that others follow; returns whether it was one."""
        if end.postponed:
            self._postponed[job.name] = job
        elif isinstance(job.work, CostWork) and end.status == "ok":
            self._measured[job.name] = self._underway.pop(job.name)
        else:
            return False
        self._earlier[job.name] = self.whole(end)
        return True

    def released(self) -> dict[str, Job]:
        """The jobs whose scores can be made: all that were measured, once no costs wait."""
        if self._postponed:
            return {}
        released, self._measured = self._measured, {}
        return {name: replace(job, spent=self._spent(name)) for name, job in released.items()}

    def whole(self, end: JobEnd) -> JobEnd:
        """The end of a job's last part, with the time and memory of all parts, and what they changed."""
        earlier = self._earlier.get(end.job)
        if earlier is None:
            return end
        peaks = [peak for peak in (end.peak_bytes, earlier.peak_bytes) if peak is not None]
        return replace(
            end,
            seconds=end.seconds + earlier.seconds,
            peak_bytes=max(peaks, default=None),
            changed=tuple(dict.fromkeys((*earlier.changed, *end.changed))),
            postponed=False,
        )

    def begun_again(self, job: Job) -> Job:
        """The job to begin again after a part of it ended badly: the whole one, which finds what is there."""
        self._earlier.pop(job.name, None)
        return replace(self._underway.pop(job.name, job), spent=0.0)

    def has_begun(self, name: str) -> bool:
        """Whether a part of a job has ended, and others follow."""
        return name in self._earlier

    def _spent(self, name: str) -> float:
        return self._earlier[name].seconds
