"""nsbench: a benchmark of probabilistic neural simulators.

``import nsbench`` is cheap; what it offers is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsbench.components.simulator import Simulator, SimulatorSpec
    from nsbench.registry.hooks import API_VERSION, hookimpl
    from nsbench.registry.loading import load

__all__ = ["API_VERSION", "Simulator", "SimulatorSpec", "hookimpl", "load"]
__version__ = "0.1.0"

HOMES = {
    "API_VERSION": "nsbench.registry.hooks",
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
