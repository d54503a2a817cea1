"""Guards, which hold jobs to their limits, in a thread, so that no listener of the run can delay them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from nsbench.quantities import duration, number
from nsbench.running.workers.memory import DescendantsMemory
from nsbench.running.workers.output import Output
from nsbench.suite.suite import Limits

GRACE_SECONDS = 5.0
"""Seconds between SIGTERM, at which a fit writes a checkpoint, and SIGKILL."""

_TICK_SECONDS = 0.2
_MEMORY_TICK_SECONDS = 0.05


@dataclass
class Guard:
    """A job's limits, and how the job stands to them. signal: a function that signals all of the job's processes.

    spent: seconds that earlier jobs worked on the same, which the limit counts.
    """

    limits: Limits
    signal: Callable[[signal.Signals], None]
    memory: DescendantsMemory
    output: Output
    begun: float = field(default_factory=time.monotonic)
    verdict: Literal["", "timeout", "oom"] = ""
    reason: str = ""
    peak: int = 0
    spent: float = 0.0
    _waits_since: float | None = None
    _kill_at: float = float("inf")

    def begin(self) -> None:
        """Let the job begin now: the start of its worker does not count against the limit."""
        self.begun = time.monotonic()

    def wait(self, begins: bool) -> None:
        """Waiting for another process does not count against the limit. begins: whether it begins or ends now."""
        now = time.monotonic()
        if begins:
            self._waits_since = now
        elif self._waits_since is not None:
            self.begun += now - self._waits_since
            self._waits_since = None

    def seconds(self) -> float:
        """Seconds since the job began, without those spent waiting for other processes."""
        return (self._waits_since or time.monotonic()) - self.begun

    def check(self, now: float) -> None:
        """Send the signal that is due, and keep the log short. now: of `time.monotonic`.

        Raises what reading the memory or the log raises, but not before time has been kept.
        """
        if now > self._kill_at:
            self.signal(signal.SIGKILL)
        elif not self.verdict and self._is_late(now):
            self.verdict, self._kill_at = "timeout", now + GRACE_SECONDS
            self.reason = f"more than the limit of {duration(self.limits.timeout or 0)}"
            self.signal(signal.SIGTERM)
        self.output.trim()
        self._check_memory()

    def _is_late(self, now: float) -> bool:
        limit = self.limits.timeout
        return limit is not None and self._waits_since is None and self.spent + now - self.begun > limit

    def _check_memory(self) -> None:
        self.peak = max(self.peak, self.memory.read())
        limit = self.limits.memory
        if not self.verdict and limit is not None and self.peak > limit:
            self.verdict = "oom"
            self.reason = f"{number(self.peak)}B of memory, more than the limit of {number(limit)}B"
            self.signal(signal.SIGKILL)


class WatchEnded(RuntimeError):
    """The thread that keeps the limits has ended: no limit would hold any more."""


class Watch:
    """A thread that checks guards, within a with-block. A guard that was released sends no signal any more.

    An error of one check stops no other: `faults` has it, and the guard is checked again.
    """

    def __init__(self) -> None:
        self._guards: list[Guard] = []
        self._faults: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nsbench-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def add(self, guard: Guard) -> None:
        with self._lock:
            self._guards.append(guard)

    def release(self, guard: Guard) -> None:
        with self._lock:
            self._guards = [other for other in self._guards if other is not guard]

    def faults(self) -> list[str]:
        """Errors of checks that were not told yet, each kind once. Raises WatchEnded if the thread has ended."""
        if not (self._thread.is_alive() or self._left.is_set()):
            raise WatchEnded("the thread that keeps limits has ended, so this run ends too: run again, it goes on")
        untold = [fault for fault, told in list(self._faults.items()) if not told]
        self._faults |= dict.fromkeys(untold, True)
        return untold

    def _run(self) -> None:
        while not self._left.wait(self._tick()):
            with self._lock:
                for guard in self._guards:
                    self._check(guard)

    def _check(self, guard: Guard) -> None:
        try:
            guard.check(time.monotonic())
        except Exception as error:
            self._faults.setdefault(f"{type(error).__name__}: {error}", False)

    def _tick(self) -> float:
        limited = any(guard.limits.memory is not None for guard in list(self._guards))
        return _MEMORY_TICK_SECONDS if limited else _TICK_SECONDS
