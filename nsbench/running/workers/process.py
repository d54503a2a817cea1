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
from nsbench.store.files import make_folder
from nsbench.store.workspace import Workspace


class WorkerProcess:
    """A worker process. log: the file that it prints to before its first job."""

    def __init__(self, hello: Hello, environment: Mapping[str, str], log: Path) -> None:
        make_folder(log.parent)
        self.channel, remote = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        workspace = Workspace(Path(hello.workspace))
        for folder in (workspace.bytecode.parent, workspace.kernels.parent):
            with contextlib.suppress(OSError):  # then workers compile in memory
                make_folder(folder)
        files = [str(remote.fileno()), str(lifeline), str(workspace.bytecode)]
        command = [sys.executable, "-P", "-m", "nsbench.running.workers.launch", *files]
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=(remote.fileno(), lifeline),
                    env=dict(environment),
                )
        except BaseException:
            self.channel.close()
            os.close(self._lifeline)
            raise
        finally:
            remote.close()
            os.close(lifeline)
        self._lines = Lines(self.channel)
        self.pid = self._process.pid
        self.send({"hello": hello.to_json()})

    def send(self, message: Message) -> None:
        """Send a message. A dead worker is not an error here: `receive` raises EOFError."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._lines.send(message)

    def receive(self) -> list[Message]:
        """Wait for messages, and return those that have come. Raises EOFError when the worker has ended."""
        try:
            return self._lines.receive()
        except ConnectionResetError:
            raise EOFError from None

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the worker's process group: it has not been waited for, so no other group has its number."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def ask_to_stop(self) -> None:
        """Send SIGINT to the worker alone, not to the processes that it has started."""
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
