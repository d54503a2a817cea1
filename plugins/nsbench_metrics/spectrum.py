"""Texture at every scale: the power spectra of states. Not proper; read the floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import Ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.leads import chunk_size, groups, last_lead, states, truth_counts
from nsbench_metrics.params import SpectrumParams

Array = NDArray[np.float64]


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

    All cases together: blind to parameters, and to where things are. Items: by lead time.
    """

    direction = "min"
    unit = "dB"
    zero = "persistence"
    params: SpectrumParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, last = groups(evidence, reference, members=1), last_lead(reference)
        leads = np.unique(np.linspace(1, last, min(self.params.frames, last)).round().astype(int)).tolist()
        if min(reference.domain.shape) < 4:
            raise NotApplicable("states must be at least 4 sites wide and high")
        sides = [
            _spectra(evidence, reference, chunk, leads)
            for group in found
            for chunk in group.chunks(chunk_size(reference.domain, group))
        ]
        own, others = (np.concatenate(side) for side in zip(*sides, strict=True))  # [E, leads, K]
        weights = truth_counts(found)

        def distance(times: NDArray[np.int64]) -> float:
            now = weights * times
            return log_spectral_distance(*(np.average(side, axis=0, weights=now) for side in (own, others)))

        means = [np.average(side, axis=0, weights=weights) for side in (own, others)]
        return Score(
            value=log_spectral_distance(*means),
            interval=bootstrap_ensembles(distance, len(own), self.params.resamples, rng, distance=True),
            items=np.array([log_spectral_distance(x, y) for x, y in zip(*means, strict=True)]),
        )


def _spectra(
    evidence: Evidence, reference: Trajectories, chunk: Ensembles, leads: Sequence[int]
) -> tuple[Array, Array]:
    """Mean spectra of each ensemble at each lead time, of truths and of members: two float64[E, leads, K]."""
    pairs = [
        tuple(radial_spectrum(x).mean(axis=(1, 2)) for x in both) for both in states(evidence, reference, chunk, leads)
    ]
    own, others = (np.stack(side, axis=1) for side in zip(*pairs, strict=True))
    return own, others
