"""Checkpoints of a training: one file that is there whole or not at all, and nothing in it is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from nsbench.store.checked import read_checked, write_checked


def write_checkpoint(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors as safetensors, with the facts as JSON in the file's header and a checksum at its end."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_checked(path, save(on_cpu, {"facts": json.dumps(facts)}))


def read_checkpoint(path: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a checkpoint. It is read, not mapped: another process may replace the file meanwhile.

    Raises Damaged where the file has changed since it was written.
    """
    content = read_checked(path)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # safetensors: length, JSON, data
    facts: dict[str, Any] = json.loads(header["__metadata__"]["facts"])
    return {name: tensor.to(device) for name, tensor in load(content).items()}, facts


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer, "<position of the weight>.<name>" -> tensor."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`, each tensor in the memory layout of its weight: fused steps rely on it."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, name = key.split(".")
        weight = weights[int(position)]
        laid_out = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        state.setdefault(int(position), {})[name] = laid_out
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
