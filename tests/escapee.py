"""A plugin whose simulator starts processes that leave it, prints without end, or waits."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

from pydantic import Field

import toy
from nsbench import hookimpl
from nsbench.components.component import Params
from nsbench.components.simulator import SimulatorSpec


class EscapeeParams(Params):
    how: Literal["fine", "leaves", "hangs", "crashes", "storm", "prints", "long error"] = "fine"
    notes: str = Field(description="a folder to leave the numbers of processes in")
    label: str = ""


def daemon(work):
    """Run a function in a daemon: a child of a child in a session of its own, whose parent has ended."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    work()
    os._exit(0)


class Escapee(toy.Coin):
    coin = None

    def fit(self, train, val, ctx):
        getattr(self, self.params.how.replace(" ", "_"))()
        self.note("worker")

    def note(self, what):
        path = Path(self.params.notes) / f"{self.params.label}-{what}"
        path.with_suffix(".new").write_text(str(os.getpid()))
        path.with_suffix(".new").rename(path)

    def sleep(self):
        self.note("daemon")
        time.sleep(1000)

    def fine(self):
        pass

    def leaves(self):
        daemon(self.sleep)
        self.wait_for("daemon")

    def wait_for(self, what):
        until = time.monotonic() + 60
        while not (Path(self.params.notes) / f"{self.params.label}-{what}").exists():
            assert time.monotonic() < until
            time.sleep(0.01)

    def hangs(self):
        self.leaves()
        time.sleep(1000)

    def crashes(self):
        self.leaves()
        os.kill(os.getpid(), signal.SIGSEGV)

    def storm(self):
        """Daemons whose descendants go on from process to process, each of which lives for a moment."""

        def run():
            self.note("daemon")
            until = time.monotonic() + 60
            while time.monotonic() < until:
                if os.fork():
                    os._exit(0)
                self.note("storm")

        daemon(run)
        self.wait_for("storm")
        os._exit(3)

    def prints(self):
        line = "x" * 1023 + "\n"
        for _ in range(4096):
            sys.stdout.write(line)
        sys.stdout.flush()

    def long_error(self):
        raise ValueError("wrong " * 10_000)


@hookimpl
def nsbench_simulators():
    return [SimulatorSpec("escapee", "escapee:Escapee", "escapee:EscapeeParams")]
