"""`nsbench cache`: commands that list, measure, check and clear the store."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from nsbench.commands import options
from nsbench.commands.display.screen import say, show_list
from nsbench.errors import Refusal
from nsbench.outcomes.file import load, suites_by_key
from nsbench.quantities import age, size_text
from nsbench.store import inventory
from nsbench.store.inventory import Entry, Pruning
from nsbench.store.locks import Busy
from nsbench.store.node import NodeWorkspace, node_workspaces
from nsbench.store.node import remove as remove_node
from nsbench.store.sources import damage as source_damage
from nsbench.store.sources import discard
from nsbench.store.workspace import Workspace


@click.group()
def command() -> None:
    """Look after the store: what it holds, whether it is unharmed, what may go."""


@command.command("list")
@options.workspace
def _list(workspace: Workspace) -> None:
    """List the artifacts: name, size, dates of making and last use, and the suites whose results name them.

    The sources of the code that they were made with follow.
    """
    list_artifacts(workspace, Console())


@command.command("size")
@options.workspace
def _size(workspace: Workspace) -> None:
    """Print the number and size of artifacts, leftovers and sources, kind by kind."""
    show_sizes(workspace, Console())


@command.command("verify")
@options.workspace
@click.option("--repair", is_flag=True, help="Move what is damaged aside, so that it is made again.")
def _verify(workspace: Workspace, repair: bool) -> None:
    """Check every file against its checksum; exit code 1 if any is damaged."""
    sys.exit(verify(workspace, Console(), repair=repair))


@command.command("prune")
@options.workspace
@click.option("--older-than", metavar="AGE", help="Remove artifacts that were not used for AGE, e.g. 12h, 30d, 4w.")
@click.option(
    "--keep",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="SUITE",
    help="Keep what this suite needs, or every suite in this folder; may be given again.",
)
@click.option(
    "--submission",
    "submissions",
    multiple=True,
    metavar="KEY",
    help="Remove these rollouts, made elsewhere, by their key in `cache list`; may be given again.",
)
@click.option("--yes", is_flag=True, help="Remove it; without this it is only shown.")
def _prune(
    workspace: Workspace, older_than: str | None, keep: tuple[Path, ...], submissions: tuple[str, ...], yes: bool
) -> None:
    """Remove leftovers and, with --older-than or --keep, artifacts, all of which can be made again.

    Rollouts that were made elsewhere cannot, and go only if --submission names them.
    """
    sys.exit(prune(workspace, Console(), older_than=older_than, keep=keep, submissions=submissions, yes=yes))


@command.command("nodes")
@click.option(
    "--node-folder",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path(tempfile.gettempdir()),
    show_default="the temporary folder",
    help="Where they lie: the --node-folder of the runs.",
)
@click.option("--older-than", metavar="AGE", help="Only those that were not used for AGE, e.g. 12h, 30d, 4w.")
@click.option("--yes", is_flag=True, help="Remove them; without this they are only shown.")
def _nodes(folder: Path, older_than: str | None, yes: bool) -> None:
    """List what your runs on Ray keep on this machine for workspaces that it does not see, or remove it."""
    sys.exit(nodes(folder, Console(), older_than=older_than, yes=yes))


def list_artifacts(workspace: Workspace, console: Console) -> None:
    """Print a line for each artifact: name, size, dates of making and last use, suites whose results name it.

    The sources of their code follow.
    """
    rows = [
        [e.kind, _short(e.key), e.what or "damaged", size_text(e.size), _day(e.made), _day(e.used), ", ".join(e.suites)]
        for e in [*inventory.artifacts(workspace, suites_by_key(workspace)), *inventory.sources(workspace)]
    ]
    show_list(console, ["stage", "key", "what", "size", "made", "used", "in the results of"], rows, right="size")


def show_sizes(workspace: Workspace, console: Console) -> None:
    """Print the number and size of artifacts, leftovers and sources, one line for each kind."""
    entries = [*inventory.artifacts(workspace), *inventory.leftovers(workspace), *inventory.sources(workspace)]
    kinds = dict.fromkeys(["data", "model", "evidence", "score", *(e.kind for e in entries)])
    groups = [(kind, [e for e in entries if e.kind == kind]) for kind in kinds]
    rows = [[kind, f"{len(group):,}", size_text(sum(e.size for e in group))] for kind, group in groups]
    rows.append(["together", f"{len(entries):,}", size_text(sum(e.size for e in entries))])
    show_list(console, ["stage", "number", "size"], rows, right="size")


def verify(workspace: Workspace, console: Console, *, repair: bool) -> int:
    """Read every artifact, and all sources, and name the damaged ones.

    Returns 1 if any stays damaged, or was not read, else 0.
    """
    entries, damaged, unread = inventory.artifacts(workspace), 0, 0
    for entry in entries:
        try:
            fault = inventory.damage(entry)
        except OSError as error:
            unread += 1
            say(console, f"{error.filename or entry.folder} could not be read ({error.strerror}): not checked")
            continue
        if fault:
            damaged += 1
            say(console, fault + (f"; moved to {inventory.move_aside(workspace, entry)}" if repair else ""))
    for path, reason in source_damage(workspace.store):
        if isinstance(reason, OSError):
            unread += 1
            say(console, f"{path} could not be read ({reason.strerror}): not checked")
            continue
        damaged += 1
        say(console, str(reason) + ("; removed, the next run of this code keeps it again" if repair else ""))
        if repair:
            discard(workspace.store, path)
    size = size_text(sum(e.size for e in [*entries, *inventory.sources(workspace)]))
    missed = f", {unread:,} could not be read" if unread else ""
    say(console, f"{len(entries):,} artifacts and the sources of their code, {size}, read: {damaged:,} damaged{missed}")
    if damaged and not repair:
        say(
            console,
            "A run moves what is damaged aside and makes it again; `nsbench cache verify --repair` does it now.",
        )
    return 1 if unread or (damaged and not repair) else 0


def prune(
    workspace: Workspace,
    console: Console,
    *,
    older_than: str | None,
    keep: Sequence[Path],
    submissions: Sequence[str] = (),
    yes: bool,
) -> int:
    """Print the folders that may be removed, and with `yes` remove them. Returns 1 if a run uses the store, else 0.

    submissions: the beginnings of the keys of rollouts made elsewhere. Raises Refusal for an age that cannot be read,
    a suite that cannot be planned, and rollouts that are not there.
    """
    try:
        unused_for = None if older_than is None else age(older_than)
        kept = _needed(keep, workspace) if keep else None
        named = {_submission(workspace, text) for text in submissions}
    except (ValueError, Refusal) as error:
        raise Refusal(f"{error}; nothing was removed") from error
    if unused_for is None and kept is None:
        say(console, "Artifacts stay unless --older-than or --keep says which may go.")
    if not workspace.store.is_dir():
        say(console, f"there is no store in {workspace.root}")
        return 0
    try:
        with inventory.alone(workspace) as locks:
            pruning = inventory.prunable(workspace, older_than=unused_for, keep=kept, submissions=named)
            _show_pruning(console, pruning)
            if yes and pruning.removed:
                _say_removed(console, inventory.remove(workspace, pruning, locks=locks), pruning)
    except Busy:
        say(console, f"{workspace.store} is in use by a run: try again when it has ended")
        return 1
    if not yes and pruning.removed:
        say(console, "Nothing was removed: say --yes to do it.")
    return 0


def nodes(folder: Path, console: Console, *, older_than: str | None, yes: bool) -> int:
    """Print the workspaces that a node keeps, and with `yes` remove them. Returns 1 if a run uses any, else 0.

    Raises Refusal for an age that cannot be read.
    """
    try:
        since = time.time() - (0 if older_than is None else age(older_than))
    except ValueError as error:
        raise Refusal(f"{error}; nothing was removed") from error
    kept = [node for node in node_workspaces(folder) if node.used <= since]
    rows = [[str(node.root), size_text(node.size), _day(node.used), node.kept_for] for node in kept]
    if rows:
        show_list(console, ["workspace of this node", "size", "used", "kept for"], rows, right="size")
    say(console, f"{len(kept):,} in {folder}, {size_text(sum(node.size for node in kept))}")
    if kept and not yes:
        say(console, "Nothing was removed: say --yes to do it. The next run sends again what it needs.")
    stay = [node for node in kept if yes and not _is_removed(node, console)]
    return 1 if stay else 0


def _is_removed(node: NodeWorkspace, console: Console) -> bool:
    """Remove a node's workspace and say so, or why it stays; returns whether it is gone."""
    try:
        gone = remove_node(node)
    except Busy:
        say(console, f"{node.root} is in use by a run: try again when it has ended")
        return False
    stays = "was used within a day and stays: its file system has no locks to tell its use"
    say(console, f"removed {node.root}" if gone else f"{node.root} {stays}")
    return gone


def _show_pruning(console: Console, pruning: Pruning) -> None:
    rows = [[e.kind, _short(e.key), e.what, size_text(e.size), reason] for e, reason in pruning.removed]
    if rows:
        show_list(console, ["stage", "key", "what", "size", "why it may go"], rows, right="size")
    say(console, f"{len(rows):,} folders may go, {size_text(pruning.size)}")


def _say_removed(console: Console, removed: list[Entry], pruning: Pruning) -> None:
    say(console, f"removed {len(removed):,} folders, {size_text(sum(e.size for e in removed))}")
    if left := len(pruning.removed) - len(removed):
        say(console, f"{left:,} were touched within a day and stay: this file system has no locks to tell their use")


def _needed(paths: Sequence[Path], workspace: Workspace) -> set[str]:
    """The digests of the keys that suites, and the submissions among their results, need.

    paths: suites, or folders that stand for all suites in them.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    sessions = [options.session(file, (), workspace) for file in files]
    needed = {artifact.key.digest for session in sessions for artifact in session.plan.artifacts()}
    rows = [row for session in sessions for row in load(session.results) if row.outside]
    return needed | {key for row in rows for key in row.keys.values()}


def _submission(workspace: Workspace, text: str) -> str:
    """The key of the rollouts, made elsewhere, whose key begins with a text. Raises Refusal."""
    keys = [entry.key for entry in inventory.artifacts(workspace) if entry.taken_in and entry.key.startswith(text)]
    if len(keys) != 1:
        found = f"the keys of {len(keys)} rollouts begin so" if keys else "`nsbench cache list` lists them"
        raise Refusal(f"{text!r} names no rollouts made elsewhere: {found}")
    return keys[0]


def _short(key: str) -> str:
    """The first digits of a key, or of a digest of code."""
    return key.rpartition(":")[2][:12]


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
