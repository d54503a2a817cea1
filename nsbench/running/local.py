"""The local executor: each job runs in a worker process on this machine, which is killed with all that it has started.

Isolation is cheap because a worker whose job ended well is used for the next one: starting Python and
importing torch is paid for once a run, and once more for each job that did not end well.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from nsbench.components.events import Notice
from nsbench.components.rows import Status
from nsbench.errors import Refusal
from nsbench.running.executor import RunContext
from nsbench.running.workers.guard import Guard, Watch
from nsbench.running.workers.job import Job, JobEnd
from nsbench.running.workers.memory import DescendantsMemory, kernel_kills
from nsbench.running.workers.messages import Hello, Message, read_end, read_event, uninstalled
from nsbench.running.workers.output import Output
from nsbench.running.workers.process import WorkerProcess
from nsbench.store.cores import cores_seen
from nsbench.store.environment import cores, cuda_devices

_POLL_SECONDS = 0.2
_LEAVING_SECONDS = 2.0
_KEPT_SHARE = 0.25
"""A worker that still holds more than this share of the memory limit is not used again."""


@dataclass
class Underway:
    """A job and its guard. kills: how many processes the kernel had killed for want of memory when the job began."""

    job: Job
    guard: Guard
    kills: int


SPINS = "1000"
"""How often a thread of OpenMP looks whether the others have come before it sleeps: some 20 µs. By itself GNU's
library, which torch is built with, looks 300,000 times: where another process has taken a core, fits on two threads
then spend their time looking. It changes no number."""


class NoWorkers(Refusal):
    """Every worker of a run was left behind, since none of them could be ended."""


class Slot:
    """A place for one job at a time, and the worker that waits or works there."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.worker: WorkerProcess | None = None
        self.underway: Underway | None = None


class Local:
    """An executor of up to `parallel` jobs at once, which share the machine's cores and get its GPUs in turn."""

    def __init__(self, context: RunContext, parallel: int = 1, company: int = 0, threads: int = 0) -> None:
        """company: how many jobs may run on this machine at once, where other executors start some; else `parallel`.

        threads: of each job, where neither the suite nor the user names any; 0 for its share of the cores.
        """
        self._context = context
        self._company = company or parallel
        self._threads = threads or max(1, cores() // parallel)
        self._slots = [Slot(index) for index in range(parallel)]
        self._watch = Watch()
        self._selector = selectors.DefaultSelector()
        self._asked = False

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.__exit__()
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.send_signal(signal.SIGKILL)  # all at once, then they are waited for
        for slot in list(self._slots):
            self._retire(slot)
        self._selector.close()

    def free(self) -> bool:
        if not self._slots:
            raise NoWorkers("no worker could be ended, and no other is started: a disk or a driver does not answer")
        return any(slot.underway is None for slot in self._slots)

    def busy(self) -> bool:
        return any(slot.underway is not None for slot in self._slots)

    def start(self, job: Job) -> None:
        idle = [slot for slot in self._slots if slot.underway is None]
        slot = min(idle, key=lambda slot: (slot.worker is None, slot.index))
        log = self._context.workspace.log(self._context.suite, job.name)
        worker = slot.worker or self._hire(slot, log)
        guard = Guard(job.suite.limits, worker.send_signal, DescendantsMemory(worker.pid), Output(log), spent=job.spent)
        slot.underway = Underway(job, guard, kernel_kills())
        self._watch.add(guard)
        worker.send({"job": job.to_json(), "log": str(log)})

    def wait(self) -> list[JobEnd]:
        if self._context.stop.asked() and not self._asked:
            self._asked = True
            for slot in self._slots:
                if slot.underway is not None and slot.worker is not None:
                    slot.worker.ask_to_stop()
        for fault in self._watch.faults():
            self._context.emit(Notice(f"a limit could not be looked at, and will be again: {fault}"))
        ends = []
        for key, _ in self._selector.select(_POLL_SECONDS):
            end = self._receive(key.data)
            if end is not None:
                ends.append(end)
        return ends

    def _hire(self, slot: Slot, log: Path) -> WorkerProcess:
        context, parallel = self._context, len(self._slots)
        hello = Hello(
            sys.path,
            str(context.workspace.root),
            self._company,
            uninstalled(context.registry),
            postpones=parallel > 1,
        )
        slot.worker = WorkerProcess(hello, surroundings(slot.index, parallel, self._threads), log)
        self._selector.register(slot.worker.channel, selectors.EVENT_READ, slot)
        return slot.worker

    def _retire(self, slot: Slot, patience: float = 0.0) -> int:
        """End a slot's worker, if it has one; returns its exit status, 0 if there is none.

        A worker that cannot be ended is left behind with its slot; its status is that of SIGKILL.
        """
        underway, worker, slot.worker, slot.underway = slot.underway, slot.worker, None, None
        if underway is not None:
            self._watch.release(underway.guard)
        if worker is None:
            return 0
        self._selector.unregister(worker.channel)
        status = worker.end(patience)
        if underway is not None:
            underway.guard.output.close()
        if status is None:
            self._slots.remove(slot)
            name = underway.job.name if underway is not None else "a job that has ended"
            rest = f"{len(self._slots)} others go on" if self._slots else "no other is left"
            self._context.emit(Notice(f"the worker of {name} (process {worker.pid}) cannot be ended; {rest}"))
        return -signal.SIGKILL if status is None else status

    def _receive(self, slot: Slot) -> JobEnd | None:
        """Receive a worker's messages and act on them; returns the end of its job, if it is among them."""
        assert slot.worker is not None
        try:
            messages = slot.worker.receive()
        except EOFError:
            return self._died(slot)
        ends = [end for message in messages if (end := self._message(slot, message)) is not None]
        return ends[0] if ends else None

    def _message(self, slot: Slot, message: Message) -> JobEnd | None:
        """Act on a worker's message; returns the end of its job, if the message is that."""
        if "begun" in message and slot.underway is not None:
            slot.underway.guard.begin()
        elif "waiting" in message and slot.underway is not None:
            slot.underway.guard.wait(message["waiting"])
        elif "event" in message:
            self._context.emit(read_event(message))
        elif "end" in message:
            return self._ended(slot, read_end(message))
        return None

    def _ended(self, slot: Slot, end: JobEnd) -> JobEnd:
        """The end that a worker reports, with the guard's verdict on it.

        Only a worker whose job ended well, and left the process as it was, is kept.
        """
        assert slot.underway is not None
        guard, job = slot.underway.guard, slot.underway.job
        self._watch.release(guard)
        end = replace(end, peak_bytes=max(guard.peak, end.peak_bytes or 0))
        if end.status != "ok":
            self._retire(slot)
            return replace(end, status=guard.verdict or end.status, error=guard.reason or end.error)
        if end.changed:  # the next job would begin in another state than this one
            self._retire(slot)
            return end
        guard.output.close()
        slot.underway = None
        limit = job.suite.limits.memory
        if limit is not None and guard.memory.read() > _KEPT_SHARE * limit:
            self._retire(slot)
        return end

    def _died(self, slot: Slot) -> JobEnd | None:
        """The end of the job of a worker that died; None if it had no job."""
        underway = slot.underway
        status = self._retire(slot, _LEAVING_SECONDS)
        if underway is None:
            return None
        guard = underway.guard
        verdict, reason = (guard.verdict, guard.reason) if guard.verdict else cause(status, underway.kills)
        return JobEnd(underway.job.name, verdict, reason, seconds=guard.seconds(), peak_bytes=guard.peak or None)


def cause(status: int, kills_before: int) -> tuple[Status, str]:
    """The (status, error) of a job whose worker ended in the middle of it, from the worker's exit status.

    kills_before: `kernel_kills()` when the job began.
    """
    if status >= 0:
        return "failed", f"its process ended with exit status {status} in the middle of the work"
    name = signal.Signals(-status).name
    if -status == signal.SIGKILL and kernel_kills() > kills_before:
        return "oom", "killed by the kernel, which was out of memory"
    return "killed", f"its process was ended by {name}, which nsbench did not send"


def surroundings(index: int, parallel: int, threads: int) -> Mapping[str, str]:
    """The environment variables of a worker: its share of the threads, and its GPU.

    index: of the worker's slot. parallel: how many jobs run at once. threads: of each.
    """
    environment = dict(os.environ)
    if threads < cores_seen():  # libraries would start more threads than that
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.setdefault(name, str(threads))
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)
    if parallel > 1 and (gpus := visible_gpus()):
        environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    return environment


def visible_gpus() -> list[str]:
    """The GPUs that jobs may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is not None:
        return [name.strip() for name in names.split(",") if name.strip()]
    return [str(index) for index in range(cuda_devices())]
