"""Log spectral distance of states: their texture at every scale. Not proper; read the floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import Ensembles
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate
from nsbench_metrics.shared.comparison import Comparison, compare
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class SpectrumParams(Params):
    """frames: lead times at which spectra are compared, evenly spaced."""

    frames: int = Field(8, ge=1)
    resamples: int = fields.resamples()


def radial_spectrum(fields: Array) -> Array:
    """Mean power at each whole wavenumber, float64[..., K], of fields float64[..., H, W].

    |FFT|² / sites, averaged over waves whose number, √(k_i² + k_j²) cycles a lattice, rounds to 1, 2, …, K =
    half the smaller edge. In lattice coordinates: on a skewed lattice not quite isotropic. The mean is left out.
    """
    height, width = fields.shape[-2:]
    k_i, k_j = np.fft.fftfreq(height, 1 / height), np.fft.rfftfreq(width, 1 / width)
    number = np.rint(np.hypot(k_i[:, None], k_j[None])).astype(int)
    power = np.abs(np.fft.rfft2(fields)) ** 2 / (height * width)
    ring = np.stack([(number == k).ravel() for k in range(1, min(height, width) // 2 + 1)], axis=1)  # [HW', K]
    return power.reshape(*power.shape[:-2], -1) @ (ring / np.maximum(ring.sum(axis=0), 1))


def log_spectral_distance(truth: Array, simulated: Array) -> float:
    """Root mean square over wavenumbers of 10 log10 (P_simulated / P_truth), dB.

    Wavenumbers without power in the truth do not count; power below 1e−12 of the truth's counts as that.
    truth, simulated: float64[..., K]; the mean over what precedes. Gray & Markel 1976.
    """
    floor = np.maximum(truth, 1e-12 * truth.max(axis=-1, keepdims=True))
    ratio = 10 * np.log10(np.maximum(simulated, 1e-12 * floor) / floor)
    return float(np.sqrt((ratio**2).mean(axis=-1)).mean())


class Spectrum(Metric):
    """Log spectral distance between mean spectra of truths and rollouts, the mean over some lead times.

    All cases together: blind to parameters, and to where things are. Channels of fields are in the truth's standard
    deviations; of labels it is the mean spectrum of the maps of each. Items: by lead time.
    """

    direction = "min"
    unit = "dB"
    zero = "persistence"
    params: SpectrumParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference, members=1)
        if min(reference.domain.shape) < 4:
            raise NotApplicable("states must be at least 4 sites wide and high")
        last = comparison.last
        leads = np.unique(np.linspace(1, last, min(self.params.frames, last)).round().astype(int)).tolist()
        sides = [_spectra(comparison, chunk, leads) for chunk in comparison.chunks()]
        truths, rollouts = (np.concatenate(side) for side in zip(*sides, strict=True))  # [E, leads, K]

        def means(times: NDArray[np.int64] | int) -> list[Array]:
            """Mean spectra of both sides, two float64[leads, K]."""
            weights = comparison.weights * times
            return [np.average(side, axis=0, weights=weights) for side in (truths, rollouts)]

        def distance(times: NDArray[np.int64]) -> float:
            return log_spectral_distance(*means(times))

        value, interval = estimate(distance, len(truths), self.params.resamples, rng, distance=True)
        return Score(
            value,
            interval,
            items=np.array([log_spectral_distance(x, y) for x, y in zip(*means(1), strict=True)]),
        )


def _spectra(comparison: Comparison, chunk: Ensembles, leads: Sequence[int]) -> tuple[Array, Array]:
    """Mean spectra of each ensemble at each lead time, of truths and of members: two float64[E, leads, K]."""
    pairs = [
        tuple(radial_spectrum(states).mean(axis=(1, 2)) for states in pair)
        for pair in comparison.scaled_states(chunk, leads)
    ]
    truths, members = (np.stack(side, axis=1) for side in zip(*pairs, strict=True))
    return truths, members


SPEC = metric_spec(Spectrum, SpectrumParams, "log spectral distance of states")
