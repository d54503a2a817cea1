"""Spinodal decomposition as one writes it down in numpy: one field at a time, in double precision, by ``np.fft``.

    python benchmarks/plain_spinodal.py docs/spinodal.png      the picture of docs/spinodal.md

The rules are those of docs/spinodal.md, and nothing of the kernel is used but what it is measured by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from workload import Workload

Array = NDArray[np.float64]

SIZE, STEPS, TIME_STEP = 32, 400, 0.1  # of the suite: 20 ticks of 20 steps
MEANS, NOISES = (-0.4, 0.0, 0.4), (0.0, 0.02, 0.1)


def evolve(
    phi: Array, noise: float, *, steps: int, time_step: float, white: Callable[[], Array] | None = None
) -> Array:
    """The field after so many steps, float64[N, N]. white: independent standard normal numbers of that shape."""
    n = phi.shape[0]
    k2 = (2 * np.pi * np.fft.fftfreq(n)[:, None]) ** 2 + (2 * np.pi * np.fft.rfftfreq(n)) ** 2
    mean = phi.mean()
    omega = k2 * (1 - 3 * mean**2 - k2)
    rate = np.where(omega == 0, 1, omega)
    grown = np.where(omega == 0, time_step, np.expm1(omega * time_step) / rate)
    spread = np.sqrt(2 * noise * k2 * np.where(omega == 0, time_step, np.expm1(2 * omega * time_step) / (2 * rate)))
    keep, push = np.exp(omega * time_step), -k2 * grown
    psi = phi - mean
    waves = np.fft.rfft2(psi)
    for _ in range(steps):
        waves = keep * waves + push * np.fft.rfft2(psi * psi * (psi + 3 * mean))
        if white is not None:
            waves += spread * np.fft.rfft2(white())
        psi = np.fft.irfft2(waves, s=(n, n))
    return mean + psi


def workload() -> Workload:
    """The suite's fields.

    Operations a site-step: two real transforms of 2.5 log₂ N² each, 4 for the cube, 6 for the waves' step and half of
    the 60 of a pair of Gaussian numbers. Bytes: φ's waves, and the lattice twice between rows and columns, each loaded
    and stored in single precision.
    """
    from nsbench_spinodal.kernel import evolve as compiled_evolve

    count = 512
    rng = np.random.default_rng(0)
    starts = 0.4 * rng.standard_normal((count, SIZE, SIZE))
    noise = np.linspace(0.01, 0.1, count)

    def compiled() -> int:
        compiled_evolve(starts, noise, frames=STEPS // 20, steps=20, time_step=TIME_STEP, seed=0)
        return count * STEPS * SIZE**2

    def plain() -> int:
        fields = 8
        for start, epsilon in zip(starts[:fields], noise, strict=False):
            white = lambda: rng.standard_normal((SIZE, SIZE))  # noqa: E731
            evolve(start, epsilon, steps=STEPS, time_step=TIME_STEP, white=white)
        return fields * STEPS * SIZE**2

    operations = 2 * 2.5 * np.log2(SIZE**2) + 4 + 6 + 30
    return Workload("spinodal", compiled, plain, operations=float(operations), bytes=24.0)


def picture(path: str) -> None:
    """The fields of one start at time 100, by their mean and their noise."""
    import matplotlib.pyplot as plt
    from PIL import Image

    size = 128
    rng = np.random.default_rng(3)
    figure, axes = plt.subplots(len(NOISES), len(MEANS), figsize=(6.6, 6.8), squeeze=False)
    for row, noise in zip(axes, NOISES, strict=True):
        for axis, mean in zip(row, MEANS, strict=True):
            start = 0.3 * rng.standard_normal((size, size))
            white = lambda: rng.standard_normal((size, size))  # noqa: E731
            phi = evolve(
                mean + start - start.mean(), noise, steps=1000, time_step=TIME_STEP, white=white if noise else None
            )
            axis.imshow(phi, cmap="RdBu_r", vmin=-1.2, vmax=1.2, interpolation="nearest")
            axis.set(xticks=[], yticks=[], title=f"c = {mean:g}, ε = {noise:g}")
            axis.title.set_fontsize(9)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    Image.open(path).convert("RGB").quantize(32).save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path", help="of the picture")
    picture(parser.parse_args().path)
