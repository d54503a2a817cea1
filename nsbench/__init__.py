"""nsbench: a benchmark of probabilistic neural simulators.

``import nsbench`` is cheap; what it offers is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsbench.components.component import Simulator, SimulatorSpec
    from nsbench.registry.hooks import hookimpl
    from nsbench.registry.registry import load

__all__ = ["API_VERSION", "Simulator", "SimulatorSpec", "hookimpl", "load"]
__version__ = "0.1.0"

API_VERSION = 1
"""The version of the plugin API: hooks, base classes and specs. A plugin may ask for it: ``nsbench_api = 1``."""

HOMES = {
    "Simulator": "nsbench.components.component",
    "SimulatorSpec": "nsbench.components.component",
    "hookimpl": "nsbench.registry.hooks",
    "load": "nsbench.registry.registry",
}
"""Name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(HOMES[name]), name)
    raise AttributeError(f"module 'nsbench' has no attribute {name!r}")
