"""The Ray executor: a cluster does the work, the one at `--address` or else one that is started on this machine.

A job is a Ray task. On its node it runs as it would here, in a worker process with its limits; its messages go to a
mailbox on the run's node. Where a node does not see the run's workspace, artifacts travel through the mailbox. A
task that is lost with its node is begun again by Ray; its fit goes on from its checkpoint where the workspace is
shared. Only text and bytes are handed to Ray.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import uuid
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nsbench.components.events import Event, Notice
from nsbench.running.executor import RunContext
from nsbench.running.local import Local
from nsbench.running.stop import Stop
from nsbench.running.workers.job import Job, JobEnd
from nsbench.running.workers.messages import Hello, event_message, read_event, registry_of, uninstalled
from nsbench.store.environment import cores
from nsbench.store.files import write_whole
from nsbench.store.store import Store
from nsbench.store.transfer import Parcel, pack, unpack
from nsbench.store.workspace import Workspace

RETRIES = 3
"""How often Ray begins a task again that it lost with its node."""

_POLL_SECONDS = 0.2


class Mailbox:
    """An actor on the run's node: it collects the messages of tasks, and fetches and stores their artifacts."""

    def __init__(self, store: str) -> None:
        self._store = Path(store)
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

    def fetch(self, kind: str, key: str) -> Parcel | None:
        """An artifact of the run's store; None if it is not there."""
        return pack(self._store, kind, key)

    def deliver(self, kind: str, key: str, parcel: Parcel) -> None:
        """Put an artifact into the run's store."""
        unpack(self._store, kind, key, parcel)


class RayCluster:
    """An executor of as many jobs at once as a cluster has room for. address: of the cluster; None starts one here."""

    def __init__(self, context: RunContext, address: str | None = None) -> None:
        self._context, self._address = context, address
        self._tasks: dict[Any, Job] = {}
        self._begun: dict[str, str] = {}
        self._token = uuid.uuid4().hex
        self._asked = False

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        handler = signal.getsignal(signal.SIGTERM)
        if not ray.is_initialized():
            ray.init(address=self._address, include_dashboard=False, log_to_driver=False, logging_level="error")
        signal.signal(signal.SIGTERM, handler)  # Ray has taken it over
        self._ray = ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0)(Mailbox)
        self._mailbox = actor.options(scheduling_strategy=here).remote(str(self._context.workspace.store))
        write_whole(self._sign, "this file is how a node finds out whether it sees this workspace")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._sign.unlink(missing_ok=True)
        self._ray.kill(self._mailbox)
        self._ray.shutdown()

    @property
    def _sign(self) -> Path:
        """A file that a node looks for, to find out whether it sees this workspace."""
        return self._context.workspace.root / "ray" / self._token

    def free(self) -> bool:
        return len(self._tasks) < max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def busy(self) -> bool:
        return bool(self._tasks)

    def start(self, job: Job) -> None:
        context = self._context
        hello = Hello(sys.path, str(context.workspace.root), 1, uninstalled(context.registry))
        task = self._ray.remote(work).options(max_retries=RETRIES, **resources(job))
        task = task.remote(job.to_json(), json.dumps(asdict(hello)), context.suite, self._token, self._mailbox)
        self._tasks[task] = job

    def wait(self) -> list[JobEnd]:
        ray = self._ray
        if self._context.stop.asked() and not self._asked:
            self._asked = True
            ray.get(self._mailbox.stop.remote())
        ended, _ = ray.wait(list(self._tasks), num_returns=1, timeout=_POLL_SECONDS)
        for letter in ray.get(self._mailbox.take.remote()):
            self._hear(json.loads(letter))
        return [self._end(task) for task in ended]

    def _hear(self, message: dict[str, Any]) -> None:
        """Tell an event, or note on which node a job has begun."""
        if "begun" not in message:
            self._context.emit(read_event(message))
            return
        job, node = message["begun"], message["node"]
        if job in self._begun:
            self._context.emit(Notice(f"{job}: lost with node {self._begun[job]}, begun again on {node}"))
        self._begun[job] = node

    def _end(self, task: Any) -> JobEnd:
        """The end of a task's job. Its log is written here, where the node does not see the workspace."""
        job = self._tasks.pop(task)
        self._begun.pop(job.name, None)
        try:
            answer = json.loads(self._ray.get(task))
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            return JobEnd(job.name, "killed", f"Ray lost it {RETRIES + 1} times: {type(error).__name__}: {first}")
        if answer["log"] is not None:
            write_whole(self._context.workspace.log(self._context.suite, job.name), answer["log"])
        return JobEnd(**answer["end"])


def resources(job: Job) -> dict[str, Any]:
    """The resources that a job's task asks of its node, by Ray's names."""
    request: dict[str, Any] = {"num_cpus": job.suite.compute.threads or 1}
    if job.conditions.device == "cuda":
        request["num_gpus"] = 1
    if job.suite.limits.memory is not None:
        request["memory"] = job.suite.limits.memory
    return request


def work(job_text: str, hello_text: str, suite: str, token: str, mailbox: Any) -> str:
    """Do a job on this node, as a Ray task; returns its end and its log as JSON."""
    import ray

    job, hello = Job.from_json(job_text), Hello(**json.loads(hello_text))
    sys.path[:0] = [entry for entry in hello.path if entry not in sys.path]
    node = ray.get_runtime_context().get_node_id()[:8]
    ray.get(mailbox.put.remote(json.dumps({"begun": job.name, "node": node})))
    shared = (Path(hello.workspace) / "ray" / token).is_file()
    root = Path(hello.workspace) if shared else Path(tempfile.gettempdir()) / f"nsbench-{token}-{node}"
    workspace, store = Workspace(root), Store(Workspace(root).store)

    def tell(event: Event) -> None:
        mailbox.put.remote(json.dumps(event_message(event)))

    keys = [] if shared else [artifact.key for artifact in job.work.artifacts()]
    for key in keys:
        if not store.has(key) and (parcel := ray.get(mailbox.fetch.remote(key.kind, key.digest))) is not None:
            unpack(store.root, key.kind, key.digest, parcel)
    present = {key.digest for key in keys if store.has(key)}
    context = RunContext(suite, workspace, registry_of(hello), tell, Stop())
    end = _in_a_worker(context, job, lambda: bool(ray.get(mailbox.stopping.remote())))
    for key in keys:
        parcel = pack(store.root, key.kind, key.digest) if key.digest not in present else None
        if parcel is not None:
            ray.get(mailbox.deliver.remote(key.kind, key.digest, parcel))
    log = workspace.log(suite, job.name)
    text = None if shared or not log.exists() else log.read_text(encoding="utf-8", errors="replace")
    return json.dumps({"end": asdict(end), "log": text})


def _in_a_worker(context: RunContext, job: Job, stopping: Any) -> JobEnd:
    """Do one job in a worker process, and return its end. Costs are marked as measured beside a full node's jobs."""
    ends: list[JobEnd] = []
    with Local(context, company=cores()) as crew:
        crew.start(job)
        while crew.busy():
            if stopping():
                context.stop.ask()
            ends += crew.wait()
    return ends[0]
