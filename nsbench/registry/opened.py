"""What this process opens and imports while something is made: an audit hook, and scopes in which it takes note.

Noted are files that are read below the folders of plugins, of nsbench and of data, and code that was never installed
wherever it lies; not what is written, byte code in place of its source, nor what lies below the workspace. Python's own
`open`, imports and extensions are seen, HDF5 and safetensors through their Python interface; files that other native
code opens by itself, and other processes, are not.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from types import ModuleType
from typing import Any

from nsbench.registry.imports import is_library, when_imported

_CODE = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
_READERS_OF_SOURCE = ("linecache", "tokenize", "inspect", "traceback", "warnings")
"""Modules that open source files to quote them, which computes nothing."""


class _Watched:
    """The state of the hook. scopes: {file} of each scope, the innermost last; folders: of each scope besides."""

    def __init__(self) -> None:
        self.scopes: list[set[str]] = []
        self.folders: list[tuple[str, ...]] = []
        self.always: tuple[str, ...] = ()
        self.never: tuple[str, ...] = ()
        self.is_hooked = False


_watched = _Watched()


def watch(folders: Iterable[str], never: Iterable[str]) -> None:
    """Take note of files below these folders, but not of those below `never`, from now on in this process."""
    _watched.always = tuple({*_watched.always, *map(_below, folders)})
    _watched.never = tuple({*_watched.never, *map(_below, never)})
    if not _watched.is_hooked:
        _watched.is_hooked = True
        sys.addaudithook(_hook)
        when_imported("h5py.h5f", _note_hdf5)
        when_imported("safetensors", _note_safetensors)


@contextmanager
def noted(folders: Iterable[str] = ()) -> Iterator[set[str]]:
    """The files that are read within the block, as it grows; a block within notes its own. folders: further ones."""
    files: set[str] = set()
    _watched.scopes.append(files)
    _watched.folders.append((*_watched.always, *map(_below, folders)))
    try:
        yield files
    finally:
        _watched.scopes.pop()
        _watched.folders.pop()


def place_of(path: str) -> str:
    """A file by the name under which it is noted: its folder's links are followed, its own are not."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(_real(folder), name)


def _below(folder: str) -> str:
    """The beginning of the names of all that lies below a folder; a file stands for itself."""
    real = os.path.realpath(folder)
    return os.path.join(real, "") if os.path.isdir(real) else real


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what is opened. It is called for everything that Python audits: it must be quick, and raise nothing."""
    if not _watched.scopes:
        return
    if event == "open":
        path, _, flags = arguments
        if (flags & os.O_ACCMODE) == os.O_WRONLY or flags & (os.O_TRUNC | os.O_EXCL):
            return
        note(path)
    elif event == "import" and arguments[1] is not None:  # an extension; source files are opened
        note(arguments[1])
    elif event == "ctypes.dlopen" and _is_place(arguments[0]):
        note(arguments[0])


def _is_place(library: Any) -> bool:
    """Whether a shared library is named by its place: a bare name is looked up among the system's libraries."""
    return isinstance(library, str | bytes | os.PathLike) and os.sep in os.fsdecode(library)


def note(path: Any) -> None:
    """Note that a file is read, if it is one of those watched."""
    if not _watched.scopes or not isinstance(path, str | bytes | os.PathLike):
        return
    text = os.fsdecode(path)
    if not text or text.startswith(_watched.never):
        return
    if text.endswith(".pyc"):
        text = _source_of(text)
    if "/__pycache__/" in text or ".dist-info/" in text or ".egg-info/" in text:
        return  # kernels, which nsbench/registry/kernels.py holds against their source; and what says what is installed
    folder, name = os.path.split(text)
    file = os.path.join(_real(folder if os.path.isabs(folder) else os.path.join(_current_folder(), folder)), name)
    if _is_watched(file) and not (file.endswith(".py") and _is_quoted()):
        _watched.scopes[-1].add(file)


def _is_watched(file: str) -> bool:
    if file.startswith(_watched.never):
        return False
    folders = _watched.folders[-1]
    if is_library(file):  # an environment may lie in a folder that is watched; a plugin may lie in an environment
        return file.startswith(folders) and any(file.startswith(f) for f in folders if is_library(f))
    return file.startswith(folders) or file.endswith(_CODE)


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed: nothing can be opened by a relative name
        return "/"


def _source_of(bytecode: str) -> str:
    """The source that stands behind byte code; its own name where there is none."""
    try:
        return importlib.util.source_from_cache(bytecode)
    except ValueError:
        return bytecode


def _is_quoted() -> bool:
    """Whether a source file is opened to be quoted, as in a warning or a traceback."""
    frame = sys._getframe(2)
    for _ in range(6):
        if frame.f_globals.get("__name__") in _READERS_OF_SOURCE:
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _note_hdf5(h5f: ModuleType) -> None:
    """Let HDF5 say which files it opens."""
    _announce(h5f, "open")


def _note_safetensors(safetensors: ModuleType) -> None:
    """Let safetensors say which files it opens."""
    _announce(safetensors, "safe_open")


def _announce(module: ModuleType, name: str) -> None:
    function = getattr(module, name)
    if getattr(function, "notes", False):
        return

    def noting(path: Any, *arguments: Any, **named: Any) -> Any:
        note(path)
        return function(path, *arguments, **named)

    noting.notes = True  # type: ignore[attr-defined]
    setattr(module, name, noting)
