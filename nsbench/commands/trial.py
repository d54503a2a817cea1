"""`nsbench info trial`: all that is needed to make a number again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from nsbench.registry.registry import Registry, did_you_mean
from nsbench.results.rows import TrialResult, UnreadableResults, load
from nsbench.store.environment import default_threads, environment
from nsbench.store.provenance import provenance
from nsbench.store.store import Damaged, Key, Store, read_manifest
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import SPLITS, Part, Plan, Trial, UnknownTrial, differences, make_plan, only
from nsbench.suite.reading import read_suite
from nsbench.suite.seeds import Seed


class AmbiguousTrial(LookupError):
    """A trial that several suites of the workspace have; the message says which."""


@dataclass(frozen=True)
class Made:
    """An artifact of a trial: what, as results name it, with which seed, and its manifest if it is in the store."""

    what: str
    key: Key
    seed: Seed
    manifest: dict[str, Any] | None


def show_trial(
    trial: str, suite: Path | None, overrides: tuple[str, ...], root: Path, registry: Registry, console: Console
) -> int:
    """Print it. Raises UnknownTrial, AmbiguousTrial, and whatever is wrong with the suite."""
    workspace = Workspace(root)
    path = suite or find_suite(workspace, trial)
    plan = make_plan(read_suite(path, registry, overrides), registry)
    for line in lines(plan, only(plan, [trial]).trials[0], workspace, registry, path, overrides):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def find_suite(workspace: Workspace, trial: str) -> Path:
    """The resolved suite, in the workspace's runs, that has results of this trial.

    Raises UnknownTrial or AmbiguousTrial.
    """
    found, known = [], set()
    for path in sorted((workspace.root / "runs").glob("*/suite.yaml")):
        trials = {row.trial for row in _rows(workspace, path.parent.name)}
        known |= trials
        found += [path] if trial in trials else []
    if not found:
        raise UnknownTrial(f"no results of trial {trial!r} in {workspace.root}{did_you_mean(trial, known)}")
    if len(found) > 1:
        which = ", ".join(str(path) for path in found)
        raise AmbiguousTrial(f"trial {trial} is in more than one suite: say which with --suite, of {which}")
    return found[0]


def _rows(workspace: Workspace, suite: str) -> list[TrialResult]:
    try:
        return load(workspace.results(suite))
    except UnreadableResults:
        return []  # another suite's damage is not this one's


def lines(
    plan: Plan, trial: Trial, workspace: Workspace, registry: Registry, path: Path, overrides: tuple[str, ...]
) -> Iterator[str]:
    """The trial in words, line by line."""
    row = next((r for r in _rows(workspace, plan.suite.name) if r.trial == trial.id), None)
    made = _made(trial, Store(workspace.store))
    yield f"trial {trial.id} of suite {plan.suite.name}, {path}"
    yield from _result(row)
    yield from _commands(trial, workspace, path, overrides)
    yield from _settings(plan, trial, registry)
    yield from _artifacts(made, row)
    yield from _environments(made)


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


def _settings(plan: Plan, trial: Trial, registry: Registry) -> Iterator[str]:
    suite, conditions = plan.suite, plan.conditions
    yield ""
    yield "made with:"
    yield from _part("dataset", trial.data.part, registry)
    if trial.fit_data is not trial.data:
        yield from _part("fitted on dataset", trial.fit_data.part, registry)
    yield from _part("simulator", trial.part, registry)
    for metric in trial.scores:
        yield from _part("metric", metric.part, registry)
    yield f"  protocol {_plain(suite.protocol.model_dump(mode='json'))}"
    yield f"  budget {_plain(suite.budget.model_dump(mode='json'))}"
    threads = suite.compute.threads or f"{default_threads()} (here and now; the suite names none)"
    yield f"  device {conditions.device}, precision {conditions.precision}, threads {threads}"


def _part(role: str, part: Part, registry: Registry) -> Iterator[str]:
    plugin = registry.plugin_of(part.kind, part.name)
    libraries = ", ".join(f"{name} {version}" for name, version in part.libraries.items())
    yield f"  {role} {part.name}, from {provenance().get(plugin.name, plugin.origin)}"
    yield f"    parameters {_plain(part.params)}"
    yield f"    code {part.source}" + (f", with {libraries}" if libraries else "")


def _plain(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False)


def _made(trial: Trial, store: Store) -> list[Made]:
    plans = {split: trial.data if split == "test" else trial.fit_data for split in SPLITS}
    of: list[tuple[str, Key, Seed]] = [
        (f"data/{split}", data.keys[split], data.seeds[split]) for split, data in plans.items()
    ]
    of += [("model", trial.model, trial.fit_seed), ("evidence", trial.evidence, trial.simulate_seed)]
    of += [(f"score/{metric.name}", metric.key, metric.seed) for metric in trial.scores]
    return [Made(what, key, seed, _manifest(store, key)) for what, key, seed in of]


def _manifest(store: Store, key: Key) -> dict[str, Any] | None:
    try:
        return read_manifest(store.path(key)) if store.has(key) else None
    except Damaged:
        return None  # a run names it and makes it again


def _artifacts(made: list[Made], row: TrialResult | None) -> Iterator[str]:
    yield ""
    yield "artifacts: key, seed, state"
    for m in made:
        state = "not in the store"
        if m.manifest is not None:
            seconds = m.manifest["facts"].get("seconds")
            state = f"made {m.manifest['made']}" + (f" in {seconds:.1f} s" if isinstance(seconds, float) else "")
        yield f"  {m.what:<18} {m.key.digest}  {json.dumps(m.seed)}  {state}"
    others = [m.what for m in made if row is not None and row.keys.get(m.what) != m.key.digest]
    if others:
        yield f"  the result above came from other keys of {', '.join(others)}:"
        yield "  code, libraries or parameters have changed since; `nsbench plan` names what did"


def _environments(made: list[Made]) -> Iterator[str]:
    """Where the artifacts were made: those made alike together, each with what is different now."""
    now = here()
    groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for m in (m for m in made if m.manifest is not None):
        recorded = m.manifest["environment"] if m.manifest else {}
        threads = m.manifest["facts"].get("threads") if m.manifest else None
        group = groups.setdefault(json.dumps([recorded, threads]), (recorded | {"threads": threads}, []))
        group[1].append(m.what)
    for recorded, names in groups.values():
        yield ""
        yield f"environment of {', '.join(names)}:"
        for name, value in recorded.items():
            for line in _flat(name, value):
                yield f"  {line}"
        changes = differences(now, {name: value for name, value in recorded.items() if name != "threads"})
        yield "  here and now: " + ("the same" if not changes else "")
        yield from (f"    {change}" for change in changes)


def here() -> dict[str, Any]:
    """The environment as a manifest made now would record it."""
    return json.loads(json.dumps(environment() | {"code": provenance()}))


def _flat(name: str, value: object) -> list[str]:
    if isinstance(value, dict):
        return [line for key, inner in value.items() for line in _flat(f"{name}.{key}", inner)]
    return [f"{name}: {value}"]
