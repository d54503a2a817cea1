"""The processes that a process has started, and theirs: found, and killed until none is left.

A daemon leaves its process group and its parent. It is found nonetheless where an ancestor is a subreaper: the kernel
then makes that ancestor the parent of orphans, in place of process 1. Only Linux has subreapers, and lists processes in
/proc; elsewhere what leaves the group is not found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

LISTED = os.path.isdir("/proc/self")
"""Whether this system lists its processes where they are looked for: Linux does."""


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, where the kernel can."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, where it can. parent: the process id that is expected."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before this was asked for
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """The ids of the processes below `pid` that have not ended."""
    children: dict[int, list[tuple[int, str]]] = {}
    for child, parent, state in _processes():
        children.setdefault(parent, []).append((child, state))
    found, waiting = [], [pid]
    while waiting:
        for child, state in children.pop(waiting.pop(), []):
            waiting.append(child)
            if state not in "ZX":
                found.append(child)
    return found


def _processes() -> list[tuple[int, int, str]]:
    """(process, its parent, its state) of all processes on this machine."""
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    processes = []
    for name in names:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        processes.append((int(name), int(parent), state.decode()))
    return processes


def command_of(pid: int) -> str:
    """The command of a process, as far as it fits into a few words; its number where it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(200).replace(b"\0", b" ").decode(errors="replace").split()
    except OSError:
        words = []
    return " ".join(words)[:60] or f"process {pid}"


def kill_descendants(seconds: float) -> bool:
    """Kill everything below this process, and what is started meanwhile, until nothing is left.

    seconds: the time after which it is given up; processes that the kernel cannot end (a disk or a driver that does
    not answer) are left. Returns whether nothing is left.
    """
    until = time.monotonic() + seconds
    while alive := descendants(os.getpid()):
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        if time.monotonic() > until:
            return False
    return True


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def has_children() -> bool:
    """Return whether this process has children, ended ones that nobody waited for included. Takes a microsecond."""
    if not hasattr(os, "waitid"):
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
