"""nsbench: a benchmark of probabilistic neural simulators.

    import nsbench as ns

Everything public is here: what plugins are written against, and what a notebook needs. ``import nsbench`` is cheap; a
name is imported when it is first used. docs/plugins.md describes each name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsbench.components.component import Params, Unavailable
    from nsbench.components.dataset import Dataset, DatasetSpec, Reading, SimulatorReference, UnreadableData
    from nsbench.components.events import Event, TrialFinished
    from nsbench.components.evidence import Cost, Evidence, LatentUse, Likelihood
    from nsbench.components.format import Format, FormatSpec, Header, Origin, naming
    from nsbench.components.metric import Metric, MetricSpec, NotApplicable, Score
    from nsbench.components.protocol import Conditions
    from nsbench.components.simulator import Diverged, FitContext, Simulator, SimulatorSpec
    from nsbench.errors import Refusal
    from nsbench.neural.simulator import NeuralSimulator
    from nsbench.neural.states.space import StateSpace
    from nsbench.outcomes.frame import results
    from nsbench.registry.hooks import API_VERSION, hookimpl
    from nsbench.registry.loading import load
    from nsbench.running.run import run
    from nsbench.suite.session import Session, open_session
    from nsbench.testing.check import conformance
    from nsbench.trajectories.base import Trajectories
    from nsbench.trajectories.domain import Domain, Observable, Parameter
    from nsbench.trajectories.ensembles import ensembles
    from nsbench.trajectories.fields import FieldTrajectories
    from nsbench.trajectories.growth import GrowthTrajectories
    from nsbench.trajectories.labels import LabelTrajectories
    from nsbench.trajectories.lattices import attached_neighbours

__version__ = "0.1.0"

HOMES = {
    "API_VERSION": "nsbench.registry.hooks",
    "Conditions": "nsbench.components.protocol",
    "Cost": "nsbench.components.evidence",
    "Dataset": "nsbench.components.dataset",
    "DatasetSpec": "nsbench.components.dataset",
    "Diverged": "nsbench.components.simulator",
    "Domain": "nsbench.trajectories.domain",
    "Event": "nsbench.components.events",
    "Evidence": "nsbench.components.evidence",
    "FieldTrajectories": "nsbench.trajectories.fields",
    "FitContext": "nsbench.components.simulator",
    "Format": "nsbench.components.format",
    "FormatSpec": "nsbench.components.format",
    "GrowthTrajectories": "nsbench.trajectories.growth",
    "Header": "nsbench.components.format",
    "LabelTrajectories": "nsbench.trajectories.labels",
    "LatentUse": "nsbench.components.evidence",
    "Likelihood": "nsbench.components.evidence",
    "Metric": "nsbench.components.metric",
    "MetricSpec": "nsbench.components.metric",
    "NeuralSimulator": "nsbench.neural.simulator",
    "NotApplicable": "nsbench.components.metric",
    "Observable": "nsbench.trajectories.domain",
    "Origin": "nsbench.components.format",
    "Parameter": "nsbench.trajectories.domain",
    "Params": "nsbench.components.component",
    "Reading": "nsbench.components.dataset",
    "Refusal": "nsbench.errors",
    "Score": "nsbench.components.metric",
    "Session": "nsbench.suite.session",
    "Simulator": "nsbench.components.simulator",
    "SimulatorReference": "nsbench.components.dataset",
    "SimulatorSpec": "nsbench.components.simulator",
    "StateSpace": "nsbench.neural.states.space",
    "Trajectories": "nsbench.trajectories.base",
    "TrialFinished": "nsbench.components.events",
    "Unavailable": "nsbench.components.component",
    "UnreadableData": "nsbench.components.dataset",
    "attached_neighbours": "nsbench.trajectories.lattices",
    "conformance": "nsbench.testing.check",
    "ensembles": "nsbench.trajectories.ensembles",
    "hookimpl": "nsbench.registry.hooks",
    "load": "nsbench.registry.loading",
    "naming": "nsbench.components.format",
    "open_session": "nsbench.suite.session",
    "results": "nsbench.outcomes.frame",
    "run": "nsbench.running.run",
}
"""Name -> the module that defines it. Digests of code follow a name to that module, so no key depends on this table."""

__all__ = [
    "API_VERSION",
    "Conditions",
    "Cost",
    "Dataset",
    "DatasetSpec",
    "Diverged",
    "Domain",
    "Event",
    "Evidence",
    "FieldTrajectories",
    "FitContext",
    "Format",
    "FormatSpec",
    "GrowthTrajectories",
    "Header",
    "LabelTrajectories",
    "LatentUse",
    "Likelihood",
    "Metric",
    "MetricSpec",
    "NeuralSimulator",
    "NotApplicable",
    "Observable",
    "Origin",
    "Parameter",
    "Params",
    "Reading",
    "Refusal",
    "Score",
    "Session",
    "Simulator",
    "SimulatorReference",
    "SimulatorSpec",
    "StateSpace",
    "Trajectories",
    "TrialFinished",
    "Unavailable",
    "UnreadableData",
    "attached_neighbours",
    "conformance",
    "ensembles",
    "hookimpl",
    "load",
    "naming",
    "open_session",
    "results",
    "run",
]


def __getattr__(name: str) -> Any:
    """A public name, imported from the module that defines it when it is first used."""
    if name not in HOMES:
        raise AttributeError(f"module 'nsbench' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
