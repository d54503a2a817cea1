"""Plugins that are one file, before there is a package: `--plugin mine.py`, or NSBENCH_PLUGINS.

The variable holds the files' paths as PATH holds folders; what `--plugin` names is added to it, so that every
process that a run starts finds the same plugins.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from nsbench.errors import Refusal

VARIABLE = "NSBENCH_PLUGINS"
"""The environment variable that names plugin files."""


class UnusablePluginFile(Refusal):
    """A file that cannot be a plugin; the message says what is wrong with it, and what would be right."""


def named_files() -> list[Path]:
    """The files that the environment names, each once."""
    paths = (Path(text).absolute() for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text)
    return list(dict.fromkeys(paths))


def name_files(paths: Iterable[Path]) -> None:
    """Add files to those that the environment names. Raises UnusablePluginFile."""
    files = dict.fromkeys([*named_files(), *(path.absolute() for path in paths)])
    for path in files:
        if os.pathsep in str(path):
            raise UnusablePluginFile(f"{path}: a plugin's file must have no {os.pathsep!r} in its path")
    os.environ[VARIABLE] = os.pathsep.join(map(str, files))


def load_file(path: Path) -> ModuleType:
    """The file as a module of its own name, which other processes and the source digest find by that name.

    Its folder goes to the end of the module search path, so that it may import modules beside it and hides
    no installed module. Raises UnusablePluginFile, or whatever the file itself raises.
    """
    name = path.stem
    if not path.is_file():
        raise UnusablePluginFile("no such file")
    if path.suffix != ".py" or not name.isidentifier():
        raise UnusablePluginFile("a plugin's file is a Python module: letters, digits and '_', and the ending .py")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(name)
    origin = spec.origin if spec else None
    if origin is None or not Path(origin).exists() or not Path(origin).samefile(path):
        raise UnusablePluginFile(f"the name {name!r} is taken by another module ({origin}): rename the file")
    return importlib.import_module(name)


def modules_beside(path: Path) -> set[str]:
    """Top-level names of the modules and packages in a file's folder, its own included."""
    files = {p.stem for p in path.parent.glob("*.py")}
    return files | {p.parent.name for p in path.parent.glob("*/__init__.py")}


def place_of(error: BaseException, path: Path) -> str:
    """The place of an error, e.g. "mine.py:7: ", if it came up in a file's own lines, else ""."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path.name}:{lines[-1]}: " if lines else ""
