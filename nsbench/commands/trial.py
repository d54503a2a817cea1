"""`nsbench info trial`: a trial in words, with all that is needed to make its numbers again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsbench.components.rows import TrialResult
from nsbench.errors import Refusal
from nsbench.names import did_you_mean
from nsbench.outcomes.file import UnreadableResults, load
from nsbench.registry.registry import Registry
from nsbench.running.side_by_side import side_by_side
from nsbench.store.environment import provenance, recorded_environment
from nsbench.store.key import differences
from nsbench.store.manifest import Damaged, read_manifest
from nsbench.store.store import Store
from nsbench.store.workspace import Workspace
from nsbench.suite.session import Session
from nsbench.suite.trials import Part, PlannedArtifact, Trial, UnknownTrial


class AmbiguousTrial(Refusal, LookupError):
    """The trial is in several suites of the workspace; the message names them."""


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact of a trial, and its manifest if it is in the store."""

    planned: PlannedArtifact
    manifest: dict[str, Any] | None


def find_suite(workspace: Workspace, trial: str) -> Path:
    """The resolved suite, in the workspace's runs, that has results of this trial.

    Raises UnknownTrial or AmbiguousTrial.
    """
    suites: list[Path] = []
    all_trials: set[str] = set()
    for path in sorted((workspace.root / "runs").glob("*/suite.yaml")):
        trials = {row.trial for row in _rows(workspace, path.parent.name)}
        all_trials |= trials
        suites += [path] if trial in trials else []
    if not suites:
        raise UnknownTrial(f"no results of trial {trial!r} in {workspace.root}{did_you_mean(trial, all_trials)}")
    if len(suites) > 1:
        listed = ", ".join(str(path) for path in suites)
        raise AmbiguousTrial(f"trial {trial} is in more than one suite: say which with --suite, of {listed}")
    return suites[0]


def result_of(workspace: Workspace, suite: str, trial: str) -> TrialResult:
    """The row of a trial in the results of a suite, by its name. Raises UnknownTrial."""
    rows = {row.trial: row for row in _rows(workspace, suite)}
    if trial not in rows:
        raise UnknownTrial(f"no results of trial {trial!r} in suite {suite!r}{did_you_mean(trial, rows)}")
    return rows[trial]


def _rows(workspace: Workspace, suite: str) -> list[TrialResult]:
    try:
        return load(workspace.results(suite))
    except UnreadableResults:
        return []  # another suite's damage is not this one's


def describe_trial(session: Session, trial: Trial, path: Path, overrides: tuple[str, ...]) -> Iterator[str]:
    """The trial in words, line by line. path: the suite's file. overrides: the texts given to --set."""
    row = next((r for r in _rows(session.workspace, session.suite.name) if r.trial == trial.id), None)
    artifacts = _artifacts_of(trial, Store(session.workspace.store))
    yield f"trial {trial.id} of suite {session.suite.name}, {path}"
    yield from _result(row)
    yield from _commands(trial, session.workspace, path, overrides)
    yield from _settings(session, trial)
    yield from _artifacts(artifacts, row)
    yield from _environments(artifacts)


def _result(row: TrialResult | None) -> Iterator[str]:
    yield ""
    if row is None:
        yield "no result yet"
        return
    yield f"result: {row.status}, {row.seconds:.1f} s" + (f", costs on {row.hardware}" if row.hardware else "")
    if row.error:
        yield f"  {row.error}"
    for score in row.scores:
        interval = f", 95 % interval {score.interval[0]!r} … {score.interval[1]!r}" if score.interval else ""
        value = f"{score.value!r} {score.unit}{interval}" if score.value is not None else score.absent
        yield f"  {score.metric}: {value}"


def _commands(trial: Trial, workspace: Workspace, path: Path, overrides: tuple[str, ...]) -> Iterator[str]:
    words = ["nsbench", "run", str(path), *(f"--set={text}" for text in overrides)]
    command = shlex.join([*words, f"--workspace={workspace.root}", "--only", trial.id])
    yield ""
    yield "commands:"
    yield f"  {command}"
    yield "    prints the number, from the store; makes what is missing"
    yield f"  {command} --fresh"
    yield "    fits, simulates and scores again, beside the store, and says whether the same comes out"


def _settings(session: Session, trial: Trial) -> Iterator[str]:
    suite, conditions, registry = session.suite, session.plan.conditions, session.registry
    yield ""
    yield "made with:"
    yield from _part("dataset", trial.data.part, registry)
    if trial.fit_data is not trial.data:
        yield from _part("fitted on dataset", trial.fit_data.part, registry)
    yield from _part("simulator", trial.part, registry)
    for metric in trial.scores:
        yield from _part("metric", metric.part, registry)
    yield f"  protocol {_plain(trial.data.protocol.model_dump(mode='json'))}"
    yield f"  budget {_plain(suite.budget.model_dump(mode='json'))}"
    threads = suite.compute.threads or f"{side_by_side(session.plan).threads} (here and now; the suite names none)"
    yield f"  device {conditions.device}, precision {conditions.precision}, threads {threads}"


def _part(role: str, part: Part, registry: Registry) -> Iterator[str]:
    plugin = registry.plugin_of(part.kind, part.name)
    libraries = ", ".join(f"{name} {version}" for name, version in part.libraries.items())
    yield f"  {role} {part.name}, from {provenance().get(plugin.name, plugin.origin)}"
    yield f"    parameters {_plain(part.params)}"
    yield f"    code {part.source}" + (f", with {libraries}" if libraries else "")
    if part.variables:
        yield f"    environment {', '.join(f'{name}={value}' for name, value in part.variables.items())}"


def _plain(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False)


def _artifacts_of(trial: Trial, store: Store) -> list[StoredArtifact]:
    return [StoredArtifact(planned, _manifest(store, planned)) for planned in trial.artifacts()]


def _manifest(store: Store, planned: PlannedArtifact) -> dict[str, Any] | None:
    try:
        return read_manifest(store.path(planned.key)) if store.has(planned.key) else None
    except Damaged:
        return None  # a run names it and makes it again


def _artifacts(artifacts: list[StoredArtifact], row: TrialResult | None) -> Iterator[str]:
    yield ""
    yield "artifacts: key, seed, state"
    for planned, manifest in ((a.planned, a.manifest) for a in artifacts):
        state = "not in the store"
        if manifest is not None:
            seconds = manifest["facts"].get("seconds")
            state = f"made {manifest['made']}" + (f" in {seconds:.1f} s" if isinstance(seconds, float) else "")
        yield f"  {planned.name:<18} {planned.key.digest}  {json.dumps(planned.seed)}  {state}"
    planned_keys = {a.planned.name: a.planned.key.digest for a in artifacts}
    changed = [name for name, key in planned_keys.items() if row is not None and row.keys.get(name) != key]
    if changed:
        yield f"  the result above came from other keys of {', '.join(changed)}:"
        yield "  code, libraries or parameters have changed since; `nsbench plan` names what did"


def _environments(artifacts: list[StoredArtifact]) -> Iterator[str]:
    """Lines about the environments in which the artifacts were made, each with its differences from here and now."""
    now = recorded_environment()
    groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for planned, manifest in ((a.planned, a.manifest) for a in artifacts):
        if manifest is not None:
            recorded = manifest["environment"] | {"threads": manifest["facts"].get("threads")}
            groups.setdefault(json.dumps(recorded), (recorded, []))[1].append(planned.name)
    for recorded, names in groups.values():
        yield ""
        yield f"environment of {', '.join(names)}:"
        for name, value in recorded.items():
            for line in _flat(name, value):
                yield f"  {line}"
        changes = differences(now, {name: value for name, value in recorded.items() if name != "threads"})
        yield "  here and now: " + ("the same" if not changes else "")
        yield from (f"    {change}" for change in changes)


def _flat(name: str, value: object) -> list[str]:
    if isinstance(value, dict):
        return [line for key, inner in value.items() for line in _flat(f"{name}.{key}", inner)]
    return [f"{name}: {value}"]
