"""Growth in gusts of wind in plain numpy, all sites of all systems at once, and a picture of it.

    python benchmarks/plain_gusts.py docs/gusts.png

The rules are those of docs/gusts.md, and nothing is taken from the plugin but the starts of the workload and what
grows in the picture. Each step looks at every site; the kernel looks at those beside a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from workload import Workload

NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1))
ANGLES = [np.arctan2(j * np.sqrt(3) / 2, i - j / 2) for i, j in NEIGHBOURS]

Noise = Callable[[int], tuple[NDArray[np.int64], NDArray[np.float64]]]
"""Step -> (the wind of each system, int[n], a place in NEIGHBOURS; uniform numbers of all sites, float64[n, H, W])."""


def chances(
    attached: NDArray[np.bool_], rate: NDArray[np.float64], strength: NDArray[np.float64], wind: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The chances of all sites to attach, float64[n, H, W], if they are unattached.

        1 − exp(−λ Σ_{attached neighbours} exp(s·cos(angle between the neighbour's direction and the wind)))

    attached: bool[n, H, W]; rate, strength: λ and s, float64[n]; wind: int[n].
    """
    height, width = attached.shape[1:]
    padded = np.pad(attached, ((0, 0), (1, 1), (1, 1)))
    hazard = np.zeros(attached.shape)
    for (i, j), angle in zip(NEIGHBOURS, ANGLES, strict=True):
        pull = rate * np.exp(strength * np.cos(angle - np.take(ANGLES, wind)))
        hazard += pull[:, None, None] * padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width]
    return -np.expm1(-hazard)


def grow(
    attached: NDArray[np.bool_],
    rate: NDArray[np.float64],
    strength: NDArray[np.float64],
    steps: int,
    noise: Noise,
) -> NDArray[np.int32]:
    """Growth maps of starts, int32[n, H, W] for bool[n, H, W]: the step in which a site attached, −1 for never."""
    arrival = np.where(attached, 0, -1).astype(np.int32)
    for step in range(1, steps + 1):
        wind, uniform = noise(step)
        now = arrival >= 0
        arrival[~now & (uniform < chances(now, rate, strength, wind))] = step
    return arrival


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> Noise:
    """Noise from a generator, for systems of that shape [n, H, W]."""
    return lambda step: (rng.integers(6, size=shape[0]), rng.random(shape))


def workload() -> Workload:
    """Systems of the suite's size: see benchmarks/workload.py.

    The least work is that of the front, a thirtieth of all sites: 64 random bits by 13 operations, each of which counts
    as two of 32 bits, and 17 bytes of place, mask, chance and place again. Besides, each site of a map is read and
    written once a trajectory.
    """
    from nsbench.trajectories.morphology import front
    from nsbench_gusts.growth import draw_starts
    from nsbench_gusts.growth import grow as grow_fast
    from nsbench_gusts.params import DatasetParams

    p, count, few = DatasetParams(), 1024, 64
    rng = np.random.default_rng(0)
    rate, strength = rng.uniform(*p.rate, count), rng.uniform(*p.strength, count)
    starts = draw_starts(np.arange(count), size=p.size, clusters=p.clusters, age=p.age, seed=0)

    def compiled() -> int:
        for seed in range(32):
            grow_fast(starts, rate, strength, steps=p.steps, seed=seed)
        return 32 * starts.size * p.steps

    def plain() -> int:
        some = starts[:few]
        grow(some, rate[:few], strength[:few], p.steps, drawn(rng, some.shape))
        return some.size * p.steps

    arrival = grow_fast(starts, rate, strength, steps=p.steps, seed=0)
    share = np.mean([front((arrival >= 0) & (arrival <= t), "hexagonal").mean() for t in range(p.steps)])
    return Workload("gusts", compiled, plain, operations=26 * share, bytes=17 * share + 5 / p.steps)


RATES, STRENGTHS = (0.02, 0.05, 0.1), (0.0, 1.5, 3.0, 4.0)
SIZE, STEPS = 44, 3


def picture(path: str) -> None:
    """Three steps from one start, for each λ (rows) and s (columns).

    The start is grey, the sites of each step have a colour: what one gust adds lies on one side.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap

    from nsbench.trajectories.plane import draw_sites
    from nsbench_gusts.growth import draw_starts
    from nsbench_gusts.growth import grow as grow_fast

    start = draw_starts(np.array([0]), size=SIZE, clusters=(3, 3), age=(9, 9), seed=1)
    colours = ListedColormap(["#5a5a5a", "#ffb000", "#dc267f", "#648fff"])
    sheet, axes = plt.subplots(len(RATES), len(STRENGTHS), figsize=(10, 7.4), facecolor="black")
    for row, column in np.ndindex(axes.shape):
        axis, rate, strength = axes[row, column], RATES[row], STRENGTHS[column]
        arrival = grow_fast(start, np.array([rate]), np.array([strength]), steps=STEPS, seed=1)[0]
        shown = draw_sites(np.where(arrival < 0, np.nan, arrival), "hexagonal", 480, outside=np.nan)
        i, j = np.nonzero(~np.isnan(shown))
        axis.imshow(shown, cmap=colours, vmin=0, vmax=STEPS, interpolation="nearest")
        middle = i.min() + i.max(), j.min() + j.max()
        axis.set(xlim=(middle[1] / 2 - 150, middle[1] / 2 + 150), ylim=(middle[0] / 2 + 130, middle[0] / 2 - 130))
        axis.set_title(f"λ = {rate:g}, s = {strength:g}", color="white", fontsize=10)
        axis.axis("off")
    sheet.tight_layout()
    sheet.savefig(path, dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    picture(sys.argv[1])
