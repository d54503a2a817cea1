"""The owner of a draft or a lock: the process that made it, and whether that is gone for certain."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process, told apart from every other on any machine.

    boot: of the machine, since it was last started. space: of process numbers; each container has its own. started:
    the process's beginning, in the kernel's ticks. since: when it became the owner, for people.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: str
    since: str

    def __str__(self) -> str:
        return f"{self.host}:{self.pid} since {self.since}"

    def to_text(self) -> str:
        """The owner as text, for ``read_owner``."""
        return json.dumps(vars(self))

    def is_gone(self) -> bool:
        """Whether the process has ended for certain. False where that cannot be known from here."""
        if self.host != socket.gethostname():
            return False
        if self.boot != _boot():
            return bool(self.boot and _boot())
        return bool(self.started) and self.space == _space() and _started(self.pid) != self.started


def this_process() -> Owner:
    """This process as an owner, from now on."""
    return replace(_process(os.getpid()), since=time.strftime("%Y-%m-%d %H:%M:%S"))


@cache
def _process(pid: int) -> Owner:
    """This process, by its own number: a fork of it is another."""
    return Owner(socket.gethostname(), _boot(), _space(), pid, _started(pid), "")


def read_owner(text: str) -> Owner | None:
    """The owner that a text names; None for any other text."""
    try:
        data = json.loads(text)
        owner = Owner(**data)
    except (ValueError, TypeError):
        return None
    return owner if isinstance(owner.pid, int) else None


@cache
def _boot() -> str:
    """The number that the kernel gave itself when it started; "" where there is none."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """The time when a process began; "" if there is no such process, or no way to know."""
    after_name = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # a name may hold anything
    return after_name[19] if len(after_name) > 19 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
