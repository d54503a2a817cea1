"""Domains of files: read from the JSON that Domain.describe writes, and merged for several files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field, ValidationError

from nsbench.components.component import Params
from nsbench.components.format import Header
from nsbench.trajectories.domain import Boundary, Clock, Domain, Lattice, Parameter, States, Symmetry
from nsbench_formats.observables import with_observables

SAME_DT = 1e-3
"""Time steps that differ by less, relative to them, are the same."""
_MOST_CHARACTERS = 1_000_000


class _Parameter(Params):
    name: str
    low: float
    high: float
    unit: str
    hidden: bool = False


class _Observable(Params):
    name: str
    unit: str


class _Domain(Params):
    lattice: Lattice
    shape: tuple[int, int]
    channels: tuple[str, ...] = Field(min_length=1)
    states: States
    parameters: tuple[_Parameter, ...]
    condition: str
    observables: tuple[_Observable, ...]
    clock: Clock
    stride: None
    stop_margin: int | None
    boundaries: tuple[Boundary, Boundary] = ("open", "open")
    labels: int = 0
    symmetries: tuple[Symmetry, ...] = ()
    dt: float | None = None
    time_unit: str = "1"
    units: tuple[str, ...] = ()
    space: str = ""


def domain_from(text: str) -> Domain:
    """The domain that a text from ``json.dumps(domain.describe())`` describes, before framing.

    Observables are functions, which files do not hold: growth gets its area and boundary, labels the number of unlike
    bonds and the largest share, fields their moments, whatever the text calls them. Raises ValueError for text that is
    no such description.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"its domain is not one: {len(text):,} characters, {_MOST_CHARACTERS:,} are enough")
    try:
        d = _Domain.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"its domain is not one: {place + ': ' if place else ''}{first['msg']}") from error
    if d.space:
        raise ValueError(f"its domain names the state space {d.space!r:.80}, which is code: no file says what is run")
    if d.condition not in [p.name for p in d.parameters]:
        raise ValueError(f"its domain is not one: condition {d.condition!r} is none of its parameters")
    domain = Domain(
        lattice=d.lattice,
        shape=d.shape,
        channels=d.channels,
        states=d.states,
        parameters=tuple(Parameter(p.name, p.low, p.high, p.unit, p.hidden) for p in d.parameters),
        condition=d.condition,
        observables=(),
        clock=d.clock,
        stop_margin=d.stop_margin,
        boundaries=d.boundaries,
        labels=d.labels,
        symmetries=d.symmetries,
        dt=d.dt,
        time_unit=d.time_unit,
        units=d.units,
    )
    return with_observables(domain)


def domain_text(domain: Domain) -> str:
    """The domain as JSON, for files."""
    return json.dumps(domain.describe())


def merged(domains: Sequence[Domain]) -> Domain:
    """The domain of all of these together: the parameters' ranges are joined, all else must agree.

    A time step may be rounded, or told by some of them only. Raises ValueError that names what differs.
    """
    first = replace(domains[0], dt=next((d.dt for d in domains if d.dt is not None), None))
    parameters = [
        replace(p, low=min(q.low for q in ranges), high=max(q.high for q in ranges))
        for p, ranges in zip(first.parameters, zip(*(d.parameters for d in domains), strict=False), strict=False)
    ]
    joined = replace(first, parameters=tuple(parameters))
    for domain in domains:
        facts = replace(domain, parameters=_without_ranges(domain), dt=_common(domain.dt, first.dt)).describe()
        expected = replace(first, parameters=_without_ranges(first)).describe()
        differing = [name for name in expected if expected[name] != facts[name]]
        if differing:
            raise ValueError(f"trajectories of different domains: {', '.join(differing)} differ")
    return joined


def _common(dt: float | None, expected: float | None) -> float | None:
    """The expected time step, if this one is the same or not told; else this one."""
    same = dt is None or expected is None or abs(dt - expected) <= SAME_DT * abs(expected)
    return expected if same else dt


def common_dt(headers: Mapping[Path, Header]) -> float | None:
    """The time step that all of these files have; None where none says it. Raises ValueError that names two others."""
    said = {path: header.dt for path, header in headers.items() if header.dt is not None}
    if not said:
        return None
    (first, dt), *_ = said.items()
    for path, other in said.items():
        if abs(other - dt) > SAME_DT * dt:
            raise ValueError(
                f"{path.name} has a time step of {other:.6g}, {first.name} one of {dt:.6g}: a frame would mean two "
                "times. Give each time step a dataset of its own"
            )
    return dt


def _without_ranges(domain: Domain) -> tuple[Parameter, ...]:
    return tuple(replace(p, low=0, high=0) for p in domain.parameters)
