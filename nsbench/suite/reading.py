"""The reader of suite files: extends, overrides, grids, and every fault with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nsbench.names import NAME, bad_name, did_you_mean, without_credentials
from nsbench.registry.loading import full_params, params_model, wrapper_params
from nsbench.registry.registry import BrokenComponent, Kind, Registry, UnknownComponent
from nsbench.suite.decodings import expand_decodings
from nsbench.suite.faults import by_place, explained
from nsbench.suite.grids import MAX_TRIALS, expand_grids
from nsbench.suite.places import At, Places
from nsbench.suite.suite import SECTIONS, SimulatorUse, Suite, Use
from nsbench.suite.yaml import (
    MAX_DEPTH,
    MAX_FAULTS,
    Allowance,
    Document,
    Fault,
    SuiteError,
    parse_value,
    read_document,
)

MAX_SCORES = 100_000
MAX_EXTENDS = 16


def read_suite(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> Suite:
    """Read, overlay, check and resolve a suite file.

    overrides: "protocol.horizon=32", typed as in the file. In the returned suite grids are multiplied out,
    every use has its name and every component its full parameters. Raises SuiteError with all faults.
    """
    document = _with_extends(path, (), Allowance())
    for text in overrides:
        document = override(text, document)
    return resolve(document, registry)


def resolve(document: Document, registry: Registry) -> Suite:
    """A checked suite from a document; see read_suite."""
    faults = list(document.faults)
    # A part that could not be read has a fault already; further faults at its path follow from that one.
    unread_count, unread = len(faults), {fault.path for fault in faults}
    if not isinstance(document.data, dict):
        raise SuiteError([*faults, document.fault((), "a suite is a mapping with datasets, simulators, metrics")])
    document = expand_decodings(expand_grids(document, faults), registry)
    suite: Suite | None = None
    try:
        suite = Suite.model_validate(document.data)
    except ValidationError as error:
        faults += explained(error, Suite, document, ())
    full = _check_components(document, registry, faults)
    if suite is not None:
        faults += islice(_faults_of_names(suite, document), MAX_FAULTS + 1)
    if faults or suite is None:
        reported = [f for k, f in enumerate(faults) if k < unread_count or f.path not in unread]
        raise SuiteError(sorted(set(reported), key=by_place))
    return suite.model_copy(update={section: _filled(section, getattr(suite, section), full) for section in SECTIONS})


def _with_extends(path: Path, seen: tuple[Path, ...], left: Allowance) -> Document:
    """The document of a file, laid over those that it extends. seen: the files that led here; left: for the others."""
    if path.resolve() in seen:
        raise SuiteError([Fault(str(path), "extends", "a suite may not extend itself")])
    document = read_document(path, left)
    if not isinstance(document.data, dict) or "extends" not in document.data:
        return document
    base = document.data.pop("extends")
    if not isinstance(base, str):
        raise SuiteError([document.fault(("extends",), "must be the path of a suite")])
    target = path.parent / base
    if len(seen) >= MAX_EXTENDS:
        raise SuiteError([document.fault(("extends",), f"a chain of more than {MAX_EXTENDS} suites")])
    if not _is_file(target):
        raise SuiteError([document.fault(("extends",), f"no such file: {target}")])
    return _with_extends(target, (*seen, path.resolve()), left).overlay(document)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or none at all
        return False


def override(text: str, document: Document) -> Document:
    """The document with a value set in it. text: "a.b[0].c=value". Raises SuiteError."""
    where, equals, value = text.partition("=")
    origin = f"--set {without_credentials(text)}"
    at: At = tuple(int(part) if _is_index(part) else part for part in re.findall(r"[^.\[\]]+", where))
    if not equals or not at or len(at) > MAX_DEPTH:
        raise SuiteError([Fault(origin, "", "must be path=value, e.g. protocol.horizon=32")])
    try:
        data = _set(document.data, at, parse_value(value))
    except LookupError as error:
        raise SuiteError([Fault(origin, "", str(error.args[0]))]) from None
    except SuiteError as error:
        raise SuiteError([Fault(origin, "", error.faults[0].message)]) from None
    return Document(data, document.places.with_branch(at, Places(origin)), document.faults)


def _is_index(part: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", part) is not None


def _set(data: Any, at: At, value: Any) -> Any:
    if not at:
        return value
    part, rest = at[0], at[1:]
    if isinstance(part, int):
        if not isinstance(data, list) or part >= len(data):
            raise LookupError(f"there is no entry [{part}]")
        return [_set(entry, rest, value) if i == part else entry for i, entry in enumerate(data)]
    if data is not None and not isinstance(data, dict):
        shown = without_credentials(repr(data))[:40]
        raise LookupError(f"{part!r} cannot be set in {shown}, which is not a mapping")
    return {**(data or {}), part: _set((data or {}).get(part), rest, value)}


def _check_components(
    document: Document, registry: Registry, faults: list[Fault]
) -> dict[tuple[str, int], dict[str, Any]]:
    """Check each component's name and parameters; returns the parameters in full, by list and index.

    Where faults are many, the check ends early.
    """
    full: dict[tuple[str, int], dict[str, Any]] = {}
    for section, (kind, _) in SECTIONS.items():
        entries = document.data.get(section)
        for i, entry in enumerate(entries if isinstance(entries, list) else []):
            if len(faults) > MAX_FAULTS:
                return full
            entry = {"use": entry} if isinstance(entry, str) and kind == "metric" else entry
            if not isinstance(entry, dict) or not isinstance(entry.get("use"), str):
                continue  # reported by the suite's own schema
            params = _checked(kind, entry["use"], entry.get("params", {}), document, (section, i), registry, faults)
            if params is not None:
                full[section, i] = params
    return full


def _checked(
    kind: Kind, name: str, params: Any, document: Document, at: At, registry: Registry, faults: list[Fault]
) -> dict[str, Any] | None:
    """The parameters of a component in full, and of the simulator that it is made of; None where there is a fault.

    at: the place of its entry, {use: …, params: …}.
    """
    try:
        spec = registry.spec(kind, name)
        model = params_model(spec)
    except (UnknownComponent, BrokenComponent) as error:
        faults.append(document.fault((*at, "use"), str(error)))
        return None
    if not isinstance(params, dict):
        return None  # reported by the suite's own schema
    try:
        full = full_params(spec, params)
        wrapper = wrapper_params(spec, full)
    except ValidationError as error:
        faults += explained(error, model, document, (*at, "params"))
        return None
    except BrokenComponent as error:
        faults.append(document.fault((*at, "params"), str(error)))
        return None
    if wrapper is None:
        return full
    at = (*at, "params", "of")
    inner = _checked("simulator", wrapper.of.use, wrapper.of.params, document, at, registry, faults)
    return None if inner is None else full | {"of": {"use": wrapper.of.use, "params": inner}}


def _faults_of_names(suite: Suite, document: Document) -> Iterator[Fault]:
    """The faults of names: each must be unique and safe as a folder name, and those referred to must exist.

    Simulators may share a name where no dataset meets two of them.
    """
    if not NAME.fullmatch(suite.name):
        yield document.fault(("name",), bad_name(suite.name))
    trials = len(suite.datasets) * len(suite.simulators) * suite.replicates
    if trials > MAX_TRIALS:
        yield document.fault(("replicates",), f"{trials:,} trials; a suite has at most {MAX_TRIALS:,}")
    scores = trials * len(suite.metrics)
    if trials <= MAX_TRIALS and scores > MAX_SCORES:
        text = f"{trials:,} trials by {len(suite.metrics):,} metrics; a suite has at most {MAX_SCORES:,} scores"
        yield document.fault(("metrics",), text)
    datasets = {use.name for use in suite.datasets}
    for section in SECTIONS:
        names: dict[tuple[str, str], int] = {}
        for i, use in enumerate(getattr(suite, section)):
            if not NAME.fullmatch(use.name):
                yield document.fault((section, i, "as"), bad_name(use.name))
            met = (datasets if use.on is None else use.on) if isinstance(use, SimulatorUse) else [""]
            claims = [(use.name, dataset) for dataset in met]
            taken = [names[claim] for claim in claims if claim in names]
            if taken:
                first = document.places.nearest((section, min(taken))).rpartition(":")[2]
                text = f"the name {use.name!r:.80} is taken (line {first}); tell them apart with `as:`"
                yield document.fault((section, i), text)
            for claim in claims:
                names.setdefault(claim, i)
    for i, data in enumerate(suite.datasets):
        if data.fit_on is not None and data.fit_on not in datasets:
            yield document.fault(("datasets", i, "fit_on"), _no_dataset(data.fit_on, datasets))
    metrics = {use.name for use in suite.metrics}
    if suite.primary is not None and suite.primary not in metrics:
        text = f"no metric {suite.primary!r:.80} in this suite{did_you_mean(suite.primary, metrics)}"
        yield document.fault(("primary",), text)
    for i, simulator in enumerate(suite.simulators):
        if simulator.series and not NAME.fullmatch(simulator.series):
            yield document.fault(("simulators", i, "series"), bad_name(simulator.series))
        for k, name in enumerate(simulator.on or []):
            if name not in datasets:
                yield document.fault(("simulators", i, "on", k), _no_dataset(name, datasets))


def _no_dataset(name: str, datasets: set[str]) -> str:
    return f"no dataset {name!r:.80}{did_you_mean(name, datasets)}"


def _filled(section: str, uses: list[Use], full: dict[tuple[str, int], dict[str, Any]]) -> list[Use]:
    """The uses with their names and all of their parameters written out, and without grids."""
    multiplied: dict[str, Any] = {"grid": {}, "tries": None} if section == "simulators" else {}
    return [
        use.model_copy(update={"as_": use.name, "params": full[section, i]} | multiplied) for i, use in enumerate(uses)
    ]
