"""YAML files as plain data, with the place in the file that each piece of it came from.

A file may come from anybody: nothing in it is run, and reading it is never slow, whatever its anchors repeat.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nsbench.errors import Refusal
from nsbench.names import hidden_character, printable, without_credentials

At = tuple[str | int, ...]
"""The path of a value in the data, e.g. ("simulators", 1, "params", "width")."""

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1

_TOO_DEEP = f"nested too deeply: {MAX_DEPTH} levels are enough"
_TOO_MANY = f"more than {MAX_VALUES:,} values, what anchors repeat included"

_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "map", "seq")}


@dataclass(frozen=True)
class Fault:
    """A fault of a suite. origin: file and line. path: of the value in the data. message: what is wrong."""

    origin: str
    path: str
    message: str

    def __str__(self) -> str:
        """The fault in one line, without passwords in addresses, or characters that could control a terminal."""
        return printable(without_credentials(": ".join(filter(None, (self.origin, self.path, self.message)))))


class SuiteError(Refusal):
    """A suite that cannot be used, with all of its faults."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@dataclass
class Document:
    """A YAML document. data: mappings, lists, strings, numbers. places: path -> its place in a file, "file:line".

    faults: found while reading it. values: how many it holds, repeats by anchors included.
    """

    data: Any
    places: dict[At, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    values: int = 0

    def place(self, at: At) -> str:
        """The place of `at`, or of the nearest path around it that has one."""
        while at and at not in self.places:
            at = at[:-1]
        return self.places.get(at, "")

    def fault(self, at: At, message: str) -> Fault:
        """A fault of the value at `at`, with its place."""
        return Fault(self.place(at), path_text(at), message)

    def overlay(self, other: Document) -> Document:
        """This document with another laid over it: mappings merge, everything else is replaced."""
        merged = Document(self.data, dict(self.places), self.faults + other.faults)
        merged.data = _merge(self.data, other.data, (), merged.places, other.places)
        return merged


def path_text(at: At) -> str:
    """A path as text: ("simulators", 1, "params") -> "simulators[1].params"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)
    return text.removeprefix(".")


def read_document(path: Path) -> Document:
    """Parse a YAML file. Raises SuiteError for a file that is missing, empty or not YAML."""
    name = str(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SuiteError([Fault(name, "", "no such file")]) from None
    except (OSError, ValueError) as error:
        raise SuiteError([Fault(name, "", f"cannot be read: {error}")]) from error
    if len(content) > MAX_BYTES:
        raise SuiteError([Fault(name, "", f"a suite has at most {MAX_BYTES:,} bytes, this has {len(content):,}")])
    try:
        return parse(content.decode(), name)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SuiteError([Fault(f"{name}:{line}", "", f"cannot be read: it must be UTF-8 ({error.reason})")]) from None


def parse(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in messages. Raises SuiteError."""
    try:
        node = yaml.compose(text, Loader=SuiteLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise SuiteError([Fault(f"{name}{line}", "", f"not YAML: {error.problem or error.context}")]) from None
    except yaml.reader.ReaderError as error:
        line = f":{text.count(chr(10), 0, error.position) + 1}"
        raise SuiteError([Fault(f"{name}{line}", "", f"not YAML: {error.reason}: {error.character:#x}")]) from None
    except yaml.YAMLError as error:
        raise SuiteError([Fault(name, "", f"not YAML: {error}")]) from None
    if node is None:
        raise SuiteError([Fault(name, "", "the file is empty; a suite needs datasets, simulators and metrics")])
    document = Document(None)
    document.data = _data(node, (), document, name, ())
    return document


def parse_value(text: str) -> Any:
    """A value as the command line gives it, typed as in a file. Raises SuiteError."""
    if not text.strip():
        return None
    document = parse(text, "--set")
    if document.faults:
        raise SuiteError(document.faults)
    return document.data


_AMBIGUOUS = {
    re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?"): (
        "is a number of base 60 to some programs and text to others: write a duration with its unit (90s, 1.5m), and "
        "text in quotes"
    ),
    re.compile(r"[-+]?0[\d_]+|[-+]?0o[0-7_]+"): (
        "has base 8 to some programs and base 10 to others: write the number without the leading 0, and text in quotes"
    ),
    re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"): (
        "is a truth value to some programs and text to others: write true or false, and text in quotes"
    ),
}
"""What YAML 1.1 and 1.2 read differently -> the message that refuses it."""


class SuiteLoader(yaml.SafeLoader):
    """A loader of YAML's safe types that reads 1e-3 as a number and dates as text. Depth and nodes are limited.

    What the versions of YAML read differently (1:30, 010, yes) is text to it, which ``parse`` refuses.
    """

    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        for wrong, fault in ((self.depth > MAX_DEPTH, _TOO_DEEP), (self.nodes > 2 * MAX_VALUES, _TOO_MANY)):
            if wrong:
                raise yaml.composer.ComposerError(None, None, fault, self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_OTHERWISE = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}
"""The tags of values that this loader tells apart by rules of its own."""

SuiteLoader.yaml_implicit_resolvers = {
    key: [(tag, rule) for tag, rule in rules if tag not in _OTHERWISE]
    for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

SuiteLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)

SuiteLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)$"), list("-+0123456789")
)

SuiteLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\.\d[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


class _Dumper(yaml.SafeDumper):
    """A dumper that puts text in quotes where YAML of any version would take it for something else."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "'" if text[:1] in "-+.0123456789" or _ambiguous(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def dump(data: Any) -> str:
    """Plain data as YAML that ``parse`` reads back equal."""
    text: str = yaml.dump_all([data], Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _data(node: yaml.Node, at: At, document: Document, name: str, around: tuple[int, ...]) -> Any:
    """The plain data of a node; places and faults go into the document. around: ids of the nodes that contain it."""
    place = f"{name}:{node.start_mark.line + 1}"
    document.places.setdefault(at, place)
    document.values += 1
    if document.values > MAX_VALUES:
        raise SuiteError([Fault(place, path_text(at), _TOO_MANY)])
    if len(around) >= MAX_DEPTH:
        raise SuiteError([Fault(place, path_text(at), _TOO_DEEP)])
    if id(node) in around:
        document.faults.append(Fault(place, path_text(at), "an anchor may not contain itself"))
        return None
    if node.tag not in _PLAIN_TAGS:
        document.faults.append(
            Fault(place, path_text(at), f"plain data only, no {node.tag.replace('tag:yaml.org,2002:', '!!')}")
        )
        return None
    around = (*around, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_data(child, (*at, i), document, name, around) for i, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, document, name, around)
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, at, document, place)


def _mapping(node: yaml.MappingNode, at: At, document: Document, name: str, around: tuple[int, ...]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = f"{name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            document.faults.append(Fault(place, path_text(at), "keys must be plain words"))
            continue
        key = str(key_node.value)
        if hidden := hidden_character(key):
            document.faults.append(Fault(place, path_text((*at, key)), f"a key may not hold {hidden}"))
            continue
        if key in data:
            first = document.places[(*at, key)].rpartition(":")[2]
            document.faults.append(Fault(place, path_text((*at, key)), f"duplicate key, first given in line {first}"))
            continue
        document.places[(*at, key)] = place
        data[key] = _data(value_node, (*at, key), document, name, around)
    return data


def _scalar(node: yaml.ScalarNode, at: At, document: Document, place: str) -> Any:
    try:
        value = SuiteLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        document.faults.append(Fault(place, path_text(at), f"cannot be read: {error}"))
        return None
    wrong = _unfit(value) or (_ambiguous(value) if isinstance(value, str) and node.style is None else "")
    if wrong:
        document.faults.append(Fault(place, path_text(at), wrong))
    return None if wrong else value


def _unfit(value: object) -> str:
    """The fault of a value that YAML allows and a suite does not; "" if there is none."""
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return f"an integer is at most {MAX_INTEGER:,}"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    hidden = hidden_character(value) if isinstance(value, str) else ""
    return f"text may not hold {hidden}" if hidden else ""


def _ambiguous(text: str) -> str:
    """The fault of a text without quotes that other programs may read as something else; "" if there is none."""
    return next((f"{text:.40} {fault}" for rule, fault in _AMBIGUOUS.items() if rule.fullmatch(text)), "")


def _merge(base: Any, over: Any, at: At, places: dict[At, str], new: dict[At, str]) -> Any:
    """The data `over` laid over `base`. places: those of `base`, brought up to date with `new`, those of `over`."""
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for key, value in over.items():
            inner = (*at, key)
            merged[key] = _merge(base[key], value, inner, places, new) if key in base else value
            if key not in base:
                places.update({k: v for k, v in new.items() if k[: len(inner)] == inner})
        return merged
    for key in [k for k in places if k[: len(at)] == at]:
        del places[key]
    places.update({k: v for k, v in new.items() if k[: len(at)] == at})
    return over
