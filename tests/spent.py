"""The time and memory that an action takes, in a child process that is ended when it takes too much."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 1 << 30


@dataclass(frozen=True)
class Spent:
    """seconds: of processor; megabytes: the most that were held, beyond what was held before; said: the error, if any."""

    seconds: float
    megabytes: float
    said: str


def spent(action: Callable[..., object], *arguments: Any, seconds: float = 20, memory: int = 4 * GIB) -> Spent:
    """What an action takes. One that takes more processor time, or waits for six times as long, "hangs"."""
    reader, writer = os.pipe()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # free memory of this process would be used by the child, and not be seen
    pid = os.fork()
    if pid == 0:
        try:
            _act(writer, seconds, memory, action, arguments)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        ended = select.select([told], [], [], 6 * seconds)[0]  # other programs may keep it waiting
        if not ended:
            os.kill(pid, signal.SIGKILL)
        text = told.read()
    status = os.waitpid(pid, 0)[1]
    hangs = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU)
    return Spent(*json.loads(text)) if text else Spent(seconds, 0, "hangs" if hangs else "died")


def _act(writer: int, seconds: float, memory: int, action: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before, start, said = _peak(), time.process_time(), ""
    try:
        action(*arguments)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"[:3000]
    figures = [time.process_time() - start, (_peak() - before) / 1e6, said]
    os.write(writer, json.dumps(figures).encode())


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
