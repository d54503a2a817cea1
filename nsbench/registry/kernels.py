"""Numba's cache of compiled kernels, which here cannot be stale.

Numba's own index remembers the source of the function's own file only: what a kernel calls in other files, and the
constants that it froze, are not looked at. Here a kernel is kept under the digest of its module and of all that this
leads to, of the files that its package's specs name, of the libraries' versions, and of Numba's own variables:

    <folder>/<digest>/<function>.index, <function>.<number>    SHA-256 of the rest, then Numba's pickle

A file whose checksum is wrong is deleted, never unpickled, and the kernel compiled again. Where the folder cannot be
written, or another user could write to it, kernels are kept for as long as the process runs. In plain Python, which
names no folder, they lie where Numba would have them.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from nsbench.registry import bytecode
from nsbench.registry.imports import is_library, is_own, top_of, when_imported
from nsbench.registry.libraries import versions
from nsbench.registry.registry import Registry, installed
from nsbench.registry.source import SourceNotFound, Sources, distributions

_NO_MATTER = {"NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES", "NUMBA_NUM_THREADS", "NUMBA_DEBUG_CACHE"}
"""Variables of Numba's that change no kernel."""


class UnheldKernel(RuntimeError):
    """A kernel that may be older than the code that it calls."""


@dataclass
class _Place:
    """The place for kernels. folder: None for Numba's own places. registry: of the plugins whose code is followed."""

    folder: Path | None = None
    registry: Registry | None = None


_place = _Place()


def hold_cache(registry: Registry | None = None, folder: Path | None = None) -> None:
    """Hold Numba's cache against the code from now on, in this process.

    registry: of the plugins whose code is followed; the installed ones if None. folder: where kernels are kept, unless
    Numba's own variable NUMBA_CACHE_DIR names a place, which several workspaces may share.
    """
    shared = os.environ.get("NUMBA_CACHE_DIR")
    _place.registry = registry or _place.registry
    _place.folder = Path(shared, f"nsbench-{os.geteuid()}") if shared else folder or _place.folder
    os.environ.pop("NUMBA_CACHE_LOCATOR_CLASSES", None)
    when_imported("numba.core.caching", _patch)


def require_held(modules: Iterable[str]) -> None:
    """Hold kernels that were imported before `hold_cache` was called, too. Raises UnheldKernel where it is too late."""
    if "numba" not in sys.modules:
        return
    for name in modules:
        for kernel in list(vars(sys.modules.get(name, sys)).values()):
            file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
            if file is None or isinstance(file, KernelFile):
                continue
            if kernel.stats.cache_hits:
                raise UnheldKernel(
                    f"{name}.{kernel.__name__} was read from Numba's own cache before nsbench could watch over it, and "
                    "may be older than what it calls in other files: start Python anew and let nsbench.load import it"
                )
            kernel.enable_caching()


def _patch(caching: ModuleType) -> None:
    """Give Numba's caching another index, and another place for it."""
    if caching.IndexDataCacheFile is KernelFile:
        return
    own_places = list(caching.CacheImpl._locator_classes)
    caching.config.CACHE_LOCATOR_CLASSES = ""

    class Locator(caching._CacheLocator):  # type: ignore[misc, name-defined]
        """The place of one function's kernels."""

        def __init__(self, function: Any, file: str, folder: str, digest: str) -> None:
            self._py_file, self._lineno = file, function.__code__.co_firstlineno
            self._folder, self._digest = folder, digest

        @classmethod
        def from_function(cls, function: Any, file: str) -> Any:
            numbas = next((place for own in own_places if (place := own.from_function(function, file))), None)
            digest = digest_of_kernel(function.__module__, function.__qualname__, file)
            if digest is None:
                return numbas
            return cls(function, file, _folder(digest, numbas), digest)

        def ensure_cache_path(self) -> None:
            with suppress(OSError):  # then nothing is kept, and the index says so
                os.makedirs(self._folder, exist_ok=True)

        def get_cache_path(self) -> str:
            return self._folder

        def get_source_stamp(self) -> str:
            return self._digest

        def get_disambiguator(self) -> str:
            return str(self._lineno)

    caching.CacheImpl._locator_classes = [Locator]
    caching.IndexDataCacheFile = KernelFile  # type: ignore[attr-defined]


def digest_of_kernel(module: str, name: str, file: str) -> str | None:
    """The digest of all that a kernel is compiled from; None for code that cannot be found again, as of a notebook."""
    registry = _place.registry or installed()
    variables = {k: v for k, v in os.environ.items() if k.startswith("NUMBA_") and k not in _NO_MATTER}
    top, packages = top_of(module), registry.packages()
    if is_library(file) and top not in packages:
        code: Any = versions([*distributions().get(top, [top]), "numba"])
    else:
        targets = [f"{module}:{name.partition('.')[0]}", *registry.files_of(top)]
        sources = Sources({*packages, top})
        try:
            code = sources.digest(targets)
        except SourceNotFound:
            return None
        if _was_edited(sources.files(targets).values()):
            return None
    return hashlib.sha256(repr((code, sorted(variables.items()), sys.version)).encode()).hexdigest()[:32]


def _was_edited(files: Iterable[Path]) -> bool:
    """Whether a file is no longer what this process has run: a kernel must not be kept under the digest of another."""
    return any(bytecode.executed.get(str(file), content) != content for file in files if (content := file.read_bytes()))


def _folder(digest: str, numbas: Any) -> str:
    """The folder of a digest's kernels: one that can be written, if need be a passing one."""
    if _place.folder is None:
        return os.path.join(numbas.get_cache_path(), "nsbench") if numbas is not None else _passing_folder()
    folder = _place.folder / digest
    if not (is_own(_place.folder) and is_own(folder)):
        return _passing_folder()
    os.utime(folder)  # its last use, by which it may be pruned
    return str(folder)


@cache
def _passing_folder() -> str:
    """A folder that is deleted when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="nsbench-kernels-")
    atexit.register(folder.cleanup)
    return folder.name


class KernelFile:
    """The index and the kernels of one function, in the place of Numba's IndexDataCacheFile."""

    def __init__(self, cache_path: str, filename_base: str, source_stamp: Any) -> None:
        self._folder, self._base, self._stamp = Path(cache_path), filename_base, source_stamp

    def load(self, key: Any) -> Any:
        """The kernel of a signature, as Numba reduced it; None if it is not there, or was damaged."""
        name = self._index().get(key)
        return None if name is None else self._read(name)

    def save(self, key: Any, data: Any) -> None:
        """Keep a kernel. Where that cannot be, a warning says so, and the next process compiles again."""
        name = f"{self._base}.{uuid.uuid4().hex}"  # two processes must never write one name
        try:
            self._write(name, data)
            self._write(f"{self._base}.index", (self._stamp, self._index() | {key: name}))
        except OSError as error:
            warnings.warn(f"a compiled kernel cannot be kept in {self._folder}: {error}", stacklevel=2)

    def flush(self) -> None:
        """Forget the kernels."""
        with suppress(OSError):
            (self._folder / f"{self._base}.index").unlink()

    def _index(self) -> dict[Any, str]:
        stamp, names = self._read(f"{self._base}.index") or (None, {})
        return names if stamp == self._stamp else {}

    def _read(self, name: str) -> Any:
        """What a file holds; None if it is not there, or is damaged and has been deleted."""
        file = self._folder / name
        try:
            content = file.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return pickle.loads(content[32:])
        with suppress(OSError):
            file.unlink()
        return None

    def _write(self, name: str, data: Any) -> None:
        from numba.core.serialize import dumps

        content = dumps(data)
        draft = self._folder / f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            draft.write_bytes(hashlib.sha256(content).digest() + content)
            draft.replace(self._folder / name)
        finally:
            draft.unlink(missing_ok=True)
