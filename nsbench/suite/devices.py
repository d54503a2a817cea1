"""Device and precision of networks: the meaning of "auto" on this machine."""

from __future__ import annotations

from typing import Literal

from nsbench.components.protocol import Device, Precision
from nsbench.store.environment import cpu_flags, cuda_capability, cuda_devices


def resolve_precision(wanted: Literal["auto", "float32", "bfloat16"], device: Device) -> Precision:
    """The precision of networks: "auto" is bfloat16 where the device multiplies it natively, else float32.

    Elsewhere bfloat16 is emulated, and several times slower.
    """
    if wanted != "auto":
        return wanted
    native = cuda_capability() >= 8 if device == "cuda" else bool({"avx512_bf16", "amx_bf16"} & cpu_flags())
    return "bfloat16" if native else "float32"


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """The device of networks: "auto" is the GPU where there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    return "cuda" if cuda_devices() else "cpu"
