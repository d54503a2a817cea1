"""`nsbench plan`: a hit or a miss for each artifact, and the differences of a miss from the nearest stored artifact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from nsbench.commands.options import takes_session
from nsbench.registry.source import SCHEME
from nsbench.store.key import ARTIFACT_KINDS, ArtifactKind, Key, differences
from nsbench.store.store import Store
from nsbench.suite.session import Session

Manifests = dict[ArtifactKind, list[dict[str, Any]]]


@click.command()
@takes_session
def command(session: Session) -> None:
    """Say which artifacts a run would make, and why those in the store do not serve."""
    console = Console()
    for line in explain(session):
        console.print(line, highlight=False, soft_wrap=True)


def explain(session: Session) -> Iterator[str]:
    """The plan in lines of rich markup: a hit or a miss for each artifact, and the reason of a miss."""
    store = Store(session.workspace.store)
    manifests = {kind: list(store.manifests(kind)) for kind in ARTIFACT_KINDS}
    outdated = {kind: [m for m in stored if _is_outdated(m["fields"])] for kind, stored in manifests.items()}
    missing = 0
    for trial in session.plan.trials:
        yield f"[bold]{escape(trial.id)}[/]"
        for artifact in trial.artifacts():
            hit = store.has(artifact.key)
            missing += not hit
            colour, word = ("green", "hit ") if hit else ("yellow", "miss")
            reason = "" if hit else f"  {escape(_miss_reason(artifact.key, manifests, outdated))}".rstrip()
            yield f"  [{colour}]{word}[/] {_in_words(artifact.name):<18} {artifact.key.digest[:12]}{reason}"
    yield f"{len(session.plan.trials)} trials, {missing} misses"
    if count := sum(map(len, outdated.values())) if missing else 0:
        yield (
            f"{count:,} artifacts here have keys of an earlier nsbench, which held the names of modules: they are not "
            "found any more and are made again, once; `nsbench cache prune --keep SUITE` removes them."
        )


def _in_words(name: str) -> str:
    """An artifact's name in words: "train data" for "data/train", "score ewd" for "score/ewd"."""
    kind, _, rest = name.partition("/")
    return f"{rest} data" if kind == "data" else name.replace("/", " ")


def _miss_reason(key: Key, manifests: Manifests, outdated: Manifests) -> str:
    """The differences from the artifact of the same kind that differs least.

    "" if no artifact with a current key is alike, and the store holds outdated keys.
    """
    alike = [m for m in manifests[key.kind] if _is_alike(key, m["fields"])]
    nearest = min(
        (differences(key.fields, m["fields"]) for m in alike if m not in outdated[key.kind]), key=len, default=None
    )
    if nearest is not None:
        return "; ".join(nearest)
    return "" if any(outdated.values()) else "nothing like it in the store"


def _is_outdated(fields: dict[str, Any]) -> bool:
    """Whether a key holds a digest of code in an earlier scheme, in which the move of a module changed it."""
    source = fields.get("source")
    return isinstance(source, str) and not source.startswith(SCHEME)


def _is_alike(key: Key, fields: dict[str, Any]) -> bool:
    return all(key.fields.get(name) == fields.get(name) for name in ("name", "split"))
