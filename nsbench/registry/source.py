"""The digest of a component's code: when it changes, the component's artifacts must be made anew.

A Merkle digest over syntax trees, read off the source; nothing is imported. The digest of a module is that of its
syntax tree (syntax.py beside this file), in which an import stands as the digest of the module that it leads to, and
of the `__init__` of every package that Python runs on the way. Names of modules and folders are nowhere in it: code may
move, a package may be cut in two, and no key changes. Compiled extensions count by their bytes, literal
`import_module("…")` calls as imports, and files that a spec names by path and bytes; of installed libraries the
versions count, and those of what they require.

Imports are followed that lead to nsbench, to a plugin, or to code that was never installed. Left out are hook
implementations and the code that only they use, which name components and compute nothing; blocks under TYPE_CHECKING;
libraries that change no numbers. The digest cannot see modules imported by a computed name, nor files that a component
opens and its spec does not name: such a component makes nothing (opened.py beside this file).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

import nsbench
from nsbench.errors import Refusal
from nsbench.registry.imports import is_library, top_of
from nsbench.registry.libraries import HARMLESS_LIBRARIES, NUMERIC_LIBRARIES, versions
from nsbench.registry.syntax import MARK, Import, Statement, UnreadableSource, read_statements, without_hooks

SCHEME = "merkle1:"
"""The prefix of these digests. Digests without it are of an older scheme, in which names of modules counted."""

_EMPTY = "nothing"
"""The digest of a module without code."""

_NEVER_FOLLOWED = {*sys.stdlib_module_names, *HARMLESS_LIBRARIES, *NUMERIC_LIBRARIES}

_TOOLS = frozenset({"API_VERSION", "Session", "conformance", "hookimpl", "load", "open_session", "results", "run"})
"""Names of nsbench that find, announce or run code and compute nothing: the code itself is in the key."""


class SourceNotFound(Refusal):
    """A component without readable source, whose results could not be told from stale ones."""


def source_digest(targets: Sequence[str], packages: Iterable[str]) -> tuple[str, dict[str, str]]:
    """(digest, versions) of the code behind "module:name" targets (a component's class, its parameters' class), and of
    files beside a module, "module/path".

    packages: top-level packages whose modules are followed, beside the targets' own. versions: of the libraries that
    change the numbers of this code, by distribution. Raises SourceNotFound.
    """
    return Sources({*packages, *map(top_of, targets)}).digest(targets)


def source_files(targets: Sequence[str], packages: Iterable[str]) -> tuple[Path, ...]:
    """The files that the digest of these targets covers, sorted. Raises SourceNotFound."""
    return tuple(sorted(set(Sources({*packages, *map(top_of, targets)}).files(targets).values())))


@dataclass(frozen=True)
class Node:
    """A module in a digest. wanted: the names that are used of it; its hooks are then left out. None for all of it.

    passed: whether it is a package that Python only runs on the way to a module inside.
    """

    module: str
    wanted: frozenset[str] | None = None
    passed: bool = False


Lead = tuple[str, Node | str]
"""The target of an imported name: (attribute, its module), or (attribute, name of a library)."""


@dataclass(frozen=True)
class Module:
    """A module's part of a digest.

    path: its file. text: its syntax, with numbers in place of imported modules. names: (a number or a name, its
    targets). packages: those that Python runs on the way to it. libraries: distributions that it imports.
    """

    path: Path
    text: str
    names: tuple[tuple[str, tuple[Lead, ...]], ...]
    packages: tuple[Node, ...]
    libraries: frozenset[str]

    def nodes(self) -> list[Node]:
        """The modules on whose digests its own depends."""
        leads = [target for _, targets in self.names for _, target in targets if isinstance(target, Node)]
        return [*leads, *self.packages]

    def digest(self, digests: Mapping[Node, str]) -> str:
        """The module's digest, given those of its nodes. It does not depend on the order of imports."""
        lines = sorted(f"{name}={_rendered(targets, digests)}" for name, targets in self.names)
        around = sorted({digests[node] for node in self.packages} - {_EMPTY, ""})
        return _hash(self.text, *lines, *around) if self.text or lines or around else _EMPTY


def _rendered(targets: Iterable[Lead], digests: Mapping[Node, str]) -> str:
    return ",".join(f"{name}@{digests[to] if isinstance(to, Node) else to}" for name, to in targets)


def _merkle(modules: Mapping[Node, Module]) -> dict[Node, str]:
    """The digest of each module, found in steps: each step computes all digests from those of the step before.

    Without circles of imports nothing changes any more after the longest chain. Modules that import each other in a
    circle are told apart by as many steps as there are modules.
    """
    digests = dict.fromkeys(modules, "")
    for _ in range(len(modules) + 1):
        latest = {node: module.digest(digests) for node, module in modules.items()}
        if latest == digests:
            break
        digests = latest
    return digests


def _sorted_out(targets: Iterable[str]) -> tuple[list[str], list[str]]:
    """Targets apart: those of code, and those of other files."""
    targets = list(targets)
    return [t for t in targets if "/" not in t], [t for t in targets if "/" in t]


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class Sources:
    """The code that lies on disk now. Every module is read once: keep an instance for one plan or check, no longer."""

    def __init__(self, packages: Iterable[str]) -> None:
        importlib.invalidate_caches()
        self._packages = frozenset(packages)
        self._homes = {name for top in self._packages for name in distributions().get(top, [])}
        self._specs: dict[str, ModuleSpec | None] = {}
        self._followed: dict[str, bool] = {}
        self._modules: dict[Node, Module] = {}

    def digest(self, targets: Iterable[str]) -> tuple[str, dict[str, str]]:
        """(digest, versions) of the code behind targets, as of ``source_digest``; their packages must be followed."""
        code, data = _sorted_out(targets)
        roots = [self._root(target) for target in code]
        modules = self._reachable(roots)
        digests = _merkle(modules)
        libraries = {name for module in modules.values() for name in module.libraries}
        contents = {_hash(name, _checksum(file)) for target in data for name, file in self._beside(target)}
        return SCHEME + _hash(*sorted({digests[root] for root in roots} | contents)), versions(libraries)

    def files(self, targets: Iterable[str]) -> dict[str, Path]:
        """The files in the digest of these targets: of each module by its name, of others by target."""
        code, data = _sorted_out(targets)
        modules = self._reachable([self._root(target) for target in code])
        files = {node.module: module.path for node, module in modules.items()}
        return files | {f"{target}/{name}": file for target in data for name, file in self._beside(target)}

    def _beside(self, target: str) -> list[tuple[str, Path]]:
        """(path, file) of what "module/path" names: the file, or all files below the folder, byte code left out."""
        module, _, name = target.partition("/")
        home = self.file(module)
        place = home.parent / name if home else None
        if place is None or not place.exists():
            where = f"{home.parent}" if home else f"no source found for module {module!r}"
            raise SourceNotFound(f"the file {name!r}, which a spec names, is not there: {where}")
        files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
        return [(f.relative_to(place.parent).as_posix(), f) for f in files if f.suffix != ".pyc"]

    def places(self, targets: Iterable[str]) -> dict[str, Path]:
        """The same files, by their paths below the folder from which they are imported: "nsbench/names.py".

        In a copy of the code that has these files at these paths, the targets have the same digest.
        """
        code, data = _sorted_out(targets)
        places = {_place(module, path): path for module, path in self.files(code).items()}
        for target in data:
            module = target.partition("/")[0]
            home = self.file(module)
            assert home is not None  # a digest is made of modules that are there
            folder = Path(_place(module, home)).parent
            places |= {(folder / f.relative_to(home.parent)).as_posix(): f for _, f in self._beside(target)}
        return places

    def _root(self, target: str) -> Node:
        module, _, name = target.partition(":")
        if self.file(module) is None:
            raise SourceNotFound(f"no source found for module {module!r}")
        return Node(module, frozenset({name}))

    def _reachable(self, roots: Iterable[Node]) -> dict[Node, Module]:
        """Every module that the roots lead to, themselves included."""
        modules: dict[Node, Module] = {}
        todo = list(roots)
        while todo:
            node = todo.pop()
            if node not in modules:
                modules[node] = self._module(node)
                todo += modules[node].nodes()
        return modules

    def _module(self, node: Node) -> Module:
        if node not in self._modules:
            self._modules[node] = self._read(node)
        return self._modules[node]

    def _read(self, node: Node) -> Module:
        path = self.file(node.module)
        assert path is not None
        packages = () if node.passed else self._packages_around(node.module)
        if path.suffix != ".py":
            return Module(path, _checksum(path), (), packages, frozenset())
        try:
            statements = read_statements(path)
        except UnreadableSource as error:
            raise SourceNotFound(str(error)) from error
        if node.wanted is not None:
            statements = without_hooks(statements, node.wanted)
        return _Reading(self, node.module, path).module(path, statements, packages)

    def _packages_around(self, module: str) -> tuple[Node, ...]:
        """The packages that Python runs before a module, without nsbench itself, which only passes names on."""
        parts = module.split(".")
        names = [".".join(parts[:k]) for k in range(1, len(parts))]
        return tuple(Node(name, frozenset(), passed=True) for name in names if name != "nsbench" and self.file(name))

    def file(self, module: str) -> Path | None:
        """The file that Python would run for a module; None for a namespace, and for a module that does not exist."""
        spec = self._spec(module)
        path = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
        return path if path is not None and path.is_file() else None

    def folders(self, top: str) -> list[Path]:
        """The folders of a top-level package; of a module the file, or its folder where it was never installed."""
        spec = self._spec(top)
        if spec is not None and spec.submodule_search_locations is not None:
            return [Path(place) for place in spec.submodule_search_locations]
        file = self.file(top)
        return [] if file is None else [file if is_library(str(file)) else file.parent]

    def _spec(self, module: str) -> ModuleSpec | None:
        """The spec of a module, by Python's own finder; None if it does not exist. Its packages are not run."""
        if module not in self._specs:
            package, _, _ = module.rpartition(".")
            if not package:
                self._specs[module] = _top_spec(module)
            else:
                parent = self._spec(package)
                places = parent.submodule_search_locations if parent else None
                self._specs[module] = PathFinder.find_spec(module, list(places)) if places else None
        return self._specs[module]

    def library(self, module: str) -> str | None:
        """The distribution of a library that changes numbers; None for one that changes none, and Python's own."""
        top = module.partition(".")[0]
        if top in NUMERIC_LIBRARIES:
            return NUMERIC_LIBRARIES.get(module, NUMERIC_LIBRARIES[top])
        if top in sys.stdlib_module_names or top in HARMLESS_LIBRARIES or self._spec(top) is None:
            return None
        return next(iter(distributions().get(top, [])), top)

    def is_followed(self, module: str) -> bool:
        """Whether an import leads to nsbench, to a plugin's distribution, or to code that was never installed."""
        top = module.partition(".")[0]
        if top not in self._followed:
            self._followed[top] = top in self._packages or (top not in _NEVER_FOLLOWED and self._is_plugin_code(top))
        return self._followed[top]

    def _is_plugin_code(self, top: str) -> bool:
        """Whether a top-level module lies loose on the path, or came with the distribution of a followed package."""
        return _is_loose(self._spec(top)) or bool(set(distributions().get(top, [])) & self._homes)


def _place(module: str, path: Path) -> str:
    """The path of a module's file below the folder from which it is imported."""
    parts = module.split(".")
    return "/".join([*(parts if path.stem == "__init__" else parts[:-1]), path.name])


class _Reading:
    """The imports of one module, and the text in which they are used."""

    def __init__(self, sources: Sources, name: str, path: Path) -> None:
        self._sources = sources
        self._package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self._leads: dict[str, list[Lead]] = {}
        self._modules: set[str] = set()  # local names that stand for modules
        self._libraries: set[str] = set()
        self._numbers: dict[tuple[Lead, ...], str] = {}
        self._used: set[str] = set()

    def module(self, path: Path, statements: Iterable[Statement], packages: tuple[Node, ...]) -> Module:
        """The module's part of the digest, from its statements."""
        statements = list(statements)
        for statement in statements:
            for imported in statement.imports:
                self._bind(imported)
        text = "\n".join(MARK.sub(self._resolve, statement.text) for statement in statements if statement.text)
        names = [(number, leads) for leads, number in self._numbers.items()]
        for local, leads in self._leads.items():
            if local not in self._modules:
                names.append((local, tuple(leads)))
            elif local not in self._used:
                names += [("!", (lead,)) for lead in leads]
        return Module(path, text, tuple(names), packages, frozenset(self._libraries))

    def _bind(self, imported: Import) -> None:
        name, target = self._lead(self._absolute(imported.module), imported.attribute)
        self._leads.setdefault(imported.local, []).append((name, target))
        if not name:
            self._modules.add(imported.local)

    def _lead(self, module: str, attribute: str | None) -> Lead:
        """The target of `import module`, or of `from module import attribute`."""
        whole = module if attribute is None else f"{module}.{attribute}"
        if not self._sources.is_followed(module):
            libraries = {self._sources.library(name) for name in (module, whole)}
            self._libraries |= {name for name in libraries if name}
            return (attribute or whole, module)
        if whole != "nsbench" and self._sources.file(whole):
            return ("", Node(whole))
        if attribute is None:
            return ("", "nsbench") if module == "nsbench" else (module, "missing")
        if module == "nsbench":
            return self._offered(attribute)
        return (attribute, Node(module)) if self._sources.file(module) else (attribute, "missing")

    def _offered(self, name: str) -> Lead:
        """The target of a name that nsbench itself passes on: in the module that defines it."""
        home = None if name in _TOOLS else nsbench.HOMES.get(name)
        return (name, "nsbench") if home is None else (name, Node(home))

    def _absolute(self, module: str) -> str:
        """The full name of a module that an import may name relatively, with leading dots."""
        level = len(module) - len(module.lstrip("."))
        if not level:
            return module
        parents = self._package.split(".")
        return ".".join([*parents[: len(parents) - level + 1], module[level:]]).rstrip(".")

    def _resolve(self, mark: re.Match[str]) -> str:
        """The text for a use of an imported name: of a module its number, of anything else the name."""
        dotted = mark[1]
        if dotted in self._modules and dotted.startswith("@"):
            return self._number(dotted, ())
        parts = dotted.split(".")
        for k in range(len(parts), 0, -1):  # `import a.b` binds a: a.b.c is c of a.b, a.x is x of a
            local = ".".join(parts[:k])
            if local in self._modules:
                return self._number(local, parts[k:])
            if any(name.startswith(f"{local}.") for name in self._modules) and self._sources.is_followed(local):
                return self._number_of((self._lead(local, None),), parts[k:])
        return dotted

    def _number(self, local: str, rest: Sequence[str]) -> str:
        self._used.add(local)
        return self._number_of(tuple(self._leads[local]), rest)

    def _number_of(self, leads: tuple[Lead, ...], rest: Sequence[str]) -> str:
        if leads == (("", "nsbench"),) and rest:
            leads, rest = (self._lead("nsbench", rest[0]),), rest[1:]
        number = self._numbers.setdefault(leads, f"<{len(self._numbers)}>")
        return ".".join([number, *rest])


def _top_spec(top: str) -> ModuleSpec | None:
    """The spec of a top-level module; finding it runs none of its code. None if it does not exist."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _is_loose(spec: ModuleSpec | None) -> bool:
    """Whether code lies on the path without being installed: a helper beside a plugin."""
    if spec is None:
        return False
    places = spec.submodule_search_locations
    paths = [Path(place) for place in places] if places is not None else []
    if places is None and spec.has_location and spec.origin:
        paths = [Path(spec.origin)]
    return any(not is_library(str(path)) for path in paths)


@cache
def distributions() -> dict[str, list[str]]:
    """The distributions that each top-level package or module came with."""
    return dict(packages_distributions())
