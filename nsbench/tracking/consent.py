"""The user's consent to send results to a server that only a suite names: asked once, remembered by its address."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from nsbench.errors import Refusal
from nsbench.names import visible
from nsbench.store.files import whole
from nsbench.suite.session import Session
from nsbench.tracking.address import origin
from nsbench.tracking.destination import Destination, destination


def agreed_destination(session: Session, uri: str | None, *, yes: bool) -> Destination:
    """The destination of a session's results, if the user agrees to it.

    uri: the address that the user names; it needs no consent. yes: the answer, for a server that only the suite names.
    Raises Refusal if there is nobody to ask, or if the answer is no.
    """
    target = destination(session.workspace.root, uri, session.suite.tracking.uri)
    if target.stranger and not yes:
        _ask(str(session.file or session.suite.name), target)
    return target


def _ask(suite: str, target: Destination) -> None:
    server, path = str(origin(target.uri)), _path()
    agreed = _agreed(path)
    if server in agreed:
        return
    wish = f"{visible(suite)} wants its results sent to {target.label}"
    others = "--tracking-uri URI logs them elsewhere, --no-tracking nowhere"
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refusal(f"{wish}, and nobody is there to be asked: --yes sends them, {others}")
    if not click.confirm(f"{wish}. Send?", err=True):
        raise Refusal(f"nothing is sent, and nothing was done: {others}")
    if path is not None:
        with suppress(OSError):  # where nothing can be remembered, the question comes again
            _remember(path, sorted({*agreed, server}))


def _path() -> Path | None:
    """The file with the servers that the user has agreed to; None if the user has no home."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        base = Path(folder) if os.path.isabs(folder) else Path.home() / ".config"
    except RuntimeError:
        return None
    return base / "nsbench" / "servers.json"


def _agreed(path: Path | None) -> set[str]:
    """The servers in the file; none if it is not there or cannot be read: then the question comes again."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8")) if path is not None else []
    except (OSError, ValueError, RecursionError):
        return set()
    return {server for server in listed if isinstance(server, str)} if isinstance(listed, list) else set()


def _remember(path: Path, servers: list[str]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(servers, indent=1), encoding="utf-8")
    path.chmod(0o600)  # whoever may write to the folder was let in
