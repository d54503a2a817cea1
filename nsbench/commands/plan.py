"""`nsbench plan`: hit or miss, stage by stage, and for a miss what differs from the nearest artifact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.markup import escape

from nsbench.running.schedule import stage_keys
from nsbench.store.store import Key, Store
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Plan, Trial, differences


def explain(plan: Plan, root: Path) -> Iterator[str]:
    """Lines of rich markup."""
    store = Store(Workspace(root).store)
    missing = 0
    for trial in plan.trials:
        yield f"[bold]{escape(trial.id)}[/]"
        for name, key in zip(_names(trial), stage_keys(trial), strict=True):
            hit = store.has(key)
            missing += not hit
            colour, word = ("green", "hit ") if hit else ("yellow", "miss")
            why = "" if hit else f"  {escape(_why(store, key))}"
            yield f"  [{colour}]{word}[/] {name:<18} {key.digest[:12]}{why}"
    yield f"{len(plan.trials)} trials, {missing} misses"


def _names(trial: Trial) -> list[str]:
    return ["train data", "val data", "test data", "model", "evidence", *(f"score {m.name}" for m in trial.scores)]


def _why(store: Store, key: Key) -> str:
    """What differs from the artifact of the same stage that differs least."""
    others: list[list[str]] = [
        differences(key.fields, m["fields"]) for m in store.manifests(key.stage) if _alike(key, m["fields"])
    ]
    if not others:
        return "nothing like it in the store"
    fewest = min(len(found) for found in others)
    return "; ".join(next(found for found in others if len(found) == fewest))


def _alike(key: Key, fields: dict[str, Any]) -> bool:
    return all(key.fields.get(name) == fields.get(name) for name in ("name", "split"))
