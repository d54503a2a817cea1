"""A stop request, by Ctrl-C or SIGTERM: the first lets work reach its next checkpoint, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A request to end the run. tell: called once, by `asked`, and never from a signal handler."""

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._wanted = self._told = False

    def ask(self) -> None:
        """Ask the run to end at its next checkpoint."""
        self._wanted = True

    def asked(self) -> bool:
        """Return whether the run is to end."""
        if self._wanted and not self._told:
            self._told = True
            self._tell()
        return self._wanted


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM ask to stop; a second signal raises KeyboardInterrupt where the program is.

    Does nothing outside the main thread, where Python knows no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        stop.ask()
        if len(signals) > 1:
            raise KeyboardInterrupt

    handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
