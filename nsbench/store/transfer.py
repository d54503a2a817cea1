"""The transfer of artifacts: the files of one, sent from a store to another that cannot read the first."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path, PurePosixPath

from nsbench.store.files import make_folder, sync, sync_tree
from nsbench.store.manifest import MANIFEST
from nsbench.store.owner import this_process
from nsbench.store.store import owner_file

Parcel = dict[str, bytes]
"""Path within the artifact -> content."""


def holds(store: Path, stage: str, key: str) -> bool:
    """Whether an artifact is in a store."""
    return (store / stage / key / MANIFEST).is_file()


def pack(store: Path, stage: str, key: str) -> Parcel | None:
    """The files of an artifact; None if it is not there."""
    folder = store / stage / key
    if not holds(store, stage, key):
        return None
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def unpack(store: Path, stage: str, key: str, parcel: Parcel) -> None:
    """Put an artifact into a store, whole or not at all, unless it is there already. It is verified when it is read.

    Raises ValueError for a parcel whose files would leave their folder.
    """
    target = store / stage / key
    if holds(store, stage, key):
        return
    draft = store / "drafts" / f"{stage}-{key}-{uuid.uuid4().hex}"
    try:
        make_folder(draft.parent)
        owner_file(draft).write_text(this_process().to_text(), encoding="utf-8")
        for name, content in parcel.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{name!r} leads out of its artifact")
            make_folder((draft / path).parent)
            (draft / path).write_bytes(content)
        sync_tree(draft)
        make_folder(target.parent)
        try:
            draft.rename(target)
        except OSError:
            if not holds(store, stage, key):
                raise
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        owner_file(draft).unlink(missing_ok=True)
