"""A worker as the run sees it: a process group, a channel to it, and a lifeline that ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from nsbench.running.workers.messages import Hello, Lines, Message


class WorkerProcess:
    """A worker process. log: where it prints until its first job says otherwise."""

    def __init__(self, hello: Hello, environment: Mapping[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.channel, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        command = [sys.executable, "-P", "-m", "nsbench.running.workers.launch", str(theirs.fileno()), str(lifeline)]
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=(theirs.fileno(), lifeline),
                    env=dict(environment),
                )
        except BaseException:
            self.channel.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self._lines = Lines(self.channel)
        self.pid = self._process.pid
        self.send({"hello": hello.to_json()})

    def send(self, message: Message) -> None:
        """What a worker that has died is told, its end will answer."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._lines.send(message)

    def receive(self) -> list[Message]:
        """Raises EOFError when the worker has ended."""
        try:
            return self._lines.receive()
        except ConnectionResetError:
            raise EOFError from None

    def signal_group(self, number: signal.Signals) -> None:
        """The worker has not been waited for yet, so the group's number is still its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def ask_to_stop(self) -> None:
        """Only the worker itself is asked: what it has started is its own affair."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def end(self, patience: float = 0.0) -> int:
        """Kill the group; returns the worker's exit status, negative for a signal.

        patience: seconds in which a worker that has closed its channel may come to its own end. What it
        leaves behind is killed by the watcher when the lifeline closes.
        """
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.signal_group(signal.SIGKILL)
        os.close(self._lifeline)
        self.channel.close()
        return self._process.wait()
