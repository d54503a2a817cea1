"""Weights on disk: safetensors, and JSON with the facts of the simulator that they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load, save_file
from torch import Tensor, nn


def save_weights(directory: Path, module: nn.Module, facts: dict[str, Any]) -> None:
    """Write weights.safetensors and model.json into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(tensors, directory / "weights.safetensors")
    (directory / "model.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_facts(directory: Path) -> dict[str, Any]:
    """The facts that `save_weights` was given."""
    facts: dict[str, Any] = json.loads((directory / "model.json").read_text(encoding="utf-8"))
    return facts


def load_weights(directory: Path, module: nn.Module) -> None:
    """Read weights into a module of the same architecture. Raises ValueError that names the differences."""
    tensors = load((directory / "weights.safetensors").read_bytes())  # not mapped: the file may be replaced meanwhile
    if differences := _differences(module.state_dict(), tensors):
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise ValueError(f"these weights are of another architecture: {shown}")
    module.load_state_dict(tensors)


def _differences(expected: dict[str, Tensor], tensors: dict[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing" for name in expected if name not in tensors]
    unknown = [f"{name} is not in the model" for name in tensors if name not in expected]
    shapes = [
        f"{name} is {list(tensors[name].shape)} and should be {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    return shapes + missing + unknown
