"""A disk on which one call goes wrong: the k-th of a kind below a folder fails with an error that is chosen."""

from __future__ import annotations

import builtins
import fcntl
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KINDS = {
    "open": [(builtins, "open"), (io, "open"), (os, "open")],
    "rename": [(os, "rename"), (os, "replace")],
    "mkdir": [(os, "mkdir")],
    "unlink": [(os, "unlink"), (os, "rmdir")],
    "stat": [(os, "stat"), (os, "lstat")],
    "list": [(os, "listdir"), (os, "scandir")],
    "sync": [(os, "fsync")],
    "lock": [(fcntl, "flock")],
}
"""Kind of call -> the functions through which Python makes it. "read" and "write" are calls of files that were opened."""


class FaultyDisk:
    """Counts the calls below a folder, and lets one of them fail. Calls from C, as of HDF5, are not seen."""

    def __init__(self, root: Path, tell: Callable[[str], object] = lambda struck: None) -> None:
        """tell: called with what was struck, when it is."""
        self.root, self._tell = str(root), tell
        self.calls: Counter[str] = Counter()
        self.fault: tuple[str, int, int] | None = None
        self.struck = ""

    def call(self, kind: str, path: object) -> None:
        """Count a call, and raise the error if it is the one that fails."""
        name = self._name(path)
        if name is None:
            return
        self.calls[kind] += 1
        if self.fault is not None and self.fault[:2] == (kind, self.calls[kind]):
            self.struck = f"{kind} of {name.removeprefix(self.root)}"
            self._tell(self.struck)
            raise OSError(self.fault[2], os.strerror(self.fault[2]), name)

    def _name(self, path: object) -> str | None:
        """The path of a call below the folder; None for others. path: a name, or a descriptor."""
        if isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return None
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        name = os.fsdecode(path)
        return name if name.startswith(self.root) else None

    @contextmanager
    def watching(self, fault: tuple[str, int, int] | None = None) -> Iterator[FaultyDisk]:
        """Watch the calls. fault: (kind, k, error number): the k-th call of the kind fails."""
        self.calls.clear()
        self.fault, self.struck = fault, ""
        with pytest.MonkeyPatch.context() as patch:
            for kind, functions in KINDS.items():
                for module, name in functions:
                    patch.setattr(module, name, self._watched(kind, getattr(module, name)))
            yield self

    def _watched(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            if arguments and named.get("dir_fd") is None:
                self.call(kind, arguments[0])
            result = function(*arguments, **named)
            by_name = arguments and not isinstance(arguments[0], int)  # os.fdopen opens what was opened by name
            if kind == "open" and by_name and isinstance(result, io.IOBase) and self._name(arguments[0]) is not None:
                return FaultyFile(result, self, os.fsdecode(arguments[0]))
            return result

        return watched


class FaultyFile:
    """An open file whose reads and writes are counted too."""

    def __init__(self, file: Any, disk: FaultyDisk, name: str) -> None:
        self._file, self._disk, self._name = file, disk, name

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._file, name)
        kind = {"read": "read", "readinto": "read", "readline": "read", "write": "write"}.get(name)
        if kind is None:
            return attribute

        def watched(*arguments: Any) -> Any:
            self._disk.call(kind, self._name)
            return attribute(*arguments)

        return watched

    def __enter__(self) -> FaultyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)
