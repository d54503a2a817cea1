"""A lifeline, which ends a worker's process group with the run: a watcher within the group waits on a pipe whose other
end the run holds, and kills the group when that end is closed, however the run came to its end.

The watcher is forked before anything is imported. While it lives, no other group can get the group's number.
"""

from __future__ import annotations

import os
import signal


def tie_group_to(lifeline: int) -> int:
    """Start the watcher; returns its process id. lifeline: the pipe's reading end. Call it first of all."""
    watcher = os.fork()
    if watcher:
        os.close(lifeline)
        return watcher
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.closerange(0, lifeline)
    os.closerange(lifeline + 1, 1024)
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)
    os._exit(0)
