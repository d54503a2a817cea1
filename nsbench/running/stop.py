"""Ctrl-C and SIGTERM: once brings the work to its next checkpoint, twice stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the run is to end. tell: called once, from where the question is asked, not from a signal handler."""

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._wanted = self._told = False

    def ask(self) -> None:
        """The run is to end at the next checkpoint."""
        self._wanted = True

    def asked(self) -> bool:
        if self._wanted and not self._told:
            self._told = True
            self._tell()
        return self._wanted


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM ask to stop; when they come again, KeyboardInterrupt is raised where the program is.

    Does nothing outside the main thread, where Python knows no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        stop.ask()
        if len(seen) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
