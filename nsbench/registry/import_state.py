"""The state of a process that a plugin's import must leave alone: other components compute with it."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

State = dict[str, Any]

_FRESH: State = {
    "NumPy's handling of errors": {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
    "torch's defaults": ("torch.float32", "highest", False, True, "cpu"),
}
"""The state of libraries as their own import leaves it, for those that were imported meanwhile."""


def state(own_path: str = "") -> State:
    """The state now, by the words for each part. own_path: a folder that may come to the module search path."""
    values: State = {
        "environment variables": dict(os.environ),
        "the working directory": _folder(),
        "the filters of warnings": _filters(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "the module search path": [folder for folder in sys.path if folder != own_path],
        "Python's random numbers": random.getstate(),
    }
    if numpy := sys.modules.get("numpy"):
        generator = numpy.random.get_state(legacy=False)["state"]
        values["NumPy's handling of errors"] = numpy.geterr()
        values["NumPy's global random numbers"] = (generator["key"].tobytes(), generator["pos"])
    if (torch := sys.modules.get("torch")) and hasattr(torch, "get_default_device"):
        values["torch's defaults"] = (
            str(torch.get_default_dtype()),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(),
            str(torch.get_default_device()),
        )
    return values


def changes(before: State, after: State) -> list[str]:
    """The parts that differ, in words; of environment variables their names."""
    before = _FRESH | before
    changed = [name for name, value in after.items() if value != before.get(name, value)]
    return [_with_names(name, before[name], after[name]) for name in changed]


def _with_names(part: str, before: Any, after: Any) -> str:
    if part != "environment variables":
        return part
    return f"{part} ({', '.join(_different(before, after))})"


def _different(before: dict[str, str], after: dict[str, str]) -> Iterable[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def _filters() -> list[tuple[Any, ...]]:
    """The filters that are not about one message or one module: libraries add such of their own."""
    return [entry for entry in warnings.filters if entry[1] is None and entry[3] is None]
