"""The registry of plugins and of the components that they provide, which are not imported for it.

pluggy discovers plugins; it does not dispatch: every hook is called once, plugin by plugin, so that a broken plugin
is listed with its error and harms nothing else until a suite asks for it by name. One that is not nsbench's own is
imported on trial before (``trial_import``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path, PurePosixPath
from typing import Literal

import pluggy
from pluggy import HookImpl

from nsbench.components.component import Component, ComponentSpec
from nsbench.components.dataset import Dataset, DatasetSpec, SimulatorReference
from nsbench.components.events import Event
from nsbench.components.format import Format, FormatSpec
from nsbench.components.metric import Metric, MetricSpec
from nsbench.components.simulator import Simulator, SimulatorSpec
from nsbench.errors import Refusal
from nsbench.names import NAME, did_you_mean
from nsbench.registry import hooks
from nsbench.registry.hooks import API_VERSION
from nsbench.registry.imports import top_of
from nsbench.registry.plugin_files import UnusablePluginFile, modules_beside, named_files, place_of
from nsbench.registry.trial_import import Candidate, verdict

Kind = Literal["dataset", "simulator", "metric", "format"]
"""The kinds of component that plugins provide."""

KINDS: tuple[Kind, ...] = ("dataset", "simulator", "metric", "format")

HOOKS: dict[Kind, tuple[str, type[ComponentSpec], type[Component]]] = {
    "dataset": ("nsbench_datasets", DatasetSpec, Dataset),
    "simulator": ("nsbench_simulators", SimulatorSpec, Simulator),
    "metric": ("nsbench_metrics", MetricSpec, Metric),
    "format": ("nsbench_formats", FormatSpec, Format),
}
"""Kind -> the hook that lists such components, the class of their specs, their base class."""


class UnknownComponent(Refusal, LookupError):
    """A name that no plugin provides, or that more than one does."""


class BrokenComponent(Refusal):
    """A spec whose class or parameters cannot be imported, or are not what they should be."""


@dataclass
class Plugin:
    """A plugin that was found. error: why it cannot be used, or not all of it; "" if nothing is wrong.

    origin: its distribution and version, or its file. file: its path, for a plugin that was named by its file and is
    not installed; None for others.
    """

    name: str
    origin: str
    module: str
    error: str = ""
    file: Path | None = None
    specs: dict[Kind, list[ComponentSpec]] = field(default_factory=dict)


class Registry:
    """The plugins, and what they provide, by kind and name."""

    def __init__(self, points: Iterable[EntryPoint] | None = None, files: Iterable[Path] = ()) -> None:
        """points: the entry points to load; those of the group "nsbench" that are installed, if None.

        files: plugins that are not installed, each a Python file.
        """
        self._manager = pluggy.PluginManager("nsbench")
        self._manager.add_hookspecs(hooks)
        self.plugins: list[Plugin] = []
        self._providers: dict[Kind, dict[str, list[tuple[Plugin, ComponentSpec]]]] = {k: {} for k in HOOKS}
        points = entry_points(group="nsbench") if points is None else points
        found = [(_plugin(point), _candidate(point)) for point in sorted(points, key=lambda p: (p.name, p.value))]
        found += [(Plugin(f.stem, str(f), f.stem, file=f), Candidate(f.stem, f.stem, str(f))) for f in files]
        verdicts = verdict([candidate for plugin, candidate in found if not plugin.origin.startswith("nsbench ")])
        for plugin, candidate in found:
            self._add(plugin, candidate, verdicts.get(candidate.key, ""))

    def _add(self, plugin: Plugin, candidate: Candidate, fault: str) -> None:
        """Import a plugin and take it in, unless its trial has found a fault."""
        self.plugins.append(plugin)
        if fault:
            plugin.error = fault
            return
        try:
            self.register(plugin, candidate.load())
        except KeyboardInterrupt:
            raise  # the user's: a plugin's own was found in its trial
        except UnusablePluginFile as error:
            plugin.error = str(error)
        except BaseException as error:  # a script in place of a module ends the program
            plugin.error = f"{place_of(error, plugin.file) if plugin.file else ''}{in_a_line(error)}"

    def register(self, plugin: Plugin, implementation: object) -> None:
        """Take in a plugin's module or object. Faults of its hooks are put into plugin.error."""
        faults = _other_version(implementation) or self._misnamed(implementation)
        unique = f"{plugin.name} ({plugin.module})"
        if not faults:
            self._manager.register(implementation, name=unique)
            for kind in HOOKS:
                faults += self._ask(plugin, implementation, kind)
        plugin.error = "; ".join(faults)

    def _ask(self, plugin: Plugin, implementation: object, kind: Kind) -> list[str]:
        """Take in the specs that a plugin's hook returns; returns the faults of these."""
        hook, spec_type, _ = HOOKS[kind]
        if not hasattr(implementation, hook):
            return []
        try:
            specs = getattr(implementation, hook)()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return [f"{hook} raised {in_a_line(error)}"]
        if bad := _nonsense(hook, specs, spec_type):
            return [bad]
        plugin.specs[kind] = list(specs)
        for spec in specs:
            self._providers[kind].setdefault(spec.name, []).append((plugin, spec))
        return []

    def _misnamed(self, implementation: object) -> list[str]:
        """The faults of a plugin's names: marked hooks that do not exist, and hooks that are not marked."""
        hook_names = [name for name, _ in inspect.getmembers(hooks) if name.startswith("nsbench_")]
        faults = []
        for name in dir(implementation):
            is_marked = self._manager.parse_hookimpl_opts(implementation, name) is not None
            is_marked = is_marked or hasattr(getattr(implementation, name, None), "nsbench_impl")
            if is_marked and name not in hook_names:
                faults.append(f"no hook is called {name}{did_you_mean(name, hook_names)}")
            elif name in hook_names and not is_marked and callable(getattr(implementation, name)):
                faults.append(f"{name} is not marked with @nsbench.hookimpl")
        return faults

    def names(self, kind: Kind) -> list[str]:
        """The names of the components of a kind, sorted."""
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
        """The plugin that provides a component. Raises UnknownComponent."""
        self.spec(kind, name)
        return self.providers(kind, name)[0][0]

    def packages(self) -> set[str]:
        """Top-level packages of nsbench and its plugins: code whose changes must change keys."""
        specs = [spec for kind in HOOKS for claims in self._providers[kind].values() for _, spec in claims]
        modules = [target for spec in specs for target in spec.code()]
        modules += [plugin.module for plugin in self.plugins]
        neighbours = {name for plugin in self.plugins if plugin.file for name in modules_beside(plugin.file)}
        return {"nsbench"} | neighbours | set(map(top_of, modules))

    def files_of(self, package: str) -> list[str]:
        """The targets "module/path" of all files that specs of a top-level package name."""
        specs = [spec for kind in HOOKS for claims in self._providers[kind].values() for _, spec in claims]
        return sorted({t for spec in specs for t in spec.code() if "/" in t and top_of(t) == package})

    def listeners(self) -> list[tuple[str, Callable[[Event], None]]]:
        """The plugins that listen to events, as (name, function)."""
        implementations = self._manager.hook.nsbench_event.get_hookimpls()
        return [(f"plugin {each.plugin_name}", _listener(each)) for each in implementations]


def _listener(implementation: HookImpl) -> Callable[[Event], None]:
    """A plugin's nsbench_event as a function of an event, whether it wants that argument or not."""
    function = implementation.function

    def listen(event: Event) -> None:
        function(*([event] if implementation.argnames else []))

    return listen


@cache
def installed() -> Registry:
    """The registry of the installed plugins and of the plugin files that the environment names; made once."""
    return Registry(files=named_files())


def _plugin(point: EntryPoint) -> Plugin:
    origin = f"{point.dist.name} {point.dist.version}" if point.dist else "not installed"
    return Plugin(point.name, origin, point.value)


def _candidate(point: EntryPoint) -> Candidate:
    return Candidate(point.name, point.value)


def _other_version(implementation: object) -> list[str]:
    """The fault of a plugin that asks for a version of the plugin API which this nsbench does not speak; [] if none."""
    wanted = getattr(implementation, "nsbench_api", API_VERSION)
    if wanted == API_VERSION and type(wanted) is int:
        return []
    if type(wanted) is not int:
        return [f"nsbench_api must be a whole number, the plugin API's version ({API_VERSION}); it is {wanted!r:.80}"]
    remedy = "install a newer nsbench" if wanted > API_VERSION else "the plugin must be brought up to date"
    return [f"asks for version {wanted} of the plugin API; nsbench {version('nsbench')} speaks {API_VERSION}: {remedy}"]


def _nonsense(hook: str, specs: object, spec_type: type[ComponentSpec]) -> str:
    """The faults of what a hook returned, in one text; "" if there are none."""
    if not isinstance(specs, list | tuple) or not all(isinstance(s, spec_type) for s in specs):
        return f"{hook} must return a list of {spec_type.__name__}, got {specs!r:.80}"
    faults = [fault for spec in specs for fault in _faults_of(spec)]
    names = [spec.name for spec in specs if isinstance(spec.name, str)]
    faults += [f"lists {name!r} twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return f"{hook}: {'; '.join(faults)}" if faults else ""


def _faults_of(spec: ComponentSpec) -> list[str]:
    """The faults of a spec's fields."""
    if not isinstance(spec.name, str) or not NAME.fullmatch(spec.name):
        return [f"a name is letters, digits, '.', '_' and '-', at most 96, got {spec.name!r:.80}"]
    faults = []
    for field_name in ("target", "params", "reading", "writer"):
        text = getattr(spec, field_name, None)
        if (field_name == "target" or text is not None) and (not isinstance(text, str) or text.count(":") != 1):
            faults.append(f'{field_name} of {spec.name!r} is {text!r:.80}, which is not "module:name"')
    variables: object = spec.variables
    if not isinstance(variables, list | tuple) or not all(isinstance(v, str) and v.isidentifier() for v in variables):
        faults.append(f"variables of {spec.name!r} must be names of environment variables, got {variables!r:.80}")
    files: object = spec.files
    if not isinstance(files, tuple) or not all(isinstance(file, str) and _is_beside(file) for file in files):
        faults.append(f"files of {spec.name!r} must be a tuple of paths beside its module, got {files!r:.80}")
    summary: object = spec.summary
    if not isinstance(summary, str):
        faults.append(f"summary of {spec.name!r} must be a line of text, got {summary!r:.80}")
    for field_name in ("floor", "noise_free"):
        reference = getattr(spec, field_name, None)
        if reference is not None and not isinstance(reference, SimulatorReference):
            faults.append(f"{field_name} of {spec.name!r} must be a SimulatorReference, got {reference!r:.80}")
    return faults


def _is_beside(file: str) -> bool:
    """Whether a path leads to something at or below the folder from which it is read."""
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def in_a_line(error: BaseException) -> str:
    """An error's type and message, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
