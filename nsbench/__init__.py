"""nsbench: a benchmark of probabilistic neural simulators.

``import nsbench`` is cheap; what it offers is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsbench.hookspecs import hookimpl
    from nsbench.registry import load

__all__ = ["API_VERSION", "hookimpl", "load"]
__version__ = "0.1.0"

API_VERSION = 1
"""The version of the plugin API: hooks, base classes and specs. A plugin may ask for it: ``nsbench_api = 1``."""


def __getattr__(name: str) -> Any:
    if name == "hookimpl":
        from nsbench.hookspecs import hookimpl

        return hookimpl
    if name == "load":
        from nsbench.registry import load

        return load
    raise AttributeError(f"module 'nsbench' has no attribute {name!r}")
