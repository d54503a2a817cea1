"""A component in a process of its own, which knows only the names that a worker is given.

    python -m nsbench.testing.other_process < job.json

Prints a line of JSON: {"bits": …} or {"error": …}.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsbench.components.component import ComponentSpec
from nsbench.components.dataset import Dataset
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import Simulator
from nsbench.registry.loading import build, params_model
from nsbench.stages.workshop import hold_threads
from nsbench.suite.seeds import generator
from nsbench.testing.small_data import Data, Source, bits

HEAVY = ("torch", "mlflow", "matplotlib")
"""Modules that listing plugins must not import."""

SECONDS = 120
"""The most seconds that a process may take, its start and imports included."""


@dataclass(frozen=True)
class Elsewhere:
    """The answer of another process. bits: of the rollouts or the data; heavy: modules imported to read the spec."""

    bits: str = ""
    heavy: tuple[str, ...] = ()
    error: str = ""


def elsewhere(job: dict[str, Any]) -> Elsewhere:
    """Do a job (see `_do`) in a new process with this one's module search path; returns its answer."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-P", "-m", "nsbench.testing.other_process"]
    try:
        process = subprocess.run(
            command,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Elsewhere(error=f"it did not end within {SECONDS} s")
    lines = process.stdout.splitlines()
    if process.returncode or not lines:
        complaints = process.stderr.strip().splitlines() or [f"it ended with code {process.returncode}"]
        return Elsewhere(error=complaints[-1])
    answer = json.loads(lines[-1])
    return Elsewhere(answer.get("bits", ""), tuple(answer.get("heavy", ())), answer.get("error", ""))


def rollout_job(
    spec: ComponentSpec, params: dict[str, Any], module: str, data: Data, conditions: Conditions, weights: Path
) -> dict[str, Any]:
    """The job of loading a simulator's weights and rolling out the data's starts with seed 0."""
    return _job("simulator", spec, params, module) | {
        "source": data.source.to_json(),
        "conditions": {name: getattr(conditions, name) for name in ("device", "precision", "decode")},
        "weights": str(weights),
    }


def data_job(spec: ComponentSpec, params: dict[str, Any], module: str) -> dict[str, Any]:
    """The job of making a dataset's test split with the seed that a suite would give it."""
    return _job("dataset", spec, params, module)


def _job(kind: str, spec: ComponentSpec, params: dict[str, Any], module: str) -> dict[str, Any]:
    names = {"name": spec.name, "target": spec.target, "params": spec.params}
    return {"kind": kind, "spec": names, "params": params, "module": module}


def _do(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job; returns the fields of its Elsewhere."""
    spec = ComponentSpec(**job["spec"])
    if job["module"]:
        importlib.import_module(job["module"])
    params_model(spec)
    heavy = [name for name in HEAVY if name in sys.modules]
    component = build(job["kind"], spec, job["params"])
    hold_threads(1)
    if isinstance(component, Dataset):
        data = Data(Source(spec.name, spec.target, spec.params, job["params"]))
        return {"heavy": heavy, "bits": bits(data.recorded("test"))}
    assert isinstance(component, Simulator)
    component.conditions = Conditions(**job["conditions"])
    component.load(Path(job["weights"]))
    data = Data(Source.from_json(job["source"]))
    return {"heavy": heavy, "bits": bits(component.rollout(data.starts(), data.horizon, generator([0])))}


def main() -> None:
    """Do the job on standard input."""
    with redirect_stdout(sys.stderr):  # a component may print
        try:
            answer = _do(json.loads(sys.stdin.read()))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
