"""The Ray task that does a job on a node, and the mailbox through which it speaks with the run.

Where the node does not see the run's workspace it keeps one of its own (nsbench/store/node.py); artifacts travel
through the mailbox in both directions, and the log follows in pieces.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nsbench.components.events import Event
from nsbench.running.executor import RunContext
from nsbench.running.local import Local
from nsbench.running.stop import Stop
from nsbench.running.workers.job import Job, JobEnd
from nsbench.running.workers.messages import Hello, event_message, registry_of
from nsbench.store.environment import cores
from nsbench.store.files import make_folder
from nsbench.store.key import Key
from nsbench.store.node import node_workspace
from nsbench.store.store import Store
from nsbench.store.transfer import Parcel, holds, pack, unpack
from nsbench.store.workspace import Workspace

PIECE_BYTES = 1 << 20
"""The most bytes of a log that travel at once."""

_WEEK = 7 * 86_400.0


@dataclass(frozen=True)
class Errand:
    """A run as its tasks need to know it.

    suite: its name. token: of this run; a node that sees the workspace sees a file of that name. identity, origin: of
    the run's workspace, for the one that a node keeps in its place. folder: for that, "" for the node's temporary one.
    """

    suite: str
    token: str
    identity: str
    origin: str
    folder: str

    def sign(self, workspace: Path) -> Path:
        """The file that a node looks for, to find out whether it sees the run's workspace."""
        return workspace / "ray" / self.token


class Mailbox:
    """An actor on the run's node: it collects messages, sends artifacts, and stores those that come, and logs."""

    def __init__(self, workspace: str, suite: str) -> None:
        self._workspace, self._suite = Workspace(Path(workspace)), suite
        self._letters: list[str] = []
        self._stop = False

    def put(self, letter: str) -> None:
        """Leave a message, as JSON."""
        self._letters.append(letter)

    def take(self) -> list[str]:
        """The messages that have come since the last call."""
        letters, self._letters = self._letters, []
        return letters

    def stop(self) -> None:
        """Ask every task to stop."""
        self._stop = True

    def stopping(self) -> bool:
        """Return whether tasks are asked to stop."""
        return self._stop

    def asks_for_token(self) -> bool:
        """Return whether the cluster's processes ask each other, and everybody else, for a token."""
        return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"

    def has(self, kind: str, key: str) -> bool:
        """Return whether an artifact is in the run's store."""
        return holds(self._workspace.store, kind, key)

    def fetch(self, kind: str, key: str) -> Parcel | None:
        """An artifact of the run's store; None if it is not there."""
        return pack(self._workspace.store, kind, key)

    def deliver(self, kind: str, key: str, parcel: Parcel) -> None:
        """Put an artifact into the run's store."""
        unpack(self._workspace.store, kind, key, parcel)

    def add_to_log(self, job: str, piece: bytes) -> None:
        """Append a piece of a job's log to the run's."""
        log = self._workspace.log(self._suite, job)
        make_folder(log.parent)
        with log.open("ab") as file:
            file.write(piece)


def work(job_text: str, hello_text: str, errand_text: str, mailbox: Any) -> str:
    """Do a job on this node, as a Ray task; returns its end as JSON."""
    import ray

    job, hello, errand = Job.from_json(job_text), Hello(**json.loads(hello_text)), Errand(**json.loads(errand_text))
    sys.path[:0] = [entry for entry in hello.path if entry not in sys.path]
    node = ray.get_runtime_context().get_node_id()[:8]
    ray.get(mailbox.put.remote(json.dumps({"begun": job.name, "node": node})))
    shared = Workspace(Path(hello.workspace))
    if errand.sign(shared.root).is_file():
        return json.dumps(asdict(_in_a_worker(errand.suite, shared, job, hello, mailbox)))
    folder = Path(errand.folder or tempfile.gettempdir())
    with node_workspace(folder, errand.identity, errand.origin) as workspace:
        return json.dumps(asdict(_apart(workspace, job, hello, errand, mailbox)))


def _apart(workspace: Workspace, job: Job, hello: Hello, errand: Errand, mailbox: Any) -> JobEnd:
    """Do a job in the node's own workspace; what the run's store lacks of it is delivered. Returns the job's end."""
    import ray

    keys = [artifact.key for artifact in job.work.artifacts()]
    for key in keys:
        _fetch(workspace, key, mailbox)
    forget_logs(workspace)
    end = _in_a_worker(errand.token, workspace, job, hello, mailbox)  # runs that share the workspace share no log
    store = Store(workspace.store)
    for key in keys:
        if not store.has(key) or ray.get(mailbox.has.remote(key.kind, key.digest)):
            continue
        if store.find(key) is not None and (parcel := pack(store.root, key.kind, key.digest)) is not None:
            ray.get(mailbox.deliver.remote(key.kind, key.digest, parcel))
    log = workspace.log(errand.token, job.name)
    for piece in pieces(log):
        ray.get(mailbox.add_to_log.remote(job.name, piece))
    log.unlink(missing_ok=True)
    for folder in (log.parent, log.parent.parent):
        with suppress(OSError):  # another job's log is in it
            folder.rmdir()
    return end


def _fetch(workspace: Workspace, key: Key, mailbox: Any) -> None:
    """Put an artifact of the run's store into the node's, unless it is there, here or nowhere."""
    import ray

    if not holds(workspace.store, key.kind, key.digest):
        parcel = ray.get(mailbox.fetch.remote(key.kind, key.digest))
        if parcel is not None:
            unpack(workspace.store, key.kind, key.digest, parcel)


def pieces(log: Path) -> Iterator[bytes]:
    """A log, piece by piece, so that none is in memory as a whole; nothing if there is none."""
    if log.is_file():
        with log.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def forget_logs(workspace: Workspace) -> None:
    """Remove the logs of runs that were killed before they could send them; nothing was added to them for a week."""
    for folder in (workspace.root / "runs").glob("*"):
        with suppress(FileNotFoundError):
            if time.time() - max(path.lstat().st_mtime for path in (folder, *folder.rglob("*"))) > _WEEK:
                shutil.rmtree(folder)


def _in_a_worker(name: str, workspace: Workspace, job: Job, hello: Hello, mailbox: Any) -> JobEnd:
    """Do one job in a worker process, and return its end. Costs are marked as measured beside a full node's jobs.

    name: of the folder of its log.
    """
    import ray

    def tell(event: Event) -> None:
        mailbox.put.remote(json.dumps(event_message(event)))

    context = RunContext(name, workspace, registry_of(hello), tell, Stop())
    ends: list[JobEnd] = []
    with Local(context, company=cores()) as crew:
        crew.start(job)
        while crew.busy():
            if ray.get(mailbox.stopping.remote()):
                context.stop.ask()
            ends += crew.wait()
    return ends[0]
