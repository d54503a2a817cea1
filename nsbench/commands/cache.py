"""`nsbench cache`: what the store holds, whether it is unharmed, and what may go."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from nsbench.store import inventory as cache
from nsbench.store.files import Busy
from nsbench.store.inventory import Entry, Pruning
from nsbench.store.workspace import Workspace


def list_artifacts(root: Path, console: Console) -> int:
    """A line an artifact: what, how large, when made and last used, in whose results."""
    rows = [
        [e.stage, e.key[:12], e.what or "damaged", size_text(e.size), _day(e.made), _day(e.used), ", ".join(e.suites)]
        for e in cache.artifacts(Workspace(root))
    ]
    _show(["stage", "key", "what", "size", "made", "used", "in the results of"], rows, console)
    return 0


def show_sizes(root: Path, console: Console) -> int:
    """A line a stage, and one for each kind of leftover."""
    workspace = Workspace(root)
    entries = [*cache.artifacts(workspace), *cache.leftovers(workspace)]
    kinds = dict.fromkeys(["data", "model", "evidence", "score", *(e.stage for e in entries)])
    groups = [(kind, [e for e in entries if e.stage == kind]) for kind in kinds]
    rows = [[kind, f"{len(group):,}", size_text(sum(e.size for e in group))] for kind, group in groups]
    rows.append(["together", f"{len(entries):,}", size_text(sum(e.size for e in entries))])
    _show(["stage", "number", "size"], rows, console)
    return 0


def verify(root: Path, console: Console, *, repair: bool) -> int:
    """Read every artifact; name those that are damaged. Returns 1 if any is, and was left where it was."""
    workspace = Workspace(root)
    entries, damaged = cache.artifacts(workspace), 0
    for entry in entries:
        if fault := cache.damage(workspace, entry):
            damaged += 1
            _say(console, f"{fault}" + (f"; moved to {cache.move_aside(workspace, entry)}" if repair else ""))
    size = size_text(sum(e.size for e in entries))
    _say(console, f"{len(entries):,} artifacts, {size}, read: {damaged:,} damaged")
    if damaged and not repair:
        _say(
            console,
            "A run moves what is damaged aside and makes it again; `nsbench cache verify --repair` does it now.",
        )
    return 1 if damaged and not repair else 0


def prune(root: Path, console: Console, *, older_than: str | None, keep: Iterable[Path], yes: bool) -> int:
    """Show what may go, and with `yes` remove it; returns 1 if a run is in the way.

    Raises ValueError for an age that is none, SuiteError and its like for a suite that cannot be planned.
    """
    workspace, suites = Workspace(root), list(keep)
    age = None if older_than is None else cache.parse_age(older_than)
    kept = _kept(suites) if suites else None
    if age is None and kept is None:
        _say(console, "Artifacts stay unless --older-than or --keep says which may go.")
    if not workspace.store.is_dir():
        _say(console, f"there is no store in {root}")
        return 0
    try:
        with cache.alone(workspace) as locks:
            pruning = cache.prunable(workspace, older_than=age, keep=kept)
            _show_pruning(pruning, console)
            if yes and pruning.removed:
                _say_removed(cache.remove(workspace, pruning, locks=locks), pruning, console)
    except Busy:
        _say(console, f"{workspace.store} is in use by a run: try again when it has ended")
        return 1
    if not yes and pruning.removed:
        _say(console, "Nothing was removed: say --yes to do it.")
    return 0


def _show_pruning(pruning: Pruning, console: Console) -> None:
    rows = [[e.stage, e.key[:12], e.what, size_text(e.size), why] for e, why in pruning.removed]
    if rows:
        _show(["stage", "key", "what", "size", "why it may go"], rows, console)
    _say(console, f"{len(rows):,} folders may go, {size_text(pruning.size)}")


def _say_removed(removed: list[Entry], pruning: Pruning, console: Console) -> None:
    _say(console, f"removed {len(removed):,} folders, {size_text(sum(e.size for e in removed))}")
    if left := len(pruning.removed) - len(removed):
        _say(console, f"{left:,} were touched within a day and stay: this file system has no locks to tell their use")


def _kept(paths: list[Path]) -> set[str]:
    """The keys that suites need; a folder stands for the suites in it."""
    from nsbench.registry.registry import installed
    from nsbench.suite.planner import make_plan
    from nsbench.suite.reading import read_suite

    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    registry = installed()
    return set().union(*(cache.needed(make_plan(read_suite(file, registry), registry)) for file in files))


def size_text(size: int) -> str:
    """512 B, 12.3 kB, 4.56 MB, 1.2 GB: in powers of 1000."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _show(headings: list[str], rows: list[list[str]], console: Console) -> None:
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[headings.index("size")].justify = "right"
    for row in rows:
        table.add_row(*row)
    if not console.is_terminal:  # a file or another program: nothing is shortened
        console.width = console.measure(table, options=console.options.update(width=10_000)).maximum
    console.print(table)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
