"""A file of test cases for a simulator elsewhere: the start of every case, and nothing of its future.

    /case        int64[n]              0, 1, …, n − 1
    /start       float32[n, C, H, W]   frame 0; attribute names: the channels
    /params      float64[n, P]         attributes names, units, hidden (1 or 0): of the parameters
    /stop_sites  uint8[H, W]           1 where an attached site ends a rollout

Attributes of the file: see ``describe``. docs/scoring.md is the page for readers of such files.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nsbench.components.protocol import Protocol
from nsbench.store.files import whole
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain

FORMAT = "nsbench cases"
VERSION = 1


def write_cases(path: Path, test: Trajectories, protocol: Protocol, *, suite: str, dataset: str, key: str) -> None:
    """Write the cases of framed test trajectories to a file, whole or not at all. key: of the test data."""
    start = test.start()
    packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    with whole(path) as draft, h5py.File(draft, "w") as file:
        file.attrs.update(describe(start, protocol) | {"suite": suite, "dataset": dataset, "test": key})
        file["case"] = np.arange(len(start))
        states = file.create_dataset("start", data=start.frame(0), **packing)
        states.attrs["names"] = list(start.domain.channels)
        params = file.create_dataset("params", data=start.params)
        params.attrs["names"] = [p.name for p in start.domain.parameters]
        params.attrs["units"] = [p.unit for p in start.domain.parameters]
        params.attrs["hidden"] = np.array([p.hidden for p in start.domain.parameters], np.uint8)
        file["stop_sites"] = start.domain.stop_sites().astype(np.uint8)


def describe(start: Trajectories, protocol: Protocol) -> dict[str, Any]:
    """The attributes of the file: what the cases are, and how they are to be simulated."""
    domain = start.domain
    return {
        "format": FORMAT,
        "version": VERSION,
        "cases": cases_digest(start, protocol),
        "lattice": domain.lattice,
        "states": domain.states,
        "labels": domain.labels,
        "boundaries": ", ".join(domain.boundaries),
        "condition": domain.condition,
        "clock": domain.clock,
        "stride": protocol.stride,
        "horizon": protocol.horizon,
        "members": protocol.members,
        "stop_margin": -1 if domain.stop_margin is None else domain.stop_margin,
        "stop_rule": stop_rule(domain),
        "domain": json.dumps(domain.describe()),
    }


def stop_rule(domain: Domain) -> str:
    """The rule by which a rollout ends, in words."""
    if domain.stop_margin is None:
        return "a rollout ends at the horizon"
    return "a rollout ends with the first frame in which one of /stop_sites is attached, or at the horizon"


def cases_digest(start: Trajectories, protocol: Protocol) -> str:
    """A digest that is equal for cases that ask the same of a simulator, however and wherever they were made."""
    request = {name: getattr(protocol, name) for name in ("stride", "horizon", "members")}
    digest = hashlib.sha256(json.dumps([start.domain.describe(), request], sort_keys=True).encode())
    for array in (start.params, start.frame(0)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
