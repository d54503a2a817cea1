"""Suites of the toy plugin's coins, run once for many tests: all that comparisons and reports are made of."""

from __future__ import annotations

from conftest import SUITE
from nsbench.outcomes.stored import StoredResults
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

SIMULATORS = """\
simulators:
  - {use: coin, as: truth}
  - {use: learner}
  - {use: coin, as: half, params: {rho: 0.5}}
  - {use: coin, as: sure, params: {rho: 0.95}}
  - {use: failing}
"""

EWD = "{use: ewd, params: {bins: 12, resamples: 20}}"


def suite(metrics, more=""):
    """Four coins and one simulator that fails, scored by these metrics."""
    text = SUITE.replace("simulators:\n  - {use: coin, as: truth}\n  - {use: learner}\n", SIMULATORS)
    text = text.replace("{train: 30}", "{train: 30, test: 60}")
    return text.replace("metrics: [length, elbo, wall_clock]", f"metrics: [{metrics}]") + more


PLAIN = suite("elbo, length, wall_clock")
COINS = suite(f"{EWD}, elbo, length, wall_clock")
"""With a metric that is known by bin."""


class Ran:
    """A suite in a workspace, run unless told otherwise."""

    def __init__(self, folder, registry, text=COINS, *, execute=True):
        self.suite = folder / "coins.yaml"
        self.suite.write_text(text)
        self.workspace = Workspace(folder / "workspace")
        self.plan = make_plan(read_suite(self.suite, registry), registry)
        self.session = Session(self.plan, registry, self.workspace, self.suite)
        if execute:
            run(self.session)
        self.stored = StoredResults(self.session)

    @property
    def rows(self):
        return {row.simulator: {score.metric: score for score in row.scores} for row in self.stored.rows.values()}
