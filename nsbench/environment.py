"""Where numbers were made: machine, versions, devices. Recorded beside every artifact."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from nsbench.components import Device

_PACKAGES = ("nsbench", "numpy", "torch", "numba", "scipy", "pot")


@cache
def environment() -> dict[str, Any]:
    """Versions, processor, cores and GPU of this process's machine; no library is imported for it."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "cuda_devices": cuda_devices(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Threads where a suite names none: OMP_NUM_THREADS, else all cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else cores()


def processor() -> str:
    """The processor's own name for itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


@cache
def cuda_devices() -> int:
    """GPUs that CUDA's driver reports, asked without importing torch; 0 where torch cannot use them."""
    torch = _version("torch")
    if torch is None or torch.endswith("+cpu"):
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    except OSError:
        return 0
    return count.value if ready else 0


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """ "auto" is the GPU where there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    return "cuda" if cuda_devices() else "cpu"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
