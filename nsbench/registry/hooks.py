"""The hooks that a plugin may implement, one by one.

Hooks say what exists; they do no work. A spec names its class as "module:Class", so that listing and
planning import neither torch nor MLflow. Implement a hook with ``nsbench.hookimpl`` in the module or
object that the plugin's entry point, group ``nsbench``, names.
"""

from __future__ import annotations

import pluggy

from nsbench.components.dataset import DatasetSpec
from nsbench.components.events import Event
from nsbench.components.format import FormatSpec
from nsbench.components.metric import MetricSpec
from nsbench.components.simulator import SimulatorSpec

API_VERSION = 1
"""The version of the plugin API: hooks, base classes and specs. A plugin may ask for it: ``nsbench_api = 1``."""

hookspec = pluggy.HookspecMarker("nsbench")
hookimpl = pluggy.HookimplMarker("nsbench")


@hookspec
def nsbench_datasets() -> list[DatasetSpec]:  # type: ignore[empty-body]
    """The datasets that this plugin provides."""


@hookspec
def nsbench_simulators() -> list[SimulatorSpec]:  # type: ignore[empty-body]
    """The simulators that this plugin provides."""


@hookspec
def nsbench_metrics() -> list[MetricSpec]:  # type: ignore[empty-body]
    """The metrics that this plugin provides."""


@hookspec
def nsbench_formats() -> list[FormatSpec]:  # type: ignore[empty-body]
    """The file formats that this plugin reads and writes."""


@hookspec
def nsbench_event(event: Event) -> None:
    """An event of a run has happened: see ``nsbench.components.events``. Called in the process of the run, in order.

    A listener that raises is reported, hears no more of the run, and harms nothing; return quickly, the run waits.
    """
