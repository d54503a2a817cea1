"""A job's output: a log that what the job prints goes to, and that it cannot fill the disk with."""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 64 << 20
"""The most bytes of a job's output that its log keeps."""


class Output:
    """The log of a job while the job runs. What the job prints beyond the first bytes is cut off again and again.

    Whoever prints appends to the file, so that what is cut off leaves no hole.
    """

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._most = os.fstat(self._descriptor).st_size + MOST_BYTES
        self._left_out = 0

    def trim(self) -> None:
        """Cut off what is too much."""
        beyond = os.fstat(self._descriptor).st_size - self._most
        if beyond > 0:
            os.ftruncate(self._descriptor, self._most)
            self._left_out += beyond

    def close(self) -> None:
        """Cut off what is too much, and say in the log how much was left out. Call it when the job prints no more."""
        self.trim()
        if self._left_out:
            left_out, most = f"{self._left_out:,} bytes of output", f"{MOST_BYTES:,}"
            text = f"\n… {left_out} are left out: a log keeps {most} of what a job prints\n"
            os.write(self._descriptor, text.encode())
        os.close(self._descriptor)
