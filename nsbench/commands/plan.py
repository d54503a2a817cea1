"""`nsbench plan`: a hit or a miss for each artifact, and the differences of a miss from the nearest stored artifact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from nsbench.commands.display.screen import say, shown
from nsbench.commands.options import takes_session
from nsbench.registry.source import SCHEME
from nsbench.running.side_by_side import side_by_side
from nsbench.store.cores import usable_cores
from nsbench.store.environment import wanted_threads
from nsbench.store.key import ARTIFACT_KINDS, ArtifactKind, Key, least_differences
from nsbench.store.store import Store
from nsbench.suite.session import Session
from nsbench.suite.trials import Plan

Fields = dict[ArtifactKind, list[dict[str, Any]]]


@click.command()
@takes_session
def command(session: Session) -> None:
    """Say which artifacts a run would make, and why those in the store do not serve."""
    say(Console(), *explain(session))


def explain(session: Session) -> Iterator[str | Text]:
    """The plan in lines for a console: a hit or a miss for each artifact, and the reason of a miss."""
    store = Store(session.workspace.store)
    current: Fields = {kind: [] for kind in ARTIFACT_KINDS}
    outdated = missing = 0
    for kind, stored in current.items():
        for manifest in store.manifests(kind):
            if _is_outdated(manifest["fields"]):
                outdated += 1
            else:
                stored.append(manifest["fields"])
    for trial in session.plan.trials:
        yield shown(trial.id, "bold")
        for artifact in trial.artifacts():
            hit = store.has(artifact.key)
            missing += not hit
            colour, word = ("green", "hit ") if hit else ("yellow", "miss")
            reason = "" if hit else _miss_reason(artifact.key, current[artifact.key.kind], outdated)
            line = f" {_in_words(artifact.name):<18} {artifact.key.digest[:12]}  {reason}"
            yield Text.assemble("  ", (word, colour), shown(line.rstrip()))
    yield _cores_in_words(session.plan)
    yield f"{len(session.plan.trials)} trials, {missing} misses"
    if missing and outdated:
        yield (
            f"{outdated:,} artifacts here have keys of an earlier nsbench, which held the names of modules: they are "
            "not found any more and are made again, once; `nsbench cache prune --keep SUITE` removes them."
        )


def _cores_in_words(plan: Plan) -> str:
    """The cores that there are, what limits them, and what a run would do with them."""
    cores, there = usable_cores(), side_by_side(plan)
    line = f"{_counted(cores.number, 'core')} ({cores.limit}); a run has {_counted(there.jobs, 'trial')} at a time"
    line += f" ({there.limit}), on {_counted(there.threads, 'thread')}{' each' * (there.jobs > 1)}"
    if plan.suite.compute.threads:
        return f"{line}, as the suite says"
    return f"{line}, as OMP_NUM_THREADS says" if wanted_threads() else line


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _in_words(name: str) -> str:
    """An artifact's name in words: "train data" for "data/train", "score ewd" for "score/ewd"."""
    kind, _, rest = name.partition("/")
    return f"{rest} data" if kind == "data" else name.replace("/", " ")


def _miss_reason(key: Key, stored: Iterable[dict[str, Any]], outdated: int) -> str:
    """The differences from the stored key that differs least; "" if none is alike and the store holds outdated ones.

    stored: the fields of the current keys of that kind.
    """
    nearest = least_differences(key.fields, (fields for fields in stored if _is_alike(key, fields)))
    if nearest is not None:
        return "; ".join(nearest)
    return "" if outdated else "nothing like it in the store"


def _is_outdated(fields: dict[str, Any]) -> bool:
    """Whether a key holds a digest of code in an earlier scheme, in which the move of a module changed it."""
    source = fields.get("source")
    return isinstance(source, str) and not source.startswith(SCHEME)


def _is_alike(key: Key, fields: dict[str, Any]) -> bool:
    return all(key.fields.get(name) == fields.get(name) for name in ("name", "split"))
