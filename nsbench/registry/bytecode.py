"""Byte code that cannot be stale, for workers: of nsbench, of plugins, and of code that was never installed.

Python trusts a .pyc whose source has the second and the size that it remembers; copies that keep times, and scripted
edits, leave both alone. Here byte code is found by the SHA-256 of the source itself, below a folder of the workspace:

    <folder>/<digest of the source, its path and Python's version>    SHA-256 of the rest, then marshalled code

A file whose checksum is wrong is deleted, never read, and the source compiled again. Where nothing can be written, and
in a folder that another user could write to, the source is compiled in memory. What ran is remembered, so that it can
be held against what a key says.
"""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import sys
import uuid
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from nsbench.registry.imports import is_library, is_own, load_with, top_of

executed: dict[str, bytes] = {}
"""The source, by its file, of every module that was loaded by the loader below: what ran in this process."""

_tops: set[str] = {"nsbench"}


class SourceLoader(SourceFileLoader):
    """A loader that runs what the source says. folder: of the byte code; None where there is none."""

    def __init__(self, name: str, path: str, folder: Path | None) -> None:
        super().__init__(name, path)
        self._folder = folder

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        executed[path] = source
        file = None if self._folder is None else self._folder / _name(source, path)
        code = None if file is None else _read(file)
        if code is None:
            code = compile(source, path, "exec", dont_inherit=True)
            if file is not None:
                _write(file, marshal.dumps(code))
        return code


def _name(source: bytes, path: str) -> str:
    python = importlib.util.MAGIC_NUMBER + bytes([sys.flags.optimize])
    return hashlib.sha256(b"\0".join([python, os.fsencode(path), source])).hexdigest()


def _read(file: Path) -> CodeType | None:
    """The code in a file; None where there is none, or it is damaged and has been deleted."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    checksum, marshalled = content[:32], content[32:]
    if hashlib.sha256(marshalled).digest() == checksum:
        code: CodeType = marshal.loads(marshalled)
        return code
    with suppress(OSError):
        file.unlink()
    return None


def _write(file: Path, marshalled: bytes) -> None:
    """Write code to its file, whole or not at all; where that cannot be, the next process compiles again."""
    draft = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        draft.write_bytes(hashlib.sha256(marshalled).digest() + marshalled)
        draft.replace(file)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def run_sources(folder: Path) -> None:
    """Load nsbench, the packages named to `add_packages`, and loose code from their sources, from now on."""
    own = folder if is_own(folder) else None
    if own is not None:
        os.utime(own)  # its last use, by which it may be pruned

    def loader(name: str, path: str) -> SourceLoader | None:
        return SourceLoader(name, path, own) if top_of(name) in _tops or not is_library(path) else None

    load_with(loader)


def add_packages(names: set[str]) -> None:
    """Load these packages, too, from their sources, wherever they are installed."""
    _tops.update(names)
