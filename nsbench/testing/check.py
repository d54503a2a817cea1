"""The conformance suite of a component, by kind and name; as a report, and as a test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from nsbench.components.dataset import DatasetSpec, UnreadableData
from nsbench.components.format import FormatSpec
from nsbench.components.metric import MetricSpec
from nsbench.components.simulator import SimulatorSpec
from nsbench.errors import Refusal
from nsbench.registry.loading import full_params, import_object
from nsbench.registry.registry import BrokenComponent, Kind, Registry, UnknownComponent, installed
from nsbench.testing.coverage import what_it_opens
from nsbench.testing.findings import Report, Tell, run_checks
from nsbench.testing.small_data import Data, Source


class CannotCheck(Refusal):
    """A refusal to check a component: its name is not there, or it does not take these parameters."""


def conformance(
    kind: Kind,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    on: str | None = None,
    on_params: Mapping[str, Any] | None = None,
    transitions: int = 1024,
) -> Callable[[], None]:
    """A test that a component conforms, for pytest or any other runner:

        test_conformance = conformance("simulator", "mine")

    It fails with all findings; notes do not count. See `check` for the arguments.
    """

    def test_conformance() -> None:
        report = check(kind, name, params=params, on=on, on_params=on_params, transitions=transitions)
        if not report.conforms:
            raise AssertionError("\n".join(report.lines()))

    return test_conformance


def check(
    kind: Kind,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    on: str | None = None,
    on_params: Mapping[str, Any] | None = None,
    transitions: int = 1024,
    registry: Registry | None = None,
    tell: Tell = lambda line: None,
) -> Report:
    """Check a component.

    params       its parameters; the defaults, and a dataset's own small ones, if not given.
    on           the dataset on which a simulator or format is checked; if not given, the one whose ground truth it
                 is, else the growth of nsbench.testing. on_params: that dataset's parameters.
    transitions  the budget of a short fit.
    registry     where names are looked up; what is installed if None.
    tell         is called with each line of the report as it comes.

    Raises CannotCheck.
    """
    registry = registry or installed()
    try:
        return _check(registry, kind, name, dict(params or {}), on, on_params, transitions, tell)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise CannotCheck(f"{kind} {name!r} does not take these parameters: {'; '.join(faults)}") from error
    except (UnknownComponent, BrokenComponent, UnreadableData) as error:
        raise CannotCheck(str(error)) from error


def _check(
    registry: Registry,
    kind: Kind,
    name: str,
    params: dict[str, Any],
    on: str | None,
    on_params: Mapping[str, Any] | None,
    transitions: int,
    tell: Tell,
) -> Report:
    spec = registry.spec(kind, name)
    module = registry.plugin_of(kind, name).module.partition(":")[0]
    if kind == "dataset":
        from nsbench.testing.datasets import DATASET_CHECKS, DatasetSubject

        assert isinstance(spec, DatasetSpec)
        params = full_params(spec, spec.small | params)
        with what_it_opens(registry, kind, spec, params) as opens:
            import_object(spec.target)
            dataset = DatasetSubject(registry, spec, params, module)
            return run_checks(f"dataset {name} ({spec.target})", dataset, (*DATASET_CHECKS, opens), tell)
    params = full_params(spec, params)
    if kind == "metric":
        from nsbench.testing.metrics import METRIC_CHECKS, MetricSubject

        with what_it_opens(registry, kind, spec, params) as opens:
            import_object(spec.target)
            metric = MetricSubject(registry, cast(MetricSpec, spec), params)
            return run_checks(f"metric {name} ({spec.target})", metric, (*METRIC_CHECKS, opens), tell)
    data = Data(_source(registry, name if kind == "simulator" else "", on, on_params))
    _require_usable(data)
    about = f"{kind} {name} ({spec.target}), on {data.source}"
    if kind == "format":
        from nsbench.testing.formats import FORMAT_CHECKS, FormatSubject

        import_object(spec.target)
        return run_checks(about, FormatSubject(registry, cast(FormatSpec, spec), params, data), FORMAT_CHECKS, tell)
    from nsbench.testing.likelihoods import LIKELIHOOD_CHECKS
    from nsbench.testing.simulator_subject import SimulatorSubject
    from nsbench.testing.simulators import COST_CHECKS, SIMULATOR_CHECKS

    with (
        tempfile.TemporaryDirectory(prefix="nsbench-check-") as folder,
        what_it_opens(registry, kind, spec, params, data.source) as opens,
    ):
        import_object(spec.target)
        subject = SimulatorSubject(registry, cast(SimulatorSpec, spec), params, data, Path(folder), module, transitions)
        return run_checks(about, subject, (*SIMULATOR_CHECKS, *LIKELIHOOD_CHECKS, *COST_CHECKS, opens), tell)


def _require_usable(data: Data) -> None:
    """Make the data that is checked on. Raises CannotCheck, or UnreadableData."""
    try:
        _ = data.train, data.val, data.test, data.horizon
    except (UnreadableData, BrokenComponent, ValidationError):
        raise
    except Exception as error:
        raise CannotCheck(f"{data.source} cannot be made to check on: {type(error).__name__}: {error}") from error


def _source(registry: Registry, simulator: str, on: str | None, on_params: Mapping[str, Any] | None) -> Source:
    """The data to check on: the dataset asked for, else the one whose ground truth the simulator is, else growth."""
    if on is None:
        truths = [name for name in registry.names("dataset") if _truth_of(registry, name) == simulator]
        on = truths[0] if truths else None
    if on is None:
        return Source(params=dict(on_params or {}))
    spec = registry.spec("dataset", on)
    assert isinstance(spec, DatasetSpec)
    return Source.of(spec, full_params(spec, spec.small | dict(on_params or {})))


def _truth_of(registry: Registry, dataset: str) -> str | None:
    """The name of the simulator that is a dataset's ground truth; None if it has none."""
    claims = registry.providers("dataset", dataset)
    floor = cast(DatasetSpec, claims[0][1]).floor if claims else None
    return floor.name if floor else None
