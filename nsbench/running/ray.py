"""The Ray executor: a cluster does the work, the one at `--address` or else one that the run starts for itself.

A job is a Ray task (ray_task.py). On its node it runs as it would here, in a worker process with its limits; its
messages go to a mailbox on the run's node. A task that is lost with its node is begun again by Ray; its fit goes on
from its checkpoint where the workspace is shared. Only text and bytes are handed to Ray.
"""

from __future__ import annotations

import json
import socket
import sys
import uuid
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from nsbench.components.events import Notice
from nsbench.running.executor import RunContext
from nsbench.running.ray_connection import joined_cluster, own_cluster
from nsbench.running.ray_task import Errand, Mailbox, work
from nsbench.running.workers.job import Job, JobEnd
from nsbench.running.workers.messages import Hello, read_end, read_event, uninstalled
from nsbench.store.files import write_whole
from nsbench.store.node import identity_of

RETRIES = 3
"""How often Ray begins a task again that it lost with its node."""

_POLL_SECONDS = 0.2

_NO_TOKEN = (
    "the Ray cluster at {} asks for no token: whoever reaches its network can run code as you there; "
    "docs/scaling.md says how a cluster is started with one"
)


class RayCluster:
    """An executor of as many jobs at once as a cluster has room for."""

    def __init__(self, context: RunContext, address: str | None = None, node_folder: str = "") -> None:
        """address: of the cluster; None starts one here, for this run alone.

        node_folder: where nodes that do not see the workspace keep their own; "" for their temporary folders.
        """
        self._context, self._address = context, None if address == "local" else address
        workspace = context.workspace
        origin = f"{socket.gethostname()}:{workspace.root}"
        self._errand = Errand(context.suite, uuid.uuid4().hex, identity_of(workspace), origin, node_folder)
        self._tasks: dict[Any, Job] = {}
        self._begun: dict[str, str] = {}
        self._asked = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            cluster = own_cluster() if self._address is None else joined_cluster(self._address)
            self._ray = ray = stack.enter_context(cluster)
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            actor = ray.remote(num_cpus=0)(Mailbox).options(scheduling_strategy=here)
            self._mailbox = actor.remote(str(self._context.workspace.root), self._context.suite)
            stack.callback(ray.kill, self._mailbox)
            if not ray.get(self._mailbox.asks_for_token.remote()):
                self._context.emit(Notice(_NO_TOKEN.format(self._address)))
            sign = self._errand.sign(self._context.workspace.root)
            write_whole(sign, "this file is how a node finds out whether it sees this workspace")
            stack.callback(sign.unlink, missing_ok=True)
            self._leaving = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._leaving:
            for task in self._tasks:
                self._ray.cancel(task, force=True)

    def free(self) -> bool:
        return len(self._tasks) < max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def busy(self) -> bool:
        return bool(self._tasks)

    def start(self, job: Job) -> None:
        context = self._context
        hello = Hello(sys.path, str(context.workspace.root), 1, uninstalled(context.registry))
        task = self._ray.remote(work).options(max_retries=RETRIES, **resources(job))
        texts = job.to_json(), json.dumps(asdict(hello)), json.dumps(asdict(self._errand))
        self._tasks[task.remote(*texts, self._mailbox)] = job

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
        """The end of a task's job."""
        name = self._tasks.pop(task).name
        self._begun.pop(name, None)
        try:
            return read_end({"end": json.loads(self._ray.get(task))})
        except self._ray.exceptions.RayError as error:
            return lost(name, error, self._ray.exceptions)


def lost(job: str, error: Exception, errors: Any) -> JobEnd:
    """The end of a job whose task returned none. errors: Ray's exceptions."""
    if isinstance(error, errors.RayTaskError):  # the task's own exception: Ray does not begin it again
        return JobEnd(job, "failed", f"{type(error.cause).__name__}: {error.cause}", f"{error}\n")
    text = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    if isinstance(error, errors.OutOfMemoryError):
        return JobEnd(job, "oom", text)
    if isinstance(error, errors.WorkerCrashedError | errors.NodeDiedError | errors.LocalRayletDiedError):
        return JobEnd(job, "killed", f"Ray lost it {RETRIES + 1} times: {text}")
    return JobEnd(job, "failed", text)


def resources(job: Job) -> dict[str, Any]:
    """The resources that a job's task asks of its node, by Ray's names."""
    request: dict[str, Any] = {"num_cpus": job.suite.compute.threads or 1}
    if job.conditions.device == "cuda":
        request["num_gpus"] = 1
    if job.suite.limits.memory is not None:
        request["memory"] = job.suite.limits.memory
    return request
