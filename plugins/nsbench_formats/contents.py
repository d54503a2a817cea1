"""The content of the files that the dataset reads, for its key, in which their place does not count."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from nsbench.components.dataset import Reading, UnreadableData
from nsbench.store.contents import digests
from nsbench_formats.params import TrajectoriesParams


def reading(params: TrajectoriesParams) -> Reading:
    """The digest of all files below the path, and every parameter but the path."""
    settings = params.model_dump(mode="json", exclude={"path", "options"})
    path = Path(os.path.expanduser(params.path))
    content = settings | {"content": content_digest(path)}
    return Reading(content, ((params.format, params.options),), tuple(files_below(path)))


def content_digest(path: Path) -> str:
    """The SHA-256 over names, from `path` on, and contents of all files at or below it, hidden ones left out.

    A file is read again when its size or a time of its differs. Raises UnreadableData where there are none.
    """
    if not path.exists():
        raise UnreadableData(f"{path}: no such file or folder")
    digest = hashlib.sha256()
    files = files_below(path)
    for file, content in zip(files, digests(files), strict=True):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.suffix
        digest.update(f"{name}\0{content}\n".encode())
    if not files:
        raise UnreadableData(f"{path}: there are no files in this folder")
    return digest.hexdigest()[:32]


def files_below(path: Path) -> list[Path]:
    """Every file at or below a path, links followed, in the order of its name; hidden ones are left out."""
    if path.is_file():
        return [path]
    paths: list[Path] = []
    for folder, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(folder) / name for name in files if not name.startswith(".")]
    return sorted(paths, key=lambda p: p.relative_to(path).as_posix())
