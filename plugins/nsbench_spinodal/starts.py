"""Random starts of spinodal decomposition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def squared_wave_numbers(size: int) -> Array:
    """k² of the waves of N × N periodic sites in the order of ``np.fft.rfft2``, float64[N, N/2 + 1]."""
    return (2 * np.pi * np.fft.fftfreq(size)[:, None]) ** 2 + (2 * np.pi * np.fft.rfftfreq(size)) ** 2


def random_start(size: int, mean: float, amplitude: float, length: float, rng: np.random.Generator) -> Array:
    """A Gaussian random field, float64[N, N], with exactly that mean and standard deviation over its sites.

    length: ℓ of its covariance, which falls with the distance r as exp(−r²/2ℓ²), in sites.
    """
    waves = np.fft.rfft2(rng.standard_normal((size, size))) * np.exp(-squared_wave_numbers(size) * length**2 / 4)
    waves[0, 0] = 0
    field = np.fft.irfft2(waves, s=(size, size))
    return mean + amplitude * field / field.std()
