"""The sources of a plan: the files behind each digest of code in its keys, kept in the store once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nsbench.registry.source import Sources
from nsbench.store.files import NOT_WRITABLE
from nsbench.store.sources import MAX_BYTES, has_listing, keep
from nsbench.store.store import Store
from nsbench.suite.session import Session


def keep_sources(session: Session, store: Store, notify: Callable[[str], None]) -> None:
    """Keep the sources that the store lacks; where they cannot be written, say so and go on.

    A store that may only be read stays as it is: nothing is made there.
    """
    missing = {digest: code for digest, code in session.plan.code.items() if not has_listing(store.root, digest)}
    if not missing:
        return
    try:
        with store.in_use():
            keep(store.root, _read(missing, session.registry.packages(), notify))
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            notify(f"the code of this run could not be kept ({error}): the next run in this workspace keeps it")


def _read(
    code: dict[str, tuple[str, ...]], packages: set[str], notify: Callable[[str], None]
) -> Iterator[tuple[str, tuple[str, ...], dict[str, bytes | int]]]:
    """Digest, targets and files of each piece of code, without those that are not what was planned any more."""
    before = Sources(packages)
    places = {digest: before.places(targets) for digest, targets in code.items()}
    contents = {path: _content(path) for path in {path for files in places.values() for path in files.values()}}
    after = Sources(packages)
    for digest, targets in code.items():
        if after.digest(targets)[0] == digest:  # so what was read in between is what the digest is of
            yield digest, targets, {place: contents[path] for place, path in places[digest].items()}
        else:
            notify(f"the code of {', '.join(targets)} has changed since this run was planned: it is not kept")


def _content(path: Path) -> bytes | int:
    """The content of a file; of one that is too large to keep its size."""
    size = path.stat().st_size
    return path.read_bytes() if size <= MAX_BYTES else size
