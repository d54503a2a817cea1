"""The messages between a run and its workers: JSON, a message a line. Nothing is pickled."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import asdict, dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nsbench.components import events
from nsbench.components.events import Event
from nsbench.registry import trial_import
from nsbench.registry.imports import packages_of, top_of
from nsbench.registry.registry import Registry, installed
from nsbench.running.workers.job import JobEnd

Message = dict[str, Any]


class Lines:
    """A socket as lines of JSON. Sending is safe from several threads."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._rest = b""
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            self._channel.sendall(line)

    def receive(self) -> list[Message]:
        """Wait for messages, and return those that have come. Raises EOFError when the socket was closed."""
        data = self._channel.recv(1 << 16)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Hello:
    """The first message to a worker.

    path: the module search path. workspace: its folder. parallel: how many jobs run at once. plugins: (name, value) of
    entry points that are not installed. verdicts: those of the run's trial imports. postpones: costs are left for a job
    that has the run to itself.
    """

    path: list[str]
    workspace: str
    parallel: int
    plugins: list[list[str]] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=trial_import.verdicts)
    postpones: bool = False

    def to_json(self) -> Message:
        return asdict(self)


def uninstalled(registry: Registry) -> list[list[str]]:
    """The entry points of a registry that a new process would not find by itself, as (name, value)."""
    return [[plugin.name, plugin.module] for plugin in registry.plugins if plugin.origin == "not installed"]


def registry_of(hello: Hello) -> Registry:
    """A registry of the installed plugins and of the entry points that a run names; none is tried a second time."""
    trial_import.take_over(hello.verdicts)
    if not hello.plugins:
        return installed()
    extra = [EntryPoint(name, value, "nsbench") for name, value in hello.plugins]
    return Registry([*entry_points(group="nsbench"), *extra])


def plugin_packages(plugins: list[list[str]]) -> set[str]:
    """The top-level packages of the installed plugins and of these entry points, (name, value); none is imported."""
    points = [*entry_points(group="nsbench"), *(EntryPoint(name, value, "nsbench") for name, value in plugins)]
    own = {top_of(point.value) for point in points}
    distributions = {point.dist.name for point in points if point.dist is not None}
    return own | {name for d in distributions for name in packages_of(d)}


def event_message(event: Event) -> Message:
    """An event as a message, for `read_event`."""
    return {"event": type(event).__name__, **asdict(event)}


def read_event(message: Message) -> Event:
    """The event in a message of `event_message`."""
    fields = dict(message)
    kind = getattr(events, fields.pop("event"))
    event: Event = kind(**fields)
    return event


def end_message(end: JobEnd) -> Message:
    """A job's end as a message, for `read_end`."""
    return {"end": asdict(end)}


def read_end(message: Message) -> JobEnd:
    """The job's end in a message of `end_message`."""
    return JobEnd(**message["end"] | {"changed": tuple(message["end"]["changed"])})
