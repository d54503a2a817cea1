"""What a trial's costs were measured on: they mean little beside those of another machine."""

from __future__ import annotations

import json

from nsbench.store.environment import hardware
from nsbench.store.store import Damaged, Store, read_manifest
from nsbench.suite.planner import Trial


def cost_hardware(store: Store, trial: Trial) -> str:
    """The hardware that the trial's rollouts were timed on, and its fit where that was another.

    "" where the evidence is not in the store: scores outlive it.
    """
    folder = store.path(trial.evidence)
    try:
        device = json.loads((folder / "cost.json").read_text(encoding="utf-8"))["device"]
        timed = hardware(read_manifest(folder)["environment"], device)
    except (OSError, ValueError, KeyError, TypeError, Damaged):
        return ""
    fitted = _fit_hardware(store, trial, device)
    return timed if fitted in ("", timed) else f"{timed}, fitted on {fitted}"


def _fit_hardware(store: Store, trial: Trial, device: str) -> str:
    """What the simulator was fitted on; "" for one that learns nothing, or where the model is gone."""
    try:
        manifest = read_manifest(store.path(trial.model))
    except Damaged:
        return ""
    return hardware(manifest["environment"], device) if manifest["facts"].get("fit_seconds") is not None else ""
