"""A worker as the run sees it: its watcher's process group, a channel to it, and a lifeline that ends all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from nsbench.running.workers.messages import Hello, Lines, Message
from nsbench.store.files import make_folder
from nsbench.store.workspace import Workspace

ENDING_SECONDS = 15.0
"""Seconds after which a worker that cannot be ended is left behind: longer than its watcher tries."""

_LAST_SECONDS = 1.0


class WorkerProcess:
    """A worker process, and its watcher. log: the file that it prints to before its first job.

    pid: of the watcher, whose descendants are the worker and all that it has started.
    """

    def __init__(self, hello: Hello, environment: Mapping[str, str], log: Path) -> None:
        make_folder(log.parent)
        self.channel, remote = socket.socketpair()
        lifeline, own_end = os.pipe()
        self._lifeline = os.fdopen(own_end, "wb", buffering=0)  # closed twice, a file closes nobody else's descriptor
        workspace = Workspace(Path(hello.workspace))
        for folder in (workspace.bytecode.parent, workspace.kernels.parent):
            with contextlib.suppress(OSError):  # then workers compile in memory
                make_folder(folder)
        files = [str(remote.fileno()), str(lifeline), str(workspace.bytecode)]
        command = [sys.executable, "-P", "-X", "utf8", "-m", "nsbench.running.workers.launch", *files]
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
            self._lifeline.close()
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

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker's process group. SIGKILL reaches what has left the group, too, by the watcher."""
        if number == signal.SIGKILL:
            self._lifeline.close()
        else:
            self._signal_group(number)

    def _signal_group(self, number: signal.Signals) -> None:
        """Signal the group: its leader has not been waited for, so that no other group has its number."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def ask_to_stop(self) -> None:
        """Send SIGINT to the worker alone, by its watcher, and not to the processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def end(self, patience: float = 0.0) -> int | None:
        """Kill the worker and all that it has started; returns its exit status, negative for a signal.

        None where it cannot be ended, as in the depths of a disk or a driver that does not answer. patience: seconds in
        which a worker that has closed its channel may come to its own end.
        """
        if patience == 0.0 or not self._has_ended(patience):
            self._lifeline.close()
            self._has_ended(ENDING_SECONDS)
        self._lifeline.close()
        self.channel.close()
        self._signal_group(signal.SIGKILL)  # should somebody have killed the watcher
        try:
            return self._process.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def _has_ended(self, seconds: float) -> bool:
        """Wait for the watcher's end, without releasing its number where the system can do that."""
        if not hasattr(os, "waitid"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return self._process.returncode is not None
        until = time.monotonic() + seconds
        pause = 0.0005
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
        return True
