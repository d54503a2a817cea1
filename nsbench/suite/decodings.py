"""Both decodings of a simulator, from one fit: an entry of a suite becomes two where the protocol asks for both."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from nsbench.components.simulator import SimulatorSpec
from nsbench.registry.loading import inner_specs
from nsbench.registry.registry import BrokenComponent, Registry, UnknownComponent
from nsbench.suite.places import Places
from nsbench.suite.yaml import Document

DRAWN = "-drawn"
"""The end of the name of a simulator whose sites are drawn, beside the same one with its likelier states."""


def expand_decodings(document: Document, registry: Registry) -> Document:
    """The document with two simulators, "mode" and "sample", for each that decodes, if the protocol asks for both.

    An entry that names its decoding stays as it is.
    """
    entries, protocol = document.data.get("simulators"), document.data.get("protocol") or {}
    if not isinstance(entries, list) or not isinstance(protocol, dict) or protocol.get("decode", "both") != "both":
        return document
    places = document.places.branch("simulators")
    expanded: list[Any] = []
    branches: dict[str | int, Places] = {}
    for i, entry in enumerate(entries):
        for each in _both(entry) if _decodes(entry, registry) else [entry]:
            branches[len(expanded)] = places.branch(i)
            expanded.append(each)
    multiplied = document.places.with_branch(("simulators",), Places(places.place, branches))
    return Document({**document.data, "simulators": expanded}, multiplied)


def _decodes(entry: Any, registry: Registry) -> bool:
    if not isinstance(entry, dict) or entry.get("decode") is not None or not isinstance(entry.get("use"), str):
        return False
    params = entry.get("params") or {}
    try:
        spec = registry.spec("simulator", entry["use"])
        specs = [spec, *inner_specs(registry, spec, params)] if isinstance(params, dict) else [spec]
    except (UnknownComponent, BrokenComponent, ValidationError):
        return False  # the reader says so
    return any(isinstance(spec, SimulatorSpec) and spec.decodes for spec in specs)


def _both(entry: dict[str, Any]) -> list[dict[str, Any]]:
    name, series = entry.get("as") or entry["use"], entry.get("series")
    drawn = {"as": f"{name}{DRAWN}", "decode": "sample"}
    if isinstance(series, str) and series:
        drawn["series"] = f"{series}{DRAWN}"
    return [entry | {"decode": "mode"}, entry | drawn]
