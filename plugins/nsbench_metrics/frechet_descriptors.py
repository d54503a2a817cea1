"""Fréchet distance on descriptors of shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate
from nsbench_metrics.shared.comparison import sufficient_ensembles
from nsbench_metrics.shared.descriptors import DESCRIPTORS, describe
from nsbench_metrics.shared.features import deviations
from nsbench_metrics.shared.frechet import gaussian_frechet, weighted_moments
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class FrechetParams(Params):
    """descriptors: names, all if not given; joint: beside the parameters that vary."""

    descriptors: list[str] | None = Field(None, min_length=1)
    joint: bool = True
    resamples: int = fields.resamples()


class FrechetDescriptors(Metric):
    """Squared Fréchet distance on shape descriptors of the final state, in standard deviations of the truth.

    With `joint`, the parameters that vary stand beside the descriptors, so that a simulator that ignores them
    is seen, as far as the dependence is linear. Not proper: only means and covariances count, and finite samples
    raise it. Items: difference of means by descriptor, in standard deviations.
    """

    direction = "min"
    unit = "std²"
    zero = "climatology"
    params: FrechetParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        names = self.params.descriptors
        if unknown := [name for name in names or () if name not in DESCRIPTORS]:
            raise NotApplicable(f"no descriptor {unknown[0]!r}; there are {', '.join(DESCRIPTORS)}")
        if len(reference) < 2:
            raise NotApplicable("needs at least two test cases")
        x, y = (self._features(t, names) for t in (reference, evidence.rollouts))
        scale = deviations(x)
        x, y = x / scale, y / scale
        ensemble = np.empty(len(reference), np.int64)  # of each case
        groups = sufficient_ensembles(evidence, reference, members=1)
        ensembles = [cases for group in groups for cases in group.cases]
        for k, cases in enumerate(ensembles):
            ensemble[cases] = k

        def distance(times: NDArray[np.int64]) -> float:
            truths = times[ensemble].astype(np.float64)
            rollouts = np.repeat(truths, evidence.members)
            return gaussian_frechet(*weighted_moments(x, truths), *weighted_moments(y, rollouts))

        value, interval = estimate(distance, len(ensembles), self.params.resamples, rng, distance=True)
        return Score(value, interval, (y.mean(axis=0) - x.mean(axis=0))[: len(names or DESCRIPTORS)])

    def _features(self, trajectories: Trajectories, names: list[str] | None) -> Array:
        """The descriptors, and beside them the parameters that vary, float64[n, d]."""
        described = describe(trajectories, names)
        if not self.params.joint:
            return described
        return np.concatenate([described, trajectories.params[:, list(trajectories.domain.varying)]], axis=1)


SPEC = metric_spec(
    FrechetDescriptors, FrechetParams, "Fréchet distance on descriptors of shape: means and covariances; not proper"
)
