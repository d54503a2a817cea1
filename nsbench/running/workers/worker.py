"""A worker: a process that does the jobs which a run gives it, one after another.

What a job prints, in C too, goes to the job's log. The worker leads a process group of its own, which the
run kills as a whole; it is used again only while its jobs end well.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from nsbench.components.events import Event, StageProgress
from nsbench.registry import bytecode
from nsbench.registry.kernels import hold_cache
from nsbench.registry.registry import Registry
from nsbench.running.workers.descendants import command_of, descendants, has_children
from nsbench.running.workers.job import CostWork, Job, JobEnd, carry_out
from nsbench.running.workers.messages import (
    Hello,
    Lines,
    Message,
    end_message,
    event_message,
    plugin_packages,
    registry_of,
)
from nsbench.stages.agreement import Agreement
from nsbench.stages.workshop import open_workshop
from nsbench.store.contents import remember_in
from nsbench.store.files import make_folder
from nsbench.store.workspace import Workspace

PROGRESS_SECONDS = 0.1
"""The least time between two messages of a stage's progress."""

COLLECT_SECONDS = 1.0
"""Garbage is collected after a job that took longer than this."""


NAMED = 5
"""The most processes that a row names."""


class Flag:
    """A flag that is raised when this worker is asked to end its job."""

    raised = False

    def __call__(self) -> bool:
        return self.raised

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.raised = True


def serve(channel: int) -> None:
    """Do jobs until the run closes the channel."""
    os.set_inheritable(channel, False)  # what a job starts does not keep it open
    stop = Flag()
    signal.signal(signal.SIGINT, stop.handle)
    signal.signal(signal.SIGTERM, stop.handle)
    faulthandler.enable()
    prefer_for_killing()
    lines = Lines(socket.socket(fileno=channel))
    worker: Worker | None = None
    while True:
        try:
            messages = lines.receive()
        except EOFError:
            return
        for message in messages:
            if "hello" in message:
                worker = Worker(Hello(**message["hello"]), lines, stop)
            elif worker is not None:
                redirect(Path(message["log"]))
                worker.do(Job.from_json(message["job"]))


class Worker:
    """The state that a worker keeps from job to job: the plugins, and what it has compared with the plan's keys."""

    def __init__(self, hello: Hello, lines: Lines, stop: Flag) -> None:
        sys.path[:] = hello.path
        bytecode.add_packages(plugin_packages(hello.plugins))
        self._hello, self._lines, self._stop = hello, lines, stop
        self._registry: Registry = registry_of(hello)
        self._workspace = Workspace(Path(hello.workspace))
        hold_cache(self._registry, self._workspace.kernels)
        remember_in(self._workspace.contents)
        self._agreement = Agreement(self._registry, self._workspace.root)

    def do(self, job: Job) -> None:
        """Do a job; send its events and its end."""
        self._stop.raised = False
        reset_peak()
        self._lines.send({"begun": job.name})
        end = self._carry_out(job)
        end = replace(end, changed=(*end.changed, *left_running()))
        flush_output()
        self._lines.send(end_message(replace(end, peak_bytes=peak())))
        if end.seconds > COLLECT_SECONDS:
            gc.collect()

    def _carry_out(self, job: Job) -> JobEnd:
        tell = Teller(self._lines.send)
        workshop = open_workshop(
            job.suite, job.conditions, self._registry, self._workspace, tell, self._stop, self._agreement
        )
        alone = isinstance(job.work, CostWork)
        parallel = 1 if alone else self._hello.parallel
        postpones = self._hello.postpones and not alone
        workshop = replace(workshop, waiting=self._waiting, parallel=parallel, postpones=postpones)
        return carry_out(workshop, job)

    def _waiting(self, begins: bool) -> None:
        self._lines.send({"waiting": begins})


class Teller:
    """A listener that sends events to the run; of progress, no more than a person can see."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._told = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageProgress):
            now = time.monotonic()
            if event.done < event.total and now - self._told < PROGRESS_SECONDS:
                return
            self._told = now
        self._send(event_message(event))


def left_running() -> list[str]:
    """The processes that a job has left running, in words; no other job is done beside them."""
    if not has_children():
        return []
    running = descendants(os.getpid())
    more = [f"left running: {len(running) - NAMED} more processes"] if len(running) > NAMED else []
    return [*(f"left running: {command_of(pid)}" for pid in running[:NAMED]), *more]


def redirect(log: Path) -> None:
    """Direct this process's output, that of C included, to a file."""
    make_folder(log.parent)
    flush_output()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def flush_output() -> None:
    """Write what was printed and is still in a buffer, of Python and of C; what cannot be written ends no job."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk; a stream that a component has closed
            stream.flush()
    ctypes.CDLL(None).fflush(None)


def prefer_for_killing() -> None:
    """Ask the kernel to end this process rather than the run when memory runs out."""
    write_if_there("/proc/self/oom_score_adj", "500")


def reset_peak() -> None:
    """Begin to measure `peak` anew."""
    write_if_there("/proc/self/clear_refs", "5")


def write_if_there(path: str, text: str) -> None:
    """Write to one of the kernel's files, if it exists and may be written."""
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:
        return


def peak() -> int | None:
    """The largest resident size of this process since the last reset, in bytes; None where that is not known."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            sizes = [line.split()[1] for line in file if line.startswith("VmHWM:")]
    except OSError:
        return None
    return 1024 * int(sizes[0]) if sizes else None
