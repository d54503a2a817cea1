"""The LCA on a GPU grows what it grows on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from nsbench_lca.kernel import grow

CASES = [
    {"size": 12, "sigma": 0.01, "symmetry": "quadrant", "seed": 3},
    {"size": 8, "sigma": 0.02, "symmetry": "none", "seed": 4},
]

SIMULATED = """
import json, sys, warnings
import numpy as np
from numba.cuda.simulator import kernelapi
warnings.simplefilter("ignore")  # counters are meant to overflow
# A product of two float32 is exact in float64: this rounds once, as the device's fma does.
kernelapi.FakeCUDAModule.fma = lambda self, a, b, c: type(a)(np.float64(a) * np.float64(b) + np.float64(c))
from nsbench_lca import cuda
from nsbench_lca.kernel import grow
cuda.THREADS, cuda.SHARED_BYTES = 3, int(sys.argv[1])
for k, case in enumerate(json.loads(sys.argv[3])):
    growth = grow([0.6, 0.55], stop_margin=3, max_steps=18, device="cuda", **case)
    np.savez(f"{sys.argv[2]}/{k}.npz", arrival=growth.arrival, steps=growth.steps)
"""


@pytest.mark.parametrize("shared", [48 * 1024, 0], ids=["shared memory", "global memory"])
def test_the_cuda_kernel_in_numbas_simulator_grows_the_crystals_of_the_cpu(tmp_path, monkeypatch, shared):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    call = [sys.executable, "-c", SIMULATED, str(shared), str(tmp_path), json.dumps(CASES)]
    subprocess.run(call, check=True, timeout=120)
    for k, case in enumerate(CASES):
        simulated = np.load(tmp_path / f"{k}.npz")
        growth = grow([0.6, 0.55], stop_margin=3, max_steps=18, **case)
        np.testing.assert_array_equal(simulated["arrival"], growth.arrival)
        np.testing.assert_array_equal(simulated["steps"], growth.steps)
        assert (growth.arrival >= 0).sum() > 8


def test_a_gpu_that_is_not_there_is_an_error_that_says_so():
    if _gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="no CUDA device: pip install"):
        grow([0.5], size=16, sigma=0, seed=0, device="cuda")


@pytest.mark.parametrize(("size", "symmetry"), [(32, "quadrant"), (64, "quadrant"), (128, "quadrant"), (24, "none")])
def test_a_gpu_grows_the_crystals_of_the_cpu(size, symmetry):
    if not _gpu():
        pytest.skip("no GPU")
    rho = np.linspace(0.36, 0.63, 40)
    for precision in ("float32", "float64"):
        case = {"size": size, "symmetry": symmetry, "sigma": 0.01, "seed": 1, "precision": precision}
        np.testing.assert_array_equal(grow(rho, device="cuda", **case).arrival, grow(rho, **case).arrival)


def _gpu() -> bool:
    from numba import cuda

    return bool(cuda.is_available())
