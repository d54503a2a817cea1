"""YAML files as plain data, with the place in the file that each piece of it came from.

A file may come from anybody: nothing in it is run, and reading it is never slow, whatever its anchors repeat.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nsbench.errors import Refusal
from nsbench.foreign_files import open_regular
from nsbench.names import hidden_character, printable
from nsbench.suite.places import At, Places, path_text

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
MAX_FAULTS = 50
"""The most faults of a suite that are looked into, and told."""

_TOO_DEEP = f"nested too deeply: {MAX_DEPTH} levels are enough"
_TOO_MANY = f"more than {MAX_VALUES:,} values, with what anchors repeat and what is extended"

_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "map", "seq")}


@dataclass(frozen=True)
class Fault:
    """A fault of a suite. origin: file and line. path: of the value in the data. message: what is wrong."""

    origin: str
    path: str
    message: str

    def __str__(self) -> str:
        """The fault in one line, without characters that could control a terminal."""
        return printable(": ".join(part for part in (self.origin, self.path, self.message) if part))


class SuiteError(Refusal):
    """A suite that cannot be used, with its faults; the message tells the first MAX_FAULTS of them."""

    def __init__(self, faults: list[Fault]) -> None:
        more = f"{faults[0].origin}: there are more faults; mend these first"
        super().__init__("\n".join([*map(str, faults[:MAX_FAULTS]), *([more] if len(faults) > MAX_FAULTS else [])]))
        self.faults = faults


@dataclass
class Allowance:
    """What may still be read of a suite and of those that it extends, all together: bytes, and values."""

    bytes: int = field(default_factory=lambda: MAX_BYTES)
    values: int = field(default_factory=lambda: MAX_VALUES)


@dataclass
class Document:
    """A YAML document. data: mappings, lists, strings, numbers. places: of its parts. faults: of reading it."""

    data: Any
    places: Places = field(default_factory=Places)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, at: At, message: str) -> Fault:
        """A fault of the value at `at`, with its place."""
        return Fault(self.places.nearest(at), path_text(at), message)

    def overlay(self, other: Document) -> Document:
        """This document with another laid over it: mappings merge, everything else is replaced."""
        data, places = _merge(self.data, other.data, self.places, other.places)
        return Document(data, places, self.faults + other.faults)


def read_document(path: Path, left: Allowance | None = None) -> Document:
    """Parse a YAML file. left: what may be read, less afterwards. Raises SuiteError where it is missing or not YAML."""
    name, left = str(path), left or Allowance()
    try:
        with open_regular(path) as file:
            content = file.read(left.bytes + 1)
    except FileNotFoundError:
        raise SuiteError([Fault(name, "", "no such file")]) from None
    except (OSError, ValueError) as error:
        raise SuiteError([Fault(name, "", f"cannot be read: {error}")]) from error
    left.bytes -= len(content)
    if left.bytes < 0:
        raise SuiteError([Fault(name, "", f"a suite has at most {MAX_BYTES:,} bytes, with those that it extends")])
    try:
        return parse(content.decode(), name, left)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SuiteError([Fault(f"{name}:{line}", "", f"cannot be read: it must be UTF-8 ({error.reason})")]) from None


def parse(text: str, name: str, left: Allowance | None = None) -> Document:
    """Parse YAML text; `name` stands for the file in messages. left: what may be read. Raises SuiteError."""
    left = left or Allowance()
    try:
        node = _Loader(text, left.values).get_single_node()
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
    reader = _Reader(name, left)
    data, places = reader.read(node, (), _line(name, node), ())
    return Document(data, places, reader.faults)


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


class _Loader(yaml.SafeLoader):
    """A loader of YAML's safe types that reads 1e-3 as a number and dates as text. Depth and nodes are limited.

    What the versions of YAML read differently (1:30, 010, yes) is text to it, which ``parse`` refuses.
    """

    def __init__(self, text: str, values: int = MAX_VALUES) -> None:
        super().__init__(text)
        self._depth, self._left = 0, 2 * values  # a value of a mapping has a key

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._left -= 1
        for wrong, fault in ((self._depth > MAX_DEPTH, _TOO_DEEP), (self._left < 0, _TOO_MANY)):
            if wrong:
                raise yaml.composer.ComposerError(None, None, fault, self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_OTHERWISE = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}
"""The tags of values that this loader tells apart by rules of its own."""

_Loader.yaml_implicit_resolvers = {
    key: [(tag, rule) for tag, rule in rules if tag not in _OTHERWISE]
    for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)

_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)$"), list("-+0123456789")
)

_Loader.add_implicit_resolver(
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


def _line(name: str, node: yaml.Node) -> str:
    return f"{name}:{node.start_mark.line + 1}"


class _Reader:
    """The reader of a file's nodes as plain data, with their places. faults: what it found wrong."""

    def __init__(self, name: str, left: Allowance) -> None:
        self.faults: list[Fault] = []
        self._name, self._left, self._scalars = name, left, _Loader("")

    def read(self, node: yaml.Node, at: At, place: str, around: tuple[int, ...]) -> tuple[Any, Places]:
        """(data, places) of a node. place: its own, or its key's; around: ids of the nodes that contain it."""
        self._left.values -= 1
        for wrong, fault in ((self._left.values < 0, _TOO_MANY), (len(around) >= MAX_DEPTH, _TOO_DEEP)):
            if wrong:
                raise SuiteError([Fault(_line(self._name, node), path_text(at), fault)])
        if id(node) in around:
            self._add(node, at, "an anchor may not contain itself")
        elif node.tag not in _PLAIN_TAGS:
            self._add(node, at, f"plain data only, no {node.tag.replace('tag:yaml.org,2002:', '!!')}")
        elif isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at), Places(place)
        else:
            return self._collection(node, at, place, (*around, id(node)))
        return None, Places(place)

    def _add(self, node: yaml.Node, at: At, message: str) -> None:
        self.faults.append(Fault(_line(self._name, node), path_text(at), message))

    def _collection(self, node: yaml.Node, at: At, place: str, around: tuple[int, ...]) -> tuple[Any, Places]:
        data: dict[Any, Any] = {}
        within: dict[str | int, Places] = {}
        for key, child, line in self._items(node, at, within):
            within[key] = Places(line)  # so that a second one is told where the first is, whatever this one holds
            data[key], within[key] = self.read(child, (*at, key), line, around)
        return (data if isinstance(node, yaml.MappingNode) else list(data.values())), Places(place, within)

    def _items(self, node: yaml.Node, at: At, earlier: Mapping[Any, Places]) -> Iterator[tuple[Any, yaml.Node, str]]:
        """(key or number, node, place) of the entries of a mapping or a list. earlier: those that it had so far."""
        if isinstance(node, yaml.SequenceNode):
            yield from ((i, child, _line(self._name, child)) for i, child in enumerate(node.value))
            return
        for key_node, child in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self._add(key_node, at, "keys must be plain words")
            elif hidden := hidden_character(key):
                self._add(key_node, (*at, key), f"a key may not hold {hidden}")
            elif key in earlier:
                first = earlier[key].place.rpartition(":")[2]
                self._add(key_node, (*at, key), f"duplicate key, first given in line {first}")
            else:
                yield key, child, _line(self._name, key_node)

    def _scalar(self, node: yaml.ScalarNode, at: At) -> Any:
        try:
            value = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._scalars.recursive_objects.clear()  # else an alias of it would be taken for one that holds itself
            self._add(node, at, f"cannot be read: {error}")
            return None
        wrong = _unfit(value) or (_ambiguous(value) if isinstance(value, str) and node.style is None else "")
        if wrong:
            self._add(node, at, wrong)
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


def _merge(base: Any, over: Any, places: Places, new: Places) -> tuple[Any, Places]:
    """(data, places) of `over` laid over `base`. places: those of `base`; new: those of `over`."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over, new
    merged, within = dict(base), dict(places.within)
    for key, value in over.items():
        merged[key], within[key] = value, new.branch(key)
        if key in base:
            merged[key], within[key] = _merge(base[key], value, places.branch(key), new.branch(key))
    return merged, Places(places.place, within)
