"""The session that a command works with: a planned suite, the registry and the workspace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nsbench.errors import Refusal
from nsbench.registry.registry import Registry, installed
from nsbench.store.contents import remember_in
from nsbench.store.workspace import DEFAULT_WORKSPACE, Workspace, workspace_at
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.suite import Suite
from nsbench.suite.trials import Plan
from nsbench.suite.yaml import SuiteError


@dataclass(frozen=True)
class Session:
    """A plan, the registry that it was made with, and the workspace in which it is carried out.

    file: the suite's file, where it has one.
    """

    plan: Plan
    registry: Registry
    workspace: Workspace
    file: Path | None = None

    @property
    def suite(self) -> Suite:
        return self.plan.suite

    @property
    def results(self) -> Path:
        """The file of the suite's results."""
        return self.workspace.results(self.suite.name)

    def only(self, trials: Sequence[str]) -> Session:
        """The session with some of its trials. Raises UnknownTrial."""
        return replace(self, plan=self.plan.only(trials))


def open_session(
    suite: Path | str,
    workspace: Path | str | None = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> Session:
    """The session of a suite's file.

    workspace: NSBENCH_WORKSPACE or ./nsbench-out if None. overrides: "protocol.horizon=32", as `--set` takes them.
    registry: that of the installed plugins if None. Raises SuiteError for a faulty suite, and Refusal, naming the file,
    for a suite that cannot be planned.
    """
    registry = installed() if registry is None else registry
    place = workspace_at(Path(workspace or os.environ.get("NSBENCH_WORKSPACE") or DEFAULT_WORKSPACE))
    remember_in(place.contents)
    try:
        plan = make_plan(read_suite(Path(suite), registry, overrides), registry)
    except SuiteError:
        raise  # its faults name file and line themselves
    except Refusal as refusal:
        raise Refusal(f"{suite}: {refusal}") from refusal
    return Session(plan, registry, place, Path(suite))


def as_session(suite: Session | Path | str) -> Session:
    """The session itself, or that of a suite's file."""
    return suite if isinstance(suite, Session) else open_session(suite)
