"""Parameters of the metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nsbench.components.component import Params


class EWDParams(Params):
    """bins: equal bins of the conditioning parameter; resamples: bootstrap draws for the interval.

    observables: names of observables of the domain or of descriptors (nsbench_metrics/descriptors.py), each
    then in standard deviations of the truth; the domain's own observables, in their unit, if not given.
    """

    observables: list[str] | None = Field(None, min_length=1)
    bins: int = Field(16, ge=1)
    resamples: int = Field(200, ge=10)


class ELBOParams(Params):
    """resamples: bootstrap draws for the interval."""

    resamples: int = Field(1000, ge=10)


class WallClockParams(Params):
    """Nothing to choose: what is measured, and how, is the protocol's."""


_RESAMPLES = Field(200, ge=10, description="bootstrap draws for the interval")
_OBSERVABLES = Field(None, min_length=1, description="names of the domain's observables; all if not given")
_THRESHOLD = Field(0.5, description="a site has attached where its state is above")
_BINS = Field(16, ge=1, description="equal bins of the conditioning parameter")


class FieldScoreParams(Params):
    """A score of whole states."""

    resamples: int = _RESAMPLES


class CRPSParams(Params):
    """Which numbers are scored; they must have one unit."""

    observables: list[str] | None = _OBSERVABLES
    resamples: int = _RESAMPLES


class VariogramParams(Params):
    """p: the order; reach: pairs of sites up to so many steps along the lattice's axes."""

    p: float = Field(0.5, gt=0)
    reach: int = Field(1, ge=1)
    resamples: int = _RESAMPLES


class BrierParams(Params):
    """The event that is said to be probable."""

    threshold: float = _THRESHOLD
    resamples: int = _RESAMPLES


class ReliabilityParams(BrierParams):
    """The event that is said to be probable."""


class SpreadSkillParams(Params):
    """Which numbers should spread as much as they err."""

    observables: list[str] | None = _OBSERVABLES
    resamples: int = _RESAMPLES


class RankHistogramParams(Params):
    """permutations: relabellings for the p-value, which is never below 1 / (permutations + 1)."""

    observables: list[str] | None = _OBSERVABLES
    permutations: int = Field(199, ge=1)


class CoverageParams(Params):
    """Which numbers should be covered."""

    observables: list[str] | None = _OBSERVABLES
    resamples: int = _RESAMPLES


class DistanceParams(Params):
    """What is compared, and among which trajectories.

    space  observables: of the final state; curves: observables at all lead times; descriptors: of the final
           state's shape; fields: the final state itself.
    by     ensemble: within ensembles of equal parameters, which must have two truths at least; condition:
           within bins of the conditioning parameter.
    """

    space: Literal["observables", "curves", "descriptors", "fields"] = "curves"
    by: Literal["ensemble", "condition"] = "ensemble"
    bins: int = _BINS
    resamples: int = _RESAMPLES


class MMDParams(DistanceParams):
    """bandwidth: of the kernel; the median distance between truths if not given."""

    space: Literal["observables", "curves", "descriptors", "fields"] = "fields"
    bandwidth: float | None = Field(None, gt=0)


class SlicedParams(DistanceParams):
    """directions: random directions of projection."""

    directions: int = Field(64, ge=1)


class FrechetParams(Params):
    """descriptors: names, all if not given; joint: beside the parameters that vary."""

    descriptors: list[str] | None = Field(None, min_length=1)
    joint: bool = True
    resamples: int = _RESAMPLES


class FIDParams(Params):
    """weights: a safetensors file (see nsbench_metrics/fid.py); sha256: of it, so that scores belong to it."""

    weights: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    batch: int = Field(256, ge=1)


class SSIMParams(Params):
    """cases: that many test cases, drawn at random; window: sites along an edge, odd."""

    cases: int = Field(64, ge=1)
    window: int = Field(7, ge=3)
    resamples: int = _RESAMPLES


class ArrivalParams(Params):
    """When a site has attached."""

    threshold: float = _THRESHOLD
    resamples: int = _RESAMPLES


class GrowthRateParams(Params):
    """observable: what grows; the domain's first if not given."""

    observable: str | None = None
    resamples: int = _RESAMPLES


class DivergenceParams(Params):
    """tolerance: of ‖x − y‖² / ‖y‖², the truth y; beyond it a rollout has left the truth."""

    tolerance: float = Field(0.1, gt=0)
    resamples: int = _RESAMPLES


class AutocorrelationParams(Params):
    """observable: whose increments; the domain's first if not given. lags: compared, in frames."""

    observable: str | None = None
    lags: int = Field(4, ge=1)


class SpectrumParams(Params):
    """frames: lead times at which spectra are compared, evenly spaced."""

    frames: int = Field(8, ge=1)
    resamples: int = _RESAMPLES
