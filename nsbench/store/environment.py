"""The environment of a number: machine, versions, devices, and the commit of the code. Recorded with every artifact."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from nsbench.store.checkout import git_state
from nsbench.store.cores import usable_cores
from nsbench.store.variables import recorded_variables

_PACKAGES = (
    *("nsbench", "numpy", "torch", "numba", "scipy", "pot", "scikit-image"),
    *("h5py", "safetensors"),
)
"""Distributions whose versions are recorded."""


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
        "packages": {name: release for name in _PACKAGES if (release := _version(name))},
    }


@cache
def cores() -> int:
    """Cores that this process may use; looked for once."""
    return usable_cores().number


def default_threads() -> int:
    """The number of threads where a suite names none: OMP_NUM_THREADS, else all cores."""
    return wanted_threads() or cores()


def wanted_threads() -> int | None:
    """The number of threads that OMP_NUM_THREADS names; None where it names none."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else None


def processor() -> str:
    """The name of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """The processor's features, as Linux names them; empty where they cannot be read."""
    return set(_cpuinfo("flags").split())


def _cpuinfo(field: str) -> str:
    """The first value of a field in /proc/cpuinfo; "" where it cannot be read."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            values = [line.partition(":")[2].strip() for line in file if line.startswith(field)]
    except OSError:
        return ""
    return values[0] if values else ""


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
    """The names of the GPUs, as CUDA's driver reports them."""
    names = []
    for i in range(cuda_devices()):
        name = ctypes.create_string_buffer(256)
        succeeded = ctypes.CDLL("libcuda.so.1").cuDeviceGetName(name, len(name), _cuda("cuDeviceGet", i)) == 0
        names.append(name.value.decode(errors="replace") if succeeded else "unknown")
    return names


def hardware(recorded: Mapping[str, Any], device: str) -> str:
    """The hardware that a cost was measured on, from a recorded environment: the name of the processor, or GPU."""
    if device == "cpu":
        return str(recorded.get("processor", "unknown processor"))
    return str((recorded.get("gpus") or ["unknown GPU"])[0])


def _cuda(function: str, *arguments: int) -> int:
    """The integer that a function of CUDA's driver writes to its first argument; 0 without a driver, or on failure."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        value = ctypes.c_int(0)
        succeeded = driver.cuInit(0) == 0 and getattr(driver, function)(ctypes.byref(value), *arguments) == 0
    except OSError:
        return 0
    return value.value if succeeded else 0


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


@cache
def provenance() -> dict[str, str]:
    """The distribution of nsbench and of each plugin, with the commit where it is a checkout.

    {"nsbench": "nsbench 0.1.0, 6c2ce9b…, edited", plugin: …}
    """
    origins = {"nsbench": _origin("nsbench", f"nsbench {version('nsbench')}")}
    for point in sorted(entry_points(group="nsbench"), key=lambda p: p.name):
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "not installed"
        origins[point.name] = _origin(point.module, distribution)
    return origins


def _origin(module: str, distribution: str) -> str:
    spec = importlib.util.find_spec(module.partition(".")[0])
    checkout = _checkout(Path(spec.origin)) if spec and spec.origin else None
    state = git_state(checkout) if checkout else ""
    return f"{distribution}, {state}" if state else distribution


def _checkout(path: Path) -> Path | None:
    """The checkout that a file belongs to; None for installed code, even in an environment inside a checkout."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return None
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


def recorded_environment() -> dict[str, Any]:
    """The environment and the code's provenance, as a manifest records them."""
    whole = environment() | {"variables": recorded_variables(), "code": provenance()}
    plain: dict[str, Any] = json.loads(json.dumps(whole))
    return plain
