"""What a command works with: a planned suite, what is installed, and the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nsbench.errors import Refusal
from nsbench.registry.registry import Registry
from nsbench.store.workspace import Workspace
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


def open_session(suite: Path, registry: Registry, workspace: Workspace, overrides: Sequence[str] = ()) -> Session:
    """The session of a suite's file. Raises SuiteError, and Refusal, naming the file, for what cannot be planned."""
    try:
        return Session(make_plan(read_suite(suite, registry, overrides), registry), registry, workspace, suite)
    except SuiteError:
        raise  # its faults name file and line themselves
    except Refusal as refusal:
        raise Refusal(f"{suite}: {refusal}") from refusal
