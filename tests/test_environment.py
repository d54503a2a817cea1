"""Devices and threads are found without importing what uses them."""

from __future__ import annotations

import sys

import pytest
import torch

from nsbench.quantities import duration, number
from nsbench.store import environment
from nsbench.suite import devices


def test_a_device_that_is_named_is_taken_as_it_is():
    assert devices.resolve_device("cpu") == "cpu"
    assert devices.resolve_device("cuda") == "cuda"


def test_auto_agrees_with_torch():
    assert devices.resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_cpu_build_of_torch_has_no_gpu_whatever_the_driver_says(monkeypatch):
    monkeypatch.setattr(environment, "_version", lambda name: "2.13.0+cpu")
    environment.cuda_devices.cache_clear()
    assert environment.cuda_devices() == 0
    environment.cuda_devices.cache_clear()


class Driver:
    """Stands for CUDA's: two GPUs and their names."""

    def __init__(self, name):
        assert name == "libcuda.so.1"

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, value):
        value._obj.value = 2
        return 0

    def cuDeviceGet(self, value, i):
        value._obj.value = 10 + i
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = f"GPU {device}".encode()
        return 0 if size == 256 else 1

    def cuDriverGetVersion(self, value):
        value._obj.value = 13010
        return 0


def test_gpus_are_recorded_by_name_with_their_driver(monkeypatch):
    caches = (environment.cuda_devices, environment.cuda_names, environment.environment)
    monkeypatch.setattr(environment.ctypes, "CDLL", Driver)
    monkeypatch.setattr(environment, "_version", lambda name: "2.13.0")
    for cache in caches:
        cache.cache_clear()
    recorded = environment.environment()
    for cache in caches:
        cache.cache_clear()
    assert (recorded["gpus"], recorded["cuda_driver"]) == (["GPU 10", "GPU 11"], 13010)


@pytest.mark.parametrize(("flags", "expected"), [("fpu avx512_bf16", "bfloat16"), ("fpu avx2", "float32")])
def test_automatic_precision_is_bfloat16_only_where_it_is_native(monkeypatch, flags, expected):
    monkeypatch.setattr(devices, "cpu_flags", lambda: set(flags.split()))
    assert devices.resolve_precision("auto", "cpu") == expected
    assert devices.resolve_precision("float32", "cpu") == "float32"


@pytest.mark.parametrize(("variable", "expected"), [("3", 3), ("", None), ("0", None), ("2,1", None)])
def test_threads_follow_omp_num_threads(monkeypatch, variable, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert environment.default_threads() == (expected or environment.cores())


def test_the_environment_names_versions():
    recorded = environment.environment()
    assert recorded["packages"]["torch"] == torch.__version__
    assert recorded["python"] == sys.version.split()[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.043123, "0.0431"), (12.64, "12.6"), (202.8, "202.8"), (1043.4, "1,043"), (14_400_000, "14.4M"), (2.1e9, "2.1G"), (0, "0"), (512, "512"), (-0.5, "-0.5")],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.6, "1:00 min"), (185, "3:05 min"), (7800, "2:10:00 h")]
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
