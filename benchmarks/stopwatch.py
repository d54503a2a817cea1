"""A plugin that provides nothing and clocks everything: seconds spent in components' own methods, by process.

Importing it puts a clock around every public method of every component that the stages make. Calls within calls
count once. The seconds of each process lie in a file of the folder NSBENCH_STOPWATCH.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nsbench.registry.loading import build
from nsbench.stages import simulate, workshop

CLOCKED = ("prepare", "part", "fit", "rollout", "log_likelihood", "latent_kl", "flops", "save", "load", "score")


class Clock:
    """Seconds in components, and seconds spent importing and building them."""

    def __init__(self, path: Path) -> None:
        self.path, self.depth, self.own, self.building = path, 0, 0.0, 0.0

    def around(self, method: Callable[..., Any], account: str) -> Callable[..., Any]:
        def clocked(*arguments: Any, **named: Any) -> Any:
            if self.depth:
                return method(*arguments, **named)
            self.depth, before = 1, time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                self.depth = 0
                setattr(self, account, getattr(self, account) + time.perf_counter() - before)
                self.path.write_text(f"{self.own} {self.building}")

        return clocked

    def build(self, *arguments: Any) -> Any:
        component = build(*arguments)
        for name in CLOCKED:
            if hasattr(component, name):
                setattr(component, name, self.around(getattr(component, name), "own"))
        return component


if "NSBENCH_STOPWATCH" in os.environ:
    clock = Clock(Path(os.environ["NSBENCH_STOPWATCH"]) / str(os.getpid()))
    workshop.build = simulate.build = clock.around(clock.build, "building")
