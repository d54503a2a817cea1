"""How fast does the ground truth grow? Nanoseconds a site and step, beside snowfake and the processor's limits.

    python benchmarks/lca.py [--plot docs/lca_speed.png] [--gpu]

Every setting is run after a warm-up, `ROUNDS` times in turn with the others; the median counts. The public
package snowfake (0.2.6, by Matt Hall) follows the same rules on a map of as many sites; it is left out unless it
is installed, which needs `pip install 'setuptools<80' && pip install --no-build-isolation snowfake==0.2.6`.

Limits of one core: a site takes six additions, a fused multiplication and addition, a multiplication, and with
noise another; eight loads and a store, with noise one more of each. The arithmetic limit takes the rate of a
single-precision matrix product for these operations, the bandwidth limit that of adding arrays which fit the
first-level cache.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from statistics import median

import numba
import numpy as np
from numba import njit

from nsbench.components.protocol import Device
from nsbench.store.environment import cores, processor
from nsbench_lca.kernel import grow

ROUNDS = 5
GPU_CRYSTALS = 1056  # grown together on a GPU
SIZES = (32, 64, 128, 256, 512)
SITE_STEPS = 2e8  # of ours in a measurement, on one thread
RULES = {"alpha": 0.14, "beta": 1.1, "gamma": 7e-5, "theta": 8.5e-3, "kappa": 7e-3, "mu": 4.8e-2}


def ours(size: int, sigma: float, threads: int, device: Device = "cpu") -> tuple[float, float]:
    """(ns a site-step of a thread, ms a crystal) of crystals over the paper's range of ρ, cut at 10 N steps.

    On a GPU the whole of it counts as one thread.
    """
    count = GPU_CRYSTALS if device == "cuda" else threads * max(1, round(SITE_STEPS / size**3 / 10))
    rho = np.random.default_rng(0).uniform(0.35, 0.64, count)
    numba.set_num_threads(threads)
    before = time.perf_counter()
    growth = grow(rho, size=size, sigma=sigma, seed=0, max_steps=10 * size, device=device)
    took = time.perf_counter() - before
    return 1e9 * took * threads / (float(growth.steps.sum()) * size**2), 1e3 * took / count


def theirs(size: int, sigma: float) -> tuple[float, float]:
    """ns a site-step of snowfake, on a map of size × size sites."""
    from snowfake import Snowfake

    flake = Snowfake(size, random=1 if sigma else False, rho=0.5, sigma=sigma, **RULES)
    steps = max(10, 400_000 // size**2)
    before = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        flake.grow(max_epochs=steps, early_stopping=False, snapshot=False)
    return 1e9 * (time.perf_counter() - before) / (steps * size**2), float("nan")


def operation() -> float:
    """The ns of one of the multiplications and additions of a single-precision matrix product, on one core."""
    n = 768
    matrix = np.ones((n, n), np.float32)
    return 1e9 * min(_timed(lambda: matrix @ matrix) for _ in range(5)) / n**3


def access() -> float:
    """The ns of loading or storing four bytes, of arrays which fit the first-level cache, on one core."""
    times = 10_000
    a, b, c = (np.ones(2048, np.float32) for _ in range(3))
    _add(a, b, c, 1)
    return 1e9 * min(_timed(lambda: _add(a, b, c, times)) for _ in range(5)) / (4 * times * len(a))


def limits() -> dict[float, tuple[float, float]]:
    """σ -> (arithmetic limit, bandwidth limit) of one core, ns a site-step."""
    each, touch = operation(), access()
    return {sigma: ((8 + (sigma > 0)) * each, (9 + 2 * (sigma > 0)) * touch) for sigma in (0.0, 1e-2)}


@njit
def _add(a, b, c, times):
    for _ in range(times):
        for k in range(a.size):
            c[k] = a[k] + b[k] * c[k]


def _timed(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


Setting = tuple[str, int, float, int]


def measure(settings: list[Setting]) -> dict[Setting, tuple[float, float]]:
    def once(setting: Setting) -> tuple[float, float]:
        kind, size, sigma, threads = setting
        if kind == "snowfake":
            return theirs(size, sigma)
        return ours(size, sigma, threads, "cuda" if kind == "nsbench, GPU" else "cpu")

    for setting in settings:
        once(setting)
    rounds = [{setting: once(setting) for setting in settings} for _ in range(ROUNDS)]
    return {s: (median(r[s][0] for r in rounds), median(r[s][1] for r in rounds)) for s in settings}


def plot(path: str, found: dict[Setting, tuple[float, float]], limit: float) -> None:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 4))
    for kind, sigma, threads in sorted({(k, s, t) for k, _, s, t in found}):
        sizes = [n for k, n, s, t in found if (k, s, t) == (kind, sigma, threads)]
        label = f"{kind}, {'noise' if sigma else 'no noise'}" + (f", {threads} threads" if threads > 1 else "")
        axis.plot(sizes, [found[kind, n, sigma, threads][0] for n in sizes], "o-", label=label)
    axis.axhline(limit, color="grey", linestyle=":", label="limit of one core, no noise")
    axis.set(xscale="log", yscale="log", xlabel="N, sites along an axis", ylabel="ns a site-step of a thread")
    axis.set_xticks(SIZES, [str(n) for n in SIZES])
    axis.minorticks_off()
    axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plot")
    parser.add_argument("--gpu", action="store_true", help="beside the GPU, up to N = 256")
    arguments = parser.parse_args()
    settings = [
        ("nsbench", n, sigma, threads) for n in SIZES for sigma in (0.0, 1e-2) for threads in sorted({1, cores()})
    ]
    if arguments.gpu:
        settings += [("nsbench, GPU", n, sigma, 1) for n in SIZES if n <= 256 for sigma in (0.0, 1e-2)]
    try:
        import snowfake  # noqa: F401

        settings += [("snowfake", n, sigma, 1) for n in SIZES for sigma in (0.0, 1e-2)]
    except ImportError:
        print("snowfake is not installed: see this file's docstring\n")
    found = measure(settings)
    best = limits()
    print(f"{processor()}, {cores()} cores, numba {numba.__version__}\n")
    print("| | N | σ | threads | ns a site-step a thread | ms a crystal | snowfake ÷ ours | ours ÷ limit |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind, size, sigma, threads in settings:
        each, crystal = found[kind, size, sigma, threads]
        other = found.get(("snowfake", size, sigma, 1))
        ratio = f"{other[0] / each:.0f}" if kind != "snowfake" and other else ""
        share = f"{each / max(best[sigma]):.1f}" if kind == "nsbench" else ""
        duration = f"{crystal:.3g}" if kind != "snowfake" else ""
        print(f"| {kind} | {size} | {sigma:g} | {threads} | {each:.3g} | {duration} | {ratio} | {share} |")
    for sigma, (arithmetic, bandwidth) in best.items():
        print(
            f"\nlimits of a core, σ = {sigma:g}: arithmetic {arithmetic:.3f}, bandwidth {bandwidth:.3f} ns a site-step"
        )
    if arguments.plot:
        plot(arguments.plot, found, max(best[0.0]))


if __name__ == "__main__":
    main()
