"""A base class for metrics that are a mean over ensembles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared.bootstrap import Counts, Interval, estimate, mean
from nsbench_metrics.shared.comparison import Comparison, Rule, compare


@dataclass(frozen=True, eq=False)
class ByEnsemble:
    """A number of each ensemble, and what goes with it into the score.

    values: float64[E], float64[E, L] or float64[E, L, C], each ensemble's mean over its truths, at each lead time, of
    each channel.
    extras, figure, unit, by_lead: as in Score; the number of members joins the extras. Values of each lead time are a
    curve by themselves.
    """

    values: NDArray[np.float64]
    extras: dict[str, float] = field(default_factory=dict)
    figure: Callable[[], bytes] | None = None
    unit: str = ""
    by_lead: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def by_channel(comparison: Comparison, rule: Rule) -> ByEnsemble:
    """A rule's value of each channel, in the channel's unit; the mean of each channel is an extra if it has several."""
    values, channels = comparison.by_channel(rule), comparison.reference.domain.channels
    if len(channels) == 1:
        return ByEnsemble(values[:, :, 0])
    means = np.average(values.mean(axis=1), axis=0, weights=comparison.weights)
    return ByEnsemble(values, {name: float(mean) for name, mean in zip(channels, means, strict=True)})


class EnsembleMean(Metric):
    """The mean over truths, and lead times, of a number that each ensemble has.

    A metric says only what that number is, in `by_ensemble`: value, interval over ensembles, items by ensemble, label
    and the number of members follow. Its parameters have `resamples`, unless it has an `estimate` of its own.
    least_members, least_truths: simulated members and truths of each ensemble that it needs.
    """

    items_by = "ensemble"
    least_members: ClassVar[int] = 2
    least_truths: ClassVar[int] = 1

    @abstractmethod
    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        """The number of each ensemble. May raise NotApplicable."""

    def estimate(
        self, values: NDArray[np.float64], weights: Counts, rng: np.random.Generator
    ) -> tuple[float, Interval | None]:
        """(value, 95 % interval) of a number of each ensemble, float64[E], with weights int64[E]: by bootstrap."""
        return estimate(mean(values, weights), len(values), self.params.resamples, rng)

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference, members=self.least_members, truths=self.least_truths)
        result = self.by_ensemble(comparison)
        values = result.values.reshape(len(result.values), -1).mean(axis=1)
        value, interval = self.estimate(values, comparison.weights, rng)
        extras = {"members": float(comparison.members[0])} | result.extras
        curve = {} if result.values.ndim == 1 else {"value": _over_ensembles(result.values, comparison.weights)}
        return Score(
            value,
            interval,
            result.values,
            extras,
            result.figure,
            comparison.label,
            result.unit,
            by_lead=curve | result.by_lead,
        )


def _over_ensembles(values: NDArray[np.float64], weights: Counts) -> NDArray[np.float64]:
    """The mean at each lead time, float64[L], of float64[E, L, ...]."""
    by_lead = values.reshape(*values.shape[:2], -1).mean(axis=2)
    return np.asarray(np.average(by_lead, axis=0, weights=weights))
