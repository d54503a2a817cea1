"""The spec of a metric, made from its classes, so that no name is written twice."""

from __future__ import annotations

from nsbench.components.component import Params
from nsbench.components.metric import Metric, MetricSpec


def metric_spec(metric: type[Metric], params: type[Params], summary: str) -> MetricSpec:
    """The spec of a metric that is named as the file in which its class stands. summary: a line for `nsbench list`."""
    name = metric.__module__.rpartition(".")[2]
    target, model = (f"{cls.__module__}:{cls.__qualname__}" for cls in (metric, params))
    return MetricSpec(name, target, model, summary)
