"""What a trial's costs were measured on: they mean little beside those of another machine."""

from __future__ import annotations

import json

from nsbench.environment import hardware
from nsbench.plan import Trial
from nsbench.store import Damaged, Store, read_manifest


def cost_hardware(store: Store, trial: Trial) -> str:
    """The hardware that the trial's rollouts were timed on; "" where the evidence is not in the store."""
    folder = store.path(trial.evidence)
    try:
        cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
        return hardware(read_manifest(folder)["environment"], cost["device"])
    except (OSError, ValueError, KeyError, TypeError, Damaged):
        return ""  # scores outlive their evidence
