"""Which plugins there are and what they provide, without importing what they provide.

pluggy discovers; it does not dispatch: every hook is asked once, plugin by plugin, so that a broken one is
listed with its error and harms nothing else until a suite asks for it by name.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar

import pluggy
from pydantic import BaseModel

from nsbench import hookspecs
from nsbench.components import (
    Component,
    ComponentSpec,
    Dataset,
    DatasetSpec,
    Metric,
    MetricSpec,
    Params,
    Simulator,
    SimulatorSpec,
)
from nsbench.events import Event
from nsbench.formats import Format, FormatSpec

Kind = Literal["dataset", "simulator", "metric", "format"]

KINDS: tuple[Kind, ...] = ("dataset", "simulator", "metric", "format")

_HOOKS: dict[Kind, tuple[str, type[ComponentSpec], type[Component]]] = {
    "dataset": ("nsbench_datasets", DatasetSpec, Dataset),
    "simulator": ("nsbench_simulators", SimulatorSpec, Simulator),
    "metric": ("nsbench_metrics", MetricSpec, Metric),
    "format": ("nsbench_formats", FormatSpec, Format),
}

Loaded = TypeVar("Loaded")


class UnknownComponent(LookupError):
    """A name that no plugin provides, or that more than one does."""


class BrokenComponent(Exception):
    """A spec whose class or parameters cannot be imported, or are not what they should be."""


class NoParams(Params):
    """The parameters of a component that has none."""


@dataclass
class Plugin:
    """A plugin as it was found. error: why nothing, or not all, of it can be used; "" if fine."""

    name: str
    origin: str
    module: str
    error: str = ""
    specs: dict[Kind, list[ComponentSpec]] = field(default_factory=dict)


class Registry:
    """The plugins, and what they provide, by kind and name."""

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        """points: the entry points to load; those of the group "nsbench" that are installed, if None."""
        self._manager = pluggy.PluginManager("nsbench")
        self._manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self._providers: dict[Kind, dict[str, list[tuple[Plugin, ComponentSpec]]]] = {k: {} for k in _HOOKS}
        found = entry_points(group="nsbench") if points is None else points
        for point in sorted(found, key=lambda p: (p.name, p.value)):
            self._add(point)

    def _add(self, point: EntryPoint) -> None:
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else "not installed"
        plugin = Plugin(point.name, origin, point.value)
        self.plugins.append(plugin)
        try:
            self.register(plugin, point.load())
        except Exception as error:
            plugin.error = f"{type(error).__name__}: {error}"

    def register(self, plugin: Plugin, implementation: object) -> None:
        """Take in a plugin's module or object. What is wrong with its hooks lands in plugin.error."""
        faults = self._misnamed(implementation)
        unique = f"{plugin.name} ({plugin.module})"
        if not faults:
            self._manager.register(implementation, name=unique)
        for kind, (hook, spec_type, _) in _HOOKS.items():
            if faults or not hasattr(implementation, hook):
                continue
            specs = getattr(implementation, hook)()
            bad = _nonsense(hook, specs, spec_type)
            if bad:
                faults.append(bad)
                continue
            plugin.specs[kind] = list(specs)
            for spec in specs:
                self._providers[kind].setdefault(spec.name, []).append((plugin, spec))
        plugin.error = "; ".join(faults)

    def _misnamed(self, implementation: object) -> list[str]:
        known = [name for name, _ in inspect.getmembers(hookspecs) if name.startswith("nsbench_")]
        faults = []
        for name in dir(implementation):
            marked = self._manager.parse_hookimpl_opts(implementation, name) is not None
            marked = marked or hasattr(getattr(implementation, name, None), "nsbench_impl")
            if marked and name not in known:
                faults.append(f"no hook is called {name}{did_you_mean(name, known)}")
            elif name in known and not marked and callable(getattr(implementation, name)):
                faults.append(f"{name} is not marked with @nsbench.hookimpl")
        return faults

    def names(self, kind: Kind) -> list[str]:
        return sorted(self._providers[kind])

    def providers(self, kind: Kind, name: str) -> list[tuple[Plugin, ComponentSpec]]:
        """Every plugin that claims the name; more than one is an error once the name is asked for."""
        return self._providers[kind].get(name, [])

    def spec(self, kind: Kind, name: str) -> ComponentSpec:
        """The spec of that name. Raises UnknownComponent."""
        claims = self.providers(kind, name)
        if len(claims) > 1:
            origins = " and ".join(f"{p.name} ({p.origin}, {p.module})" for p, _ in claims)
            raise UnknownComponent(f"{kind} {name!r} is claimed by {origins}: uninstall one of them")
        if not claims:
            broken = [f"{p.name} ({p.error})" for p in self.plugins if p.error]
            hint = f"; plugins with errors: {', '.join(broken)}" if broken else ""
            raise UnknownComponent(f"no {kind} {name!r}{did_you_mean(name, self.names(kind))}{hint}")
        return claims[0][1]

    def plugin_of(self, kind: Kind, name: str) -> Plugin:
        self.spec(kind, name)
        return self.providers(kind, name)[0][0]

    def packages(self) -> set[str]:
        """Top-level packages of nsbench and its plugins: code whose changes must change keys."""
        modules = [spec.target for kind in _HOOKS for claims in self._providers[kind].values() for _, spec in claims]
        modules += [plugin.module for plugin in self.plugins]
        return {"nsbench"} | {module.partition(":")[0].partition(".")[0] for module in modules}

    def notify(self, event: Event) -> list[str]:
        """Tell the plugins. Returns what went wrong, one line a plugin."""
        faults = []
        for implementation in self._manager.hook.nsbench_event.get_hookimpls():
            try:
                implementation.function(event)
            except Exception as error:
                faults.append(f"plugin {implementation.plugin_name}: {type(error).__name__}: {error}")
        return faults


@cache
def installed() -> Registry:
    """The registry of what is installed, made once."""
    return Registry()


def params_model(spec: ComponentSpec) -> type[BaseModel]:
    """The model of a component's parameters. Raises BrokenComponent."""
    if spec.params is None:
        return NoParams
    model = import_object(spec.params)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise BrokenComponent(f"{spec.params} of {spec.name!r} is not a pydantic model")
    return model


def build(kind: Kind, spec: ComponentSpec, params: Mapping[str, Any]) -> Component:
    """An instance of the component. Raises BrokenComponent, or pydantic's ValidationError."""
    model = params_model(spec).model_validate(dict(params))
    cls = import_object(spec.target)
    base = _HOOKS[kind][2]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise BrokenComponent(f"{spec.target} of {spec.name!r} is not a subclass of nsbench's {base.__name__}")
    try:
        return cls(model)
    except TypeError as error:
        raise BrokenComponent(f"{spec.target}: {error}") from error


def load(kind: Kind, name: str, **params: Any) -> Any:
    """A component by name, ready to use: ``nsbench.load("dataset", "lca", size=32)``.

    Raises UnknownComponent, BrokenComponent, or pydantic's ValidationError for wrong parameters.
    """
    return build(kind, installed().spec(kind, name), params)


def import_object(target: str) -> Any:
    """What "module:name" names. Raises BrokenComponent, with the import's own error behind it."""
    module, colon, name = target.partition(":")
    if not colon or not module or not name:
        raise BrokenComponent(f'{target!r} must be "module:name"')
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise BrokenComponent(f"{target} cannot be imported: {type(error).__name__}: {error}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" for the nearest known name, or what is known, or nothing."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def _nonsense(hook: str, specs: object, spec_type: type[ComponentSpec]) -> str:
    if not isinstance(specs, list | tuple) or not all(isinstance(s, spec_type) for s in specs):
        return f"{hook} must return a list of {spec_type.__name__}, got {specs!r:.80}"
    for spec in specs:
        for text in (spec.target, *(getattr(spec, name, None) for name in ("params", "reading", "writer"))):
            if text is not None and text.count(":") != 1:
                return f'{hook}: {spec.name!r} names {text!r}, which is not "module:name"'
    return ""
