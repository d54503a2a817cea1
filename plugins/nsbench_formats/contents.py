"""The content of the files that the dataset reads, for its key, in which their place does not count."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from nsbench.components.dataset import Reading
from nsbench.components.format import naming, unreadable
from nsbench.foreign_files import kind_of
from nsbench.store.contents import digests
from nsbench_formats.params import TrajectoriesParams

MOST_FILES = 100_000


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
        raise unreadable(path, "no such file or folder")
    digest = hashlib.sha256()
    files = files_below(path)
    with naming(path):
        contents = digests(files)
    for file, content in zip(files, contents, strict=True):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.suffix
        digest.update(f"{name}\0{content}\n".encode())
    if not files:
        raise unreadable(path, "there are no files in this folder")
    return digest.hexdigest()[:32]


def files_below(path: Path) -> list[Path]:
    """Every file at or below a path, in the order of its name; hidden ones are left out.

    The path itself may be a link. A link below it stands for a file of the same folder; one that leads elsewhere, or
    to a folder, raises UnreadableData, as do pipes and devices.
    """
    if not path.is_dir():
        return [path]
    root, folders, files = os.path.realpath(path), [path], []
    for folder in folders:  # which grows as it is walked through
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    _require_file(entry, root)
                    files.append(Path(entry.path))
                if len(files) + len(folders) - 1 > MOST_FILES:
                    raise unreadable(path, f"holds more than {MOST_FILES:,} files and folders")
    return sorted(files, key=lambda p: p.relative_to(path).as_posix())


def _require_file(entry: os.DirEntry[str], root: str) -> None:
    """Raise UnreadableData unless an entry is a file, or a link to one below the root."""
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not Path(target).is_relative_to(root):
            fault = f"is a link out of the data's folder, to {target}; put the file itself there"
            raise unreadable(entry.path, fault)
        if not os.path.exists(target):
            raise unreadable(entry.path, "is a link that leads nowhere")
    mode = entry.stat().st_mode
    if not stat.S_ISREG(mode):
        link = "is a link to" if entry.is_symlink() else "is"
        raise unreadable(entry.path, f"data are files and folders, this {link} {kind_of(mode)}")
