"""A lifeline, which ends a worker and everything that it has started with the run.

The watcher, the worker's parent, waits on a pipe whose other end the run holds. When that end is closed, however
the run came to its end, or when the worker ends, the watcher kills all its descendants. It leads the process group,
and adopts what leaves it. The worker is forked before anything is imported.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal

from nsbench.running.workers.descendants import LISTED, adopt_orphans, end_with_parent, kill_descendants

KILLING_SECONDS = 10.0
"""Seconds after which processes that cannot be killed are left behind."""


def watched_by_parent(lifeline: int) -> None:
    """Go on as the worker, in a child of this process, which becomes its watcher. lifeline: the pipe's reading end.

    The watcher never returns: it ends as the worker ends.
    """
    adopt_orphans()
    watcher, woken, wake = os.getpid(), *os.pipe()
    os.set_blocking(wake, False)
    worker = os.fork()
    if worker:
        _watch(lifeline, worker, woken, wake)
    for descriptor in (lifeline, woken, wake):
        os.close(descriptor)
    if not LISTED:
        os.setpgid(0, 0)  # a group that the watcher can kill and live
    end_with_parent(watcher)
    adopt_orphans()  # so that it need not ask its parent whether it has left something running


def _watch(lifeline: int, worker: int, woken: int, wake: int) -> None:
    """Wait for the worker's end, or the run's, then kill all that is left, and end as the worker did."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if LISTED else lambda number, _: os.killpg(worker, number))
    signal.signal(signal.SIGINT, lambda *_: os.kill(worker, signal.SIGINT))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    kept = sorted((lifeline, woken, wake))
    for low, high in zip([-1, *kept], [*kept, 4096], strict=True):
        os.closerange(low + 1, high)
    status = _wait(lifeline, worker, woken)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(lifeline)
    if not LISTED:
        with contextlib.suppress(OSError):
            os.killpg(worker, signal.SIGKILL)
    kill_descendants(KILLING_SECONDS)
    _end_as(status)


def _wait(lifeline: int, worker: int, woken: int) -> int:
    """The worker's wait status; that of SIGKILL when the run closes the lifeline first. Reaps what was adopted."""
    while True:
        readable, _, _ = select.select([lifeline, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
        pid = -1
        while pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == worker:
                return status
        if lifeline in readable:
            return int(signal.SIGKILL)


def _end_as(status: int) -> None:
    """End this process with another's wait status, but without a core file."""
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
