"""Guards, which hold jobs to their limits, in a thread, so that no listener of the run can delay them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from nsbench.quantities import duration, number
from nsbench.running.workers.memory import GroupMemory
from nsbench.suite.suite import Limits

GRACE_SECONDS = 5.0
"""Seconds between SIGTERM, at which a fit writes a checkpoint, and SIGKILL."""

_TICK_SECONDS = 0.2
_MEMORY_TICK_SECONDS = 0.05


@dataclass
class Guard:
    """A job's limits, and how the job stands to them. signal: a function that signals the job's whole process group."""

    limits: Limits
    signal: Callable[[signal.Signals], None]
    memory: GroupMemory
    begun: float = field(default_factory=time.monotonic)
    verdict: Literal["", "timeout", "oom"] = ""
    reason: str = ""
    peak: int = 0
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
        """Read the memory, and send the signal that is due. now: of `time.monotonic`."""
        self.peak = max(self.peak, self.memory.read())
        limits = self.limits
        if now > self._kill_at:
            self.signal(signal.SIGKILL)
        elif self.verdict:
            return
        elif limits.memory is not None and self.peak > limits.memory:
            self.verdict = "oom"
            self.reason = f"{number(self.peak)}B of memory, more than the limit of {number(limits.memory)}B"
            self.signal(signal.SIGKILL)
        elif limits.timeout is not None and self._waits_since is None and now - self.begun > limits.timeout:
            self.verdict, self._kill_at = "timeout", now + GRACE_SECONDS
            self.reason = f"more than the limit of {duration(limits.timeout)}"
            self.signal(signal.SIGTERM)


class Watch:
    """A thread that checks guards, within a with-block. A guard that was released sends no signal any more."""

    def __init__(self) -> None:
        self._guards: list[Guard] = []
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

    def _run(self) -> None:
        while not self._left.wait(self._tick()):
            with self._lock:
                for guard in self._guards:
                    guard.check(time.monotonic())

    def _tick(self) -> float:
        limited = any(guard.limits.memory is not None for guard in list(self._guards))
        return _MEMORY_TICK_SECONDS if limited else _TICK_SECONDS
