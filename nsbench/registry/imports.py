"""Python's imports, as nsbench watches them: which code belongs to a library, a loader for code that does not, and
functions that are called when a module has been imported.

This module and bytecode.py beside it import nothing of nsbench: a worker begins with them.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

After = Callable[[ModuleType], None]
"""A function that is called with a module when its code has run."""

MakeLoader = Callable[[str, str], SourceFileLoader | None]
"""A function (name, path) -> the loader for a source file; None where Python's own is right."""


def top_of(target: str) -> str:
    """The top-level package, or module, of "a.b:name", of "a.b/file" or of "a.b"."""
    return re.split(r"[.:/]", target, maxsplit=1)[0]


def packages_of(distribution: str) -> set[str]:
    """The top-level packages and modules that a distribution installed, by the list of its files."""
    tops = {top.removesuffix(".py") for top in _tops(metadata.files(distribution))}
    return {name for name in tops if name.isidentifier()}


def _tops(files: Sequence[metadata.PackagePath] | None) -> set[str]:
    """The folders and files on top, of a distribution's list of files, that hold Python code or compiled modules."""
    return {file.parts[0] for file in files or [] if file.suffix in {".py", ".so", ".pyd"}}


def is_library(path: str) -> bool:
    """Whether a file was installed, or came with Python: code that changes with its version only."""
    return any(part in path for part in ("/site-packages/", "/dist-packages/")) or f"{path}/".startswith(_libraries())


@cache
def _libraries() -> tuple[str, ...]:
    names = ("purelib", "platlib", "stdlib", "platstdlib")
    own = {f"{sysconfig.get_path(name)}/" for name in names}
    elsewhere = {folder for folder in sys.path if os.path.isabs(folder) and f"{folder}/" not in own}
    return tuple(own.union(*map(_installed_in, elsewhere)))


def _installed_in(folder: str) -> set[str]:
    """What was installed into another folder of the path, as `pip install --target` does: packages and modules.

    By pip's own record alone: the list of files that a checkout keeps of itself says nothing of what is installed.
    """
    recorded = [found for found in metadata.distributions(path=[folder]) if found.read_text("RECORD")]
    return {f"{folder}/{top}/" for found in recorded for top in _tops(found.files)}


def is_own(folder: Path) -> bool:
    """Whether a folder for compiled code, made if need be, is this user's alone: what lies in it is run."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


class Watch:
    """A finder before all others: it asks them for a module, and adds what nsbench wants to be done with it."""

    def __init__(self) -> None:
        self.make_loader: MakeLoader = lambda name, path: None
        self.after: dict[str, After] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that Python's finders give for a module, possibly with another loader."""
        spec = self._found(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        if type(spec.loader) is SourceFileLoader and spec.origin:
            spec.loader = self.make_loader(name, spec.origin) or spec.loader
        if name in self.after:
            _call_after(spec.loader, self.after[name])
        return spec

    def _found(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find_spec: Any = getattr(finder, "find_spec", None)
            if finder is not self and find_spec is not None:
                spec: ModuleSpec | None = find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


def _call_after(loader: Any, function: After) -> None:
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        run(module)
        function(module)

    loader.exec_module = exec_module


_WATCH = Watch()


def load_with(make_loader: MakeLoader) -> None:
    """Let source files be loaded by the loaders that `make_loader` returns, from now on."""
    _install()
    _WATCH.make_loader = make_loader


def when_imported(name: str, function: After) -> None:
    """Call a function with a module once it has been imported: now, if it has been."""
    _install()
    if name in sys.modules and name not in _WATCH.after:
        function(sys.modules[name])
    _WATCH.after[name] = function


def _install() -> None:
    if _WATCH not in sys.meta_path:
        sys.meta_path.insert(0, _WATCH)
