"""Rollouts made elsewhere, read from a file and checked: a fault in them is reported before anything is scored.

    /arrival  int32[r, H, W]              growth: the frame in which a site attached, 0 at the start, −1 never; or
    /labels   uint8[r, T, H, W]           labels, frame by frame; uint16 for more than 256 of them; or
    /values   float32[r, T, C, H, W]      states, frame by frame; of growth 0 or 1, which may be uint8
    /lengths  int32[r]                    frames of each rollout, the first included
    /case     int32 or int64[r]           which case each rollout belongs to; without it cases × members in order
    /params   float64[r, P]               a check: they must be those of the case
    /likelihood/nats  float64[b]          every transition of the test data, trajectory by trajectory; attributes: kind,
                                          and of an "elbo" samples
    /cost             attributes          what the rollouts took, as their maker declares it

r = n cases × members. The attribute "cases" of the file is that of the cases file. docs/scoring.md is the page
for writers of such files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Cost, Likelihood
from nsbench.components.protocol import Device, LikelihoodKind, Protocol
from nsbench.submissions.cases import cases_digest
from nsbench.submissions.strict_hdf5 import Fault, Shape, array, first, group, opened, require_known, word
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.kinds import KINDS
from nsbench.trajectories.labels import LabelTrajectories, label_type

_STATES = ("arrival", "labels", "values")
_ENTRIES = (*_STATES, "lengths", "case", "params", "likelihood", "cost")
_COSTS: dict[str, type] = {
    "ms_per_trajectory": float,
    "ms_per_trajectory_alone": float,
    "batch": int,
    "threads": int,
    "device": str,
}
_MORE_COSTS: dict[str, type] = {
    "fit_seconds": float,
    "parameters": int,
    "flops_per_trajectory": float,
    "peak_bytes": int,
    "machine": str,
}


@dataclass(frozen=True, eq=False)
class RolloutFile:
    """The content of a file of rollouts, checked.

    rollouts: cases × members, the members of a case side by side. cost: as declared, None where nothing was.
    machine: the one that the cost was measured on, in the maker's words. digest: of all of this content.
    """

    rollouts: Trajectories
    members: int
    likelihood: Likelihood | None
    cost: Cost | None
    machine: str
    digest: str


def read_rollouts(path: Path, test: Trajectories, protocol: Protocol) -> RolloutFile:
    """Read a file of rollouts of the cases of framed test trajectories, and check it.

    Raises UnreadableData, naming the file, the dataset in it and the fault.
    """
    with opened(path) as file:
        require_known(file, _ENTRIES)
        if sum(name in file for name in _STATES) != 1:
            raise Fault("", "must hold one of /arrival, /labels, /values")
        case = _cases(file, test, protocol)
        rollouts = _rollouts(file, test, protocol, case)
        likelihood = _likelihood(file, test)
        cost, machine = _cost(file)
    digest = _digest(rollouts, likelihood, cost, machine)
    return RolloutFile(rollouts, protocol.members, likelihood, cost, machine, digest)


def _cases(file: h5py.File, test: Trajectories, protocol: Protocol) -> NDArray[np.int64]:
    """The case of each rollout, int64[r]. Something in the file must say that it is about these cases."""
    expected, digest = cases_digest(test.start(), protocol), file.attrs.get("cases")
    if digest is not None and word(digest) != expected:
        raise Fault("attribute 'cases'", f"other cases than the suite's: {word(digest)!r:.60}, must be {expected!r}")
    count = len(test) * protocol.members
    case = np.repeat(np.arange(len(test)), protocol.members)
    if "case" in file:
        case = array(file, "case", (np.int32, np.int64), (count,)).astype(np.int64)
        _check_case_counts(case, len(test), protocol.members)
    if "params" in file:
        params = array(file, "params", (np.float64,), (count, test.params.shape[1]))
        for k, _ in first(params != test.params[case]):
            raise Fault("/params", f"rollout {k} does not have the parameters of case {case[k]}")
    elif digest is None:
        fault = "nothing says which cases these are: copy the attribute 'cases', or /params, from the cases file"
        raise Fault("", fault)
    return case


def _check_case_counts(case: NDArray[np.int64], cases: int, members: int) -> None:
    if case.min() < 0 or case.max() >= cases:
        raise Fault("/case", f"cases are numbered 0 to {cases - 1}, got {case.min()} to {case.max()}")
    counts = np.bincount(case, minlength=cases)
    for (k,) in first(counts != members):
        raise Fault("/case", f"every case needs {members} rollouts, case {k} has {counts[k]}")


def _rollouts(file: h5py.File, test: Trajectories, protocol: Protocol, case: NDArray[np.int64]) -> Trajectories:
    """The rollouts in cases × members order."""
    domain, count, horizon = test.domain, len(case), protocol.horizon
    lengths = array(file, "lengths", (np.int32,), (count,))
    for (k,) in first((lengths < 1) | (lengths > horizon + 1)):
        raise Fault(
            "/lengths",
            f"a rollout has 1 to {horizon + 1} frames (its start and a horizon of {horizon}), "
            f"rollout {k} has {lengths[k]}",
        )
    params, dense = test.params[case], "values" in file
    rollouts: Trajectories
    name = next(name for name in _STATES if name in file)
    if name not in (KINDS[domain.states].held, "values"):
        raise Fault(f"/{name}", f"these systems' states are {domain.states}; give /values")
    if domain.states == "labels":
        frames = _values(file, domain, lengths, horizon, name)
        rollouts = LabelTrajectories(params, lengths, domain, _labels_of(frames, domain, name))
    elif domain.states == "growth":
        arrival = _arrival_of(_values(file, domain, lengths, horizon)) if dense else _arrival(file, domain, lengths)
        rollouts = GrowthTrajectories(params, lengths, domain, arrival)
    else:
        rollouts = FieldTrajectories(params, lengths, domain, _values(file, domain, lengths, horizon))
    _check_start_and_end(rollouts, test, case, name)
    return rollouts.select(np.argsort(case, kind="stable"))


def _arrival(file: h5py.File, domain: Domain, lengths: NDArray[np.int32]) -> NDArray[np.int32]:
    arrival = array(file, "arrival", (np.int32,), (len(lengths), *domain.shape))
    for k, i, j in first(arrival < -1):
        raise Fault("/arrival", f"must be a frame, or −1 for never; rollout {k} has {arrival[k, i, j]} at ({i}, {j})")
    for k, i, j in first(arrival >= lengths[:, None, None]):
        raise Fault(
            "/arrival",
            f"rollout {k} ends with frame {lengths[k] - 1}, but ({i}, {j}) attaches in frame {arrival[k, i, j]}",
        )
    return arrival


def _values(
    file: h5py.File, domain: Domain, lengths: NDArray[np.int32], horizon: int, name: str = "values"
) -> NDArray[Any]:
    """The states [r, T, C, H, W], or labels [r, T, H, W]; after the end of a rollout its last state is repeated."""
    dtypes: tuple[type[np.generic], ...] = (np.float32, np.uint8) if domain.states == "growth" else (np.float32,)
    shape: Shape = (len(lengths), "T", len(domain.channels), *domain.shape)
    if name == "labels":
        dtypes, shape = (label_type(domain.labels),), (len(lengths), "T", *domain.shape)
    values = array(file, name, dtypes, shape, most=horizon + 1)
    for (k,) in first(lengths > values.shape[1]):
        raise Fault("/lengths", f"rollout {k} has {lengths[k]} frames, /{name} holds {values.shape[1]}")
    frame = np.minimum(np.arange(int(lengths.max())), lengths[:, None] - 1)  # [r, T]
    values = values[np.arange(len(values))[:, None], frame]
    for k, t, *_ in first(~np.isfinite(values)):
        raise Fault("/values", f"rollout {k} is not finite in frame {t}")
    return values


def _labels_of(values: NDArray[Any], domain: Domain, name: str) -> NDArray[np.unsignedinteger[Any]]:
    """The labels [r, T, H, W] of /labels [r, T, H, W], or of /values [r, T, 1, H, W]."""
    values = values.reshape(*values.shape[:2], *domain.shape)
    for k, t, i, j in first((values < 0) | (values >= domain.labels) | (values != np.rint(values))):
        raise Fault(
            f"/{name}",
            f"labels are whole numbers from 0 to {domain.labels - 1}; rollout {k} has {values[k, t, i, j]:g} in frame "
            f"{t} at ({i}, {j})",
        )
    return values.astype(label_type(domain.labels))


def _arrival_of(values: NDArray[Any]) -> NDArray[np.int32]:
    """The arrival maps int32[r, H, W] of states [r, T, 1, H, W], which must be 0 or 1 and never melt."""
    attached = values[:, :, 0] == 1
    for k, t, i, j in first(~attached & (values[:, :, 0] != 0)):
        value = values[k, t, 0, i, j]
        raise Fault("/values", f"growth is 0 or 1; rollout {k} has {value} in frame {t} at ({i}, {j})")
    for k, t, i, j in first(attached[:, :-1] & ~attached[:, 1:]):
        raise Fault("/values", f"growth never melts; rollout {k} has ({i}, {j}) attached in frame {t}, not in {t + 1}")
    return np.where(attached.any(axis=1), attached.argmax(axis=1), -1).astype(np.int32)


def _check_start_and_end(rollouts: Trajectories, test: Trajectories, case: NDArray[np.int64], name: str) -> None:
    for k, *_ in first(rollouts.frame(0) != test.frame(0)[case]):
        raise Fault(f"/{name}", f"rollout {k} does not begin with the start state of case {case[k]}")
    stopped = rollouts.stopped().lengths
    for (k,) in first(stopped != rollouts.lengths):
        raise Fault(
            "/lengths",
            f"rollout {k} goes on after frame {stopped[k] - 1}, in which the stop rule holds: "
            f"end it there, with {stopped[k]} frames",
        )


def _likelihood(file: h5py.File, test: Trajectories) -> Likelihood | None:
    if "likelihood" not in file:
        return None
    said = group(file, "likelihood", ("nats",), ("kind", "samples")).attrs
    kind = word(said.get("kind", ""))
    if kind not in get_args(LikelihoodKind):
        raise Fault("/likelihood", f"attribute 'kind' must be {', '.join(get_args(LikelihoodKind))}; got {kind!r}")
    index, t = test.transitions()
    nats = array(file, "likelihood/nats", (np.float64,), (len(index),))
    for (k,) in first(~np.isfinite(nats)):
        raise Fault("/likelihood/nats", f"entry {k}, of case {index[k]} from frame {t[k]} to the next, is {nats[k]}")
    if kind == "exact" and test.domain.states != "fields":
        for (k,) in first(nats > 1e-9):
            raise Fault("/likelihood/nats", f"entry {k} is {nats[k]:g}; no probability of a state is above 1 (0 nats)")
    samples = _declared("samples", said.get("samples", 1), int, "/likelihood")
    return Likelihood(cast(LikelihoodKind, kind), nats, bounds={samples: nats} if kind == "elbo" else {})


def _cost(file: h5py.File) -> tuple[Cost | None, str]:
    """The cost as declared, and the machine that it was measured on; (None, "") where nothing is declared."""
    if "cost" not in file:
        return None, ""
    kinds = _COSTS | _MORE_COSTS
    declared = group(file, "cost", (), tuple(kinds)).attrs
    if missing := [name for name in _COSTS if name not in declared]:
        raise Fault("/cost", f"lacks the attribute {missing[0]!r}; a declared cost has all of {', '.join(_COSTS)}")
    values = {name: _declared(name, value, kinds[name]) for name, value in declared.items()}
    if values["device"] not in get_args(Device):
        raise Fault("/cost", f"device must be {' or '.join(get_args(Device))}, got {values['device']!r}")
    machine = values.pop("machine", "")
    return Cost(**values), machine


def _declared(name: str, value: Any, kind: type, where: str = "/cost") -> Any:
    """The value of an attribute, as a word or as a number above zero. where: the group that has it."""
    if kind is str:
        return word(value)
    entry = np.asarray(value)
    if entry.size != 1 or entry.dtype.kind not in "iuf" or not np.isfinite(entry).all() or entry.item() <= 0:
        raise Fault(where, f"{name} must be one number above 0, got {value!r:.60}")
    number = entry.item()
    if kind is int and number != int(number):
        raise Fault(where, f"{name} must be a whole number, got {number:g}")
    return kind(number)


def _digest(rollouts: Trajectories, likelihood: Likelihood | None, cost: Cost | None, machine: str) -> str:
    """A digest of the content, not of the file: it is the same for rollouts that are packed or ordered otherwise."""
    words: dict[str, Any] = {
        "kind": likelihood.label if likelihood else None,
        "cost": asdict(cost) if cost else None,
        "machine": machine,
    }
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    arrays = rollouts.arrays() | ({"nats": likelihood.nats} if likelihood else {})
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]
