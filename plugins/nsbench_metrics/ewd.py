"""Expected Wasserstein distance between the shapes of true and of simulated crystals, at like parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.intervals import bootstrap_interval
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.bins import equal_bins
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.descriptors import DESCRIPTORS, describe
from nsbench_metrics.shared.features import deviations
from nsbench_metrics.shared.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.shared.observables import common_unit
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]
Binning = Literal["linear", "boxcox"]

BOX_COX = 3.83
"""The exponent λ of the authors' Box-Cox transform of ρ."""


class EWDParams(Params):
    """The numbers whose distributions are compared, and the bins of trajectories in which they are.

    observables: names of observables of the domain or of descriptors (nsbench_metrics/shared/descriptors.py), each
    then in standard deviations of the truth; the domain's own observables, in their unit, if not given. binning: see
    expected_wasserstein.
    """

    observables: list[str] | None = Field(None, min_length=1)
    bins: int = fields.bins()
    binning: Binning = Field("linear", description="bins that are equal in the parameter, or in its Box-Cox transform")
    resamples: int = fields.resamples()


def expected_wasserstein(
    rho: Array, reference: Array, simulated: Array, *, bins: int = 16, binning: Binning = "linear"
) -> float:
    """Mean over bins of ρ of the 1-Wasserstein distance between morphologies.

        EWD = (1/|B|) Σ_{b ∈ B} W₁(P_b, Q_b),   B = the non-empty bins

    rho: float[n], the parameter that conditions growth, one a trajectory; its range is cut into `bins`
    equal bins, the last one closed. reference, simulated: float[n, k], the observables (area, boundary)
    in sites. Returns sites. Raises ValueError for shapes that do not fit or numbers that are not finite.
    Timmer et al. 2024 (arXiv 2405.16608), section 4.

    binning "boxcox": as their released code cuts the range, into equal bins of (ρ^λ − 1) / λ with λ = BOX_COX, narrower
    where ρ is large; the last bin is open, so that the largest ρ counts nowhere. ρ must be positive. Their rollouts end
    after 64 frames, which is the protocol's `horizon`.
    """
    return float(np.mean([cell.distance() for cell in bin_cells(rho, reference, simulated, bins, binning)]))


@dataclass(frozen=True, eq=False)
class Cell:
    """A non-empty bin of ρ: its ends, the trajectories that it holds, and the ground costs between its two sides.

    index: int64[m]; costs: float64[m, m], of truths and rollouts.
    """

    low: float
    high: float
    index: NDArray[np.int64]
    costs: Array

    def distance(self, weights: NDArray[np.int64] | None = None) -> float:
        """W₁ between the two sides, in the unit of the costs.

        weights: int64[n], how often each trajectory counts (both sides alike); all once if None.
        """
        import ot

        counts = np.ones(len(self.index), np.int64) if weights is None else weights[self.index]
        keep = counts > 0
        mass = counts[keep] / counts.sum()
        return float(ot.emd2(mass, mass, np.ascontiguousarray(self.costs[np.ix_(keep, keep)])))


def bin_cells(rho: Array, reference: Array, simulated: Array, bins: int, binning: Binning = "linear") -> list[Cell]:
    """The non-empty bins of the range of `rho`, with Euclidean ground costs; see expected_wasserstein."""
    rho, reference, simulated = (np.asarray(a, dtype=np.float64) for a in (rho, reference, simulated))
    if rho.ndim != 1 or len(rho) == 0 or reference.shape != simulated.shape or len(reference) != len(rho):
        raise ValueError(
            "rho must be [n], reference and simulated [n, k] alike, n >= 1; "
            f"got {rho.shape}, {reference.shape} and {simulated.shape}"
        )
    if not all(np.isfinite(a).all() for a in (rho, reference, simulated)):
        raise ValueError("rho and the observables must be finite")
    edges, bin_of = equal_bins(rho, bins) if binning == "linear" else _box_cox_bins(rho, bins)
    return [
        Cell(edges[b], edges[b + 1], index, _euclidean(reference[index], simulated[index]))
        for b in range(bins)
        if len(index := np.flatnonzero(bin_of == b))
    ]


def _box_cox_bins(rho: Array, bins: int) -> tuple[Array, NDArray[np.int64]]:
    """(edges float64[bins + 1], bin of each ρ int64[n], −1 for the largest); see expected_wasserstein."""
    if not 0 < rho.min() < rho.max():
        raise ValueError(f"Box-Cox bins need a parameter > 0 of several values, got {rho.min():g} to {rho.max():g}")
    edges, bin_of = equal_bins((rho**BOX_COX - 1) / BOX_COX, bins)
    return (1 + BOX_COX * edges) ** (1 / BOX_COX), np.where(rho == rho.max(), -1, bin_of)


def _euclidean(x: Array, y: Array) -> Array:
    """Distances of all pairs, float64[a, b], of float64[a, k] and float64[b, k]; exact, unlike by inner products."""
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=-1))


def ewd_interval(rho: Array, cells: list[Cell], resamples: int, rng: np.random.Generator) -> tuple[float, float] | None:
    """95 % interval of the EWD by resampling the values of ρ, each with all of its trajectories; None for few values.

    Resampling repeats trajectories, which raises every W₁; so the draws are centred on the estimate: the interval shows
    how far the EWD moves with the choice of test cases.
    """
    values, group = np.unique(rho, return_inverse=True)
    draws = np.empty(resamples)
    for r in range(resamples):
        weights = np.bincount(rng.integers(len(values), size=len(values)), minlength=len(values))[group]
        draws[r] = np.mean([c.distance(weights) for c in cells if weights[c.index].any()])
    estimate = float(np.mean([c.distance() for c in cells]))
    return bootstrap_interval(estimate, draws, len(values), centred=True, within=(0.0, np.inf))


class EWD(Metric):
    """The expected Wasserstein distance over observables of final states and the conditioning parameter.

    Items: W₁ by non-empty bin, in the order of the parameter. Extras: bins, the non-empty ones; the
    smallest and largest number of trajectories in a bin; the mean error of each observable.
    """

    direction = "min"
    unit = "sites"
    items_by = "bin"
    params: EWDParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        domain = reference.domain
        if self.params.observables is None:
            common_unit(domain.observables)
        rho = np.repeat(reference.params[:, domain.column(domain.condition)], evidence.members)
        names = self.params.observables or [o.name for o in domain.observables]
        truth, simulated = (final_observables(t, self.params.observables) for t in (reference, evidence.rollouts))
        if self.params.observables is not None:
            scale = deviations(truth)
            truth, simulated = truth / scale, simulated / scale
        truth = np.repeat(truth, evidence.members, axis=0)
        if self.params.binning == "boxcox" and not 0 < rho.min() < rho.max():
            raise NotApplicable(f"Box-Cox bins need several values of {domain.condition}, all above 0")
        cells = bin_cells(rho, truth, simulated, self.params.bins, self.params.binning)
        distances = np.array([cell.distance() for cell in cells])
        counts = [len(cell.index) for cell in cells]
        extras = {"bins": float(len(cells)), "bin_min": float(min(counts)), "bin_max": float(max(counts))}
        for k, name in enumerate(names):
            extras[f"bias_{name}"] = float((simulated[:, k] - truth[:, k]).mean())
        return Score(
            value=float(distances.mean()),
            interval=ewd_interval(rho, cells, self.params.resamples, rng),
            items=distances,
            extras=extras,
            figure=partial(_figure, domain.condition, names, rho, truth, simulated, cells),
            unit="std" if self.params.observables is not None else "",
        )


def final_observables(trajectories: Trajectories, names: list[str] | None) -> Array:
    """Observables of the final states, float64[n, number of names]; all of the domain's if None.

    A name is an observable of the domain, else a descriptor. Raises NotApplicable for any other.
    """
    domain, final = trajectories.domain, trajectories.final()
    if names is None:
        return domain.observe(final)
    functions = {o.name: o.function for o in domain.observables}
    if unknown := [name for name in names if name not in functions and name not in DESCRIPTORS]:
        raise NotApplicable(f"no observable {unknown[0]!r}; there are {', '.join({**functions, **DESCRIPTORS})}")
    return np.stack(
        [functions[name](final) if name in functions else describe(trajectories, [name])[:, 0] for name in names],
        axis=1,
    )


def _figure(condition: str, names: list[str], rho: Array, truth: Array, simulated: Array, cells: list[Cell]) -> bytes:
    """Observables against the conditioning parameter, truth and simulator, and W₁ by bin."""
    drawing, axes = figure(len(names) + 1)
    for k, (ax, name) in enumerate(zip(axes, names, strict=False)):
        ax.scatter(rho, truth[:, k], s=7, color=TRUTH, label="truth", linewidths=0)
        ax.scatter(rho, simulated[:, k], s=7, color=SIMULATOR, alpha=0.6, label="simulator", linewidths=0)
        ax.set(xlabel=condition, ylabel=name)
    axes[0].legend(markerscale=2, frameon=False)
    axes[-1].bar(
        [cell.low for cell in cells],
        [cell.distance() for cell in cells],
        width=[cell.high - cell.low for cell in cells],
        align="edge",
        color=SIMULATOR,
        edgecolor="white",
    )
    axes[-1].set(xlabel=condition, ylabel="W₁ in the bin")
    return png(drawing)


SPEC = metric_spec(EWD, EWDParams, "expected Wasserstein distance of final observables at like conditioning parameter")
