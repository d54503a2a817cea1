"""A base class for distances between the distributions of truths and of rollouts, at equal parameters.

Such a metric is a mean over cells of like trajectories, as the EWD is: over ensembles of equal parameters, or over
bins of the conditioning parameter. A distance between all truths and all rollouts at once would not see whether a
simulator heeds its parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.bins import equal_bins
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate, mean
from nsbench_metrics.shared.comparison import members_label, sufficient_ensembles
from nsbench_metrics.shared.features import Space, feature_pair

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class DistanceParams(Params):
    """The features that are compared, and the trajectories among which they are.

    space  observables: of the final state; curves: observables at all lead times; descriptors: of the final
           state's shape; fields: the final state itself.
    by     ensemble: within ensembles of equal parameters, which must have two truths at least; condition:
           within bins of the conditioning parameter.
    """

    space: Space = "curves"
    by: Literal["ensemble", "condition"] = "ensemble"
    bins: int = fields.bins()
    resamples: int = fields.resamples()


@dataclass(frozen=True, eq=False)
class Cell:
    """Truths and rollouts that are compared: indices int64[a] and int64[a · members]."""

    cases: Index
    rollouts: Index


Distance = Callable[[Array, Array], float]
"""(truths float64[a, d], rollouts float64[a · members, d]) -> their distance."""


class CellDistance(Metric):
    """The mean over cells of a distance between the features of truths and of rollouts.

    A metric says only which distance, in `distance`: value, interval, items by cell and the label follow.
    """

    params: DistanceParams

    @property
    def items_by(self) -> str:
        return "ensemble" if self.params.by == "ensemble" else "bin"

    @abstractmethod
    def distance(self, truth: Array, cells: list[Cell], rng: np.random.Generator) -> tuple[Distance, dict[str, float]]:
        """(distance, extras) for features of truths float64[n, d]; what the distance depends on is an extra."""

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        cells = like_cells(evidence, reference, self.params)
        truth, simulated = feature_pair(evidence, reference, self.params.space)
        distance, extras = self.distance(truth, cells, rng)
        values = np.array([distance(truth[cell.cases], simulated[cell.rollouts]) for cell in cells])
        value, interval = estimate(mean(values), len(values), self.params.resamples, rng)
        sizes = [len(cell.rollouts) for cell in cells]
        extras = extras | {"cells": float(len(cells)), "members": float(min(sizes))}
        by_ensemble = self.params.by == "ensemble"
        label = members_label((min(sizes), max(sizes))) if by_ensemble else f"{len(cells)} bins"
        return Score(value, interval, values, extras, label=label)


def like_cells(evidence: Evidence, reference: Trajectories, params: DistanceParams) -> list[Cell]:
    """The cells that the parameters ask for. Raises NotApplicable for ensembles of a single truth."""
    if params.by == "ensemble":
        groups = sufficient_ensembles(evidence, reference, truths=2)
        return [Cell(*pair) for group in groups for pair in zip(group.cases, group.rollouts, strict=True)]
    domain, members = reference.domain, np.arange(evidence.members)
    _, bin_of = equal_bins(reference.params[:, domain.column(domain.condition)], params.bins)
    parts = [np.flatnonzero(bin_of == b) for b in range(params.bins)]
    return [Cell(p, (p[:, None] * evidence.members + members).ravel()) for p in parts if len(p) > 1]
