"""Where numbers were made: machine, versions, devices. Recorded beside every artifact."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from nsbench.components.component import Device, Precision

_PACKAGES = (
    *("nsbench", "numpy", "torch", "numba", "scipy", "pot", "scikit-image", "scoringrules"),
    *("h5py", "safetensors"),
)


@cache
def environment() -> dict[str, Any]:
    """Versions, processor, cores and GPU of this process's machine; no library is imported for it."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "cuda_devices": cuda_devices(),
        "gpus": cuda_names(),
        "cuda_driver": _cuda("cuDriverGetVersion") if cuda_devices() else 0,
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_precision(wanted: Literal["auto", "float32", "bfloat16"], device: Device) -> Precision:
    """ "auto" is bfloat16 where the device multiplies it natively, else float32.

    Elsewhere bfloat16 is emulated, and several times slower.
    """
    if wanted != "auto":
        return wanted
    native = cuda_capability() >= 8 if device == "cuda" else bool({"avx512_bf16", "amx_bf16"} & cpu_flags())
    return "bfloat16" if native else "float32"


def default_threads() -> int:
    """Threads where a suite names none: OMP_NUM_THREADS, else all cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else cores()


def processor() -> str:
    """The processor's own name for itself."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """The processor's features, as Linux names them; empty where they cannot be read."""
    return set(_cpuinfo("flags").split())


def _cpuinfo(field: str) -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = [line.partition(":")[2].strip() for line in file if line.startswith(field)]
    except OSError:
        return ""
    return found[0] if found else ""


@cache
def cuda_devices() -> int:
    """GPUs that CUDA's driver reports, asked without importing torch; 0 where torch cannot use them."""
    torch = _version("torch")
    if torch is None or torch.endswith("+cpu"):
        return 0
    return _cuda("cuDeviceGetCount")


@cache
def cuda_capability() -> int:
    """The first GPU's major compute capability; 0 without one."""
    return _cuda("cuDeviceGetAttribute", 75, 0) if cuda_devices() else 0  # 75: COMPUTE_CAPABILITY_MAJOR


@cache
def cuda_names() -> list[str]:
    """What the GPUs call themselves."""
    names = []
    for i in range(cuda_devices()):
        name = ctypes.create_string_buffer(256)
        found = ctypes.CDLL("libcuda.so.1").cuDeviceGetName(name, len(name), _cuda("cuDeviceGet", i)) == 0
        names.append(name.value.decode(errors="replace") if found else "unknown")
    return names


def hardware(recorded: Mapping[str, Any], device: str) -> str:
    """What a cost was measured on, from a recorded environment: the processor's name, or the GPU's."""
    if device == "cpu":
        return str(recorded.get("processor", "unknown processor"))
    return str((recorded.get("gpus") or ["unknown GPU"])[0])


def _cuda(function: str, *arguments: int) -> int:
    """What a function of CUDA's driver writes to its first argument; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        value = ctypes.c_int(0)
        done = driver.cuInit(0) == 0 and getattr(driver, function)(ctypes.byref(value), *arguments) == 0
    except OSError:
        return 0
    return value.value if done else 0


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
