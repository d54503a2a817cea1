"""The digest of a component's code: what of it, when changed, must make its artifacts anew.

Read off the source, nothing is imported: from the component's module, every import that leads to nsbench, to
a plugin, or to code that was never installed is followed, so that helpers and base classes count and
unrelated modules do not. Comments, docstrings and layout change nothing. Of installed libraries the versions
count, except of those that change no numbers.

What it cannot see: modules imported by a computed name, and files that a component opens.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

NUMERIC_LIBRARIES = {
    "numba": "numba",
    "numpy": "numpy",
    "ot": "pot",
    "scipy": "scipy",
    "scoringrules": "scoringrules",
    "skimage": "scikit-image",
    "torch": "torch",
}
"""Import name -> distribution, of the libraries that change numbers."""

HARMLESS_LIBRARIES = {"h5py", "llvmlite", "matplotlib", "PIL", "pluggy", "pydantic", "rich", "safetensors", "yaml"}
"""Import names of libraries that carry, check or draw numbers, and change none. llvmlite is tied to numba."""


class SourceNotFound(Exception):
    """A component without readable Python source: its results could not be told from stale ones."""


def source_digest(target: str, packages: Iterable[str]) -> tuple[str, dict[str, str]]:
    """(digest, versions) of the code behind "module:name".

    packages: top-level packages whose modules are followed. versions: of the numeric libraries that this
    code imports, by distribution. Raises SourceNotFound.
    """
    modules, libraries = closure(target.partition(":")[0], frozenset(packages))
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(f"{name}\n{_parsed(modules[name])[0]}\n".encode())
    return digest.hexdigest()[:32], {d: _version(d) for d in sorted(libraries)}


def closure(module: str, packages: frozenset[str]) -> tuple[dict[str, Path], set[str]]:
    """(file by module, distributions): the code that a module runs, and the libraries that change its numbers."""
    found: dict[str, Path] = {}
    libraries: set[str] = set()
    todo = [module]
    own = packages | {module.partition(".")[0]}
    while todo:
        name = todo.pop()
        if name in found:
            continue
        path = _path(name)
        if path is None:
            if name == module:
                raise SourceNotFound(f"no Python source found for module {module!r}")
            continue  # a name imported from a module, not a module
        found[name] = path
        for imported in _parsed(path)[1]:
            absolute = _absolute(imported, name, path)
            top = absolute.partition(".")[0]
            if top in NUMERIC_LIBRARIES:
                libraries.add(NUMERIC_LIBRARIES[top])
            elif top in own or _is_loose(top):
                if absolute != "nsbench":  # its own module only passes names on
                    todo.append(absolute)
            elif distribution := _distribution(top):
                if distribution in _homes(own):
                    todo.append(absolute)
                else:
                    libraries.add(distribution)
    return found, libraries


@cache
def _is_loose(top: str) -> bool:
    """Whether an import leads to code that lies on the path without being installed: a helper beside a plugin."""
    if top in sys.stdlib_module_names or top in HARMLESS_LIBRARIES:
        return False
    return any(not _is_installed(path) for path in _places(_spec(top)))


def _places(spec: ModuleSpec | None) -> list[Path]:
    """Where a module lies: its file, or the folders of a package."""
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def _is_installed(path: Path) -> bool:
    named = {"site-packages", "dist-packages"} & set(path.parts)
    return bool(named) or any(path.is_relative_to(sysconfig.get_path(name)) for name in ("purelib", "platlib"))


@cache
def _distribution(top: str) -> str | None:
    """The installed distribution that an import leads to; None for Python's own modules and what is harmless."""
    if top in sys.stdlib_module_names or top in HARMLESS_LIBRARIES or _spec(top) is None:
        return None
    return next(iter(_distributions().get(top, [])), top)


@cache
def _homes(packages: frozenset[str]) -> set[str]:
    """The distributions that these packages came with: what else they brought is theirs too."""
    return {name for top in packages for name in _distributions().get(top, [])}


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def _spec(top: str) -> ModuleSpec | None:
    """Where a top-level module would be imported from; finding that runs nothing of it."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _path(module: str) -> Path | None:
    """The source file of a module, found without running it or its packages."""
    top, *rest = module.split(".")
    spec = _spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or []:
        base = Path(folder).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _absolute(imported: str, module: str, path: Path) -> str:
    level = len(imported) - len(imported.lstrip("."))
    if not level:
        return imported
    parents = module.split(".")
    drop = level - 1 if path.name == "__init__.py" else level
    return ".".join([*parents[: len(parents) - drop], imported[level:]]).rstrip(".")


def _parsed(path: Path) -> tuple[str, list[str]]:
    """(normalised source, imported names) of a file, read again when it changed."""
    status = path.stat()
    return _parse(path, status.st_mtime_ns, status.st_size)


@cache
def _parse(path: Path, modified: int, size: int) -> tuple[str, list[str]]:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise SourceNotFound(f"{path}: {error}") from error
    return _normal(tree), sorted(_imports(tree))


def _imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                if alias.asname is None:  # `import a.b` binds a, with what its own module defines
                    names.add(alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names.add(base)
            joint = "" if base.endswith(".") else "."
            names.update(f"{base}{joint}{alias.name}" for alias in node.names)
    return names


def _normal(node: object) -> str:
    """An abstract syntax tree as text, without docstrings, positions and whatever is empty."""
    if isinstance(node, list):
        return "[" + ",".join(_normal(n) for n in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment") or value is None or value == []:
            continue
        if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            value = [n for n in value if not _is_string(n)]
        parts.append(f"{name}={_normal(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
