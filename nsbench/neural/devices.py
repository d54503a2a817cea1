"""The device and the precision of a network's computations."""

from __future__ import annotations

import torch

from nsbench.components.component import Unavailable
from nsbench.components.protocol import Conditions


def device_of(conditions: Conditions) -> torch.device:
    """The device of those conditions. Raises Unavailable for "cuda" where there is no CUDA device."""
    if conditions.device == "cuda" and not torch.cuda.is_available():
        raise Unavailable("device 'cuda' was asked for, but this torch finds no CUDA device; use device: cpu")
    return torch.device(conditions.device)


def autocast(conditions: Conditions) -> torch.autocast:
    """The context of a network's arithmetic: bfloat16 where asked for; weights and sums stay float32."""
    return torch.autocast(conditions.device, torch.bfloat16, enabled=conditions.precision == "bfloat16")
