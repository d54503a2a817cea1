"""A plugin that provides nothing and writes down what happens in a run, and when, for benchmarks/first_hour.py.

Each event is a line of JSON in the file NSBENCH_TIMELINE: seconds of a clock that all processes share, the event's
class, and its trial, kind, what, hit, done and total where it has them.
"""

from __future__ import annotations

import json
import os
import time

from nsbench import hookimpl
from nsbench.components.events import Event, TrialFinished

_FACTS = ("trial", "kind", "key", "what", "hit", "done", "total")


@hookimpl
def nsbench_event(event: Event) -> None:
    if isinstance(event, TrialFinished):
        facts = {"trial": event.result.trial, "status": event.result.status}
    else:
        facts = {name: getattr(event, name) for name in _FACTS if hasattr(event, name)}
    with open(os.environ["NSBENCH_TIMELINE"], "a", encoding="utf-8") as file:
        file.write(json.dumps({"at": time.monotonic(), "event": type(event).__name__, **facts}) + "\n")
