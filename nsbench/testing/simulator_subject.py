"""A simulator under examination: built, fitted on small data, and asked as the harness asks it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from nsbench.components.contracts.simulator import require_rollout
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext, Simulator, SimulatorSpec
from nsbench.registry.loading import build
from nsbench.registry.registry import Registry
from nsbench.stages.workshop import hold_threads
from nsbench.suite.seeds import generator
from nsbench.testing.findings import Blocked, Raised, calling
from nsbench.testing.global_randomness import watched
from nsbench.testing.small_data import Data, bits
from nsbench.trajectories.base import Trajectories

FIT_SECONDS = 60
"""The most seconds that a short fit may take on a CPU."""

FEW_TRANSITIONS = 32
"""A budget that is small beside that of a short fit."""


@dataclass
class SimulatorSubject:
    """A simulator under check. folder: for what it saves; module: of its plugin; transitions: of a short fit.

    States are drawn ("sample"), so that what is random shows.
    """

    registry: Registry
    spec: SimulatorSpec
    params: dict[str, Any]
    data: Data
    folder: Path
    module: str = ""
    transitions: int = 1024
    likelihood_fails: bool = False
    _broken: bool = False
    conditions: ClassVar[Conditions] = Conditions(decode="sample")

    @cached_property
    def bare(self) -> Simulator:
        """An instance that has learned nothing."""
        return self.fresh()

    def fresh(self) -> Simulator:
        """A new instance, under the subject's conditions."""
        simulator = cast(Simulator, build("simulator", self.spec, self.params, self.registry))
        simulator.conditions = self.conditions
        hold_threads(1)
        return simulator

    @property
    def learns(self) -> bool:
        """True if the simulator has a fit of its own."""
        return type(self.bare).fit is not Simulator.fit

    @cached_property
    def _fits(self) -> dict[tuple[int, int], Fitted | Raised]:
        return {}

    def fit(self, transitions: int, global_seed: int) -> Fitted:
        """A fit within so many transitions, always with the same generator, made once.

        global_seed: of the global generators, which it must not use. Raises Raised.
        """
        key = (transitions, global_seed)
        if key not in self._fits:
            try:
                self._fits[key] = self.fit_again(transitions, global_seed)
            except Raised as raised:
                self._fits[key] = raised
        fitted = self._fits[key]
        if isinstance(fitted, Raised):
            raise fitted
        return fitted

    def fit_again(self, transitions: int, global_seed: int) -> Fitted:
        """A fit as of `fit`, but always made anew."""
        simulator, changed, reported = self.fresh(), set[str](), [0]
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "weights").mkdir()
        (folder / "work").mkdir()
        ctx = FitContext(
            transitions=transitions,
            workdir=folder / "work",
            rng=np.random.default_rng(1),
            conditions=self.conditions,
            progress=lambda done, total: reported.append(done),
        )
        before = time.perf_counter()
        with watched(changed, global_seed), calling(simulator, "fit", f"learn from {transitions} transitions"):
            simulator.fit(self.data.train, self.data.val, ctx)
        seconds = time.perf_counter() - before
        with calling(simulator, "save", "write what fit learned to the directory given"):
            simulator.save(folder / "weights")
        return Fitted(simulator, folder / "weights", seconds, max(reported), frozenset(changed))

    @cached_property
    def _ready(self) -> Simulator | None:
        try:
            return self.fit(self.transitions, 1).simulator if self.learns else self.bare
        except Raised:
            return None

    @property
    def fitted(self) -> Simulator:
        """The simulator after a short fit. Raises Blocked where there is none, which the check `fits` reports."""
        if self._ready is None:
            raise Blocked
        return self._ready

    @property
    def weights(self) -> Path:
        """The folder of what a short fit saved; an empty one for a simulator that learns nothing."""
        if not self.learns:
            folder = self.folder / "nothing-learned"
            folder.mkdir(exist_ok=True)
            return folder
        return self.fit(self.transitions, 1).weights

    def rollout(
        self, seed: int, *, simulator: Simulator | None = None, start: Trajectories | None = None, steps: int = 0
    ) -> Trajectories:
        """A rollout of the starts that keeps its contract.

        Raises Raised, with a finding; and Blocked once a rollout of `fitted` has raised.
        """
        if self._broken:
            raise Blocked
        simulator, start = simulator or self.fitted, self.data.starts() if start is None else start
        steps = steps or self.data.horizon
        try:
            with calling(simulator, "rollout", f"simulate {len(start)} cases for at most {steps} frames"):
                return require_rollout(simulator, simulator.rollout(start, steps, generator([seed])), start, steps)
        except Raised:
            self._broken = simulator is self.fitted
            raise

    @cached_property
    def expected(self) -> str:
        """The bits of the rollout of seed 0. Raises Blocked where they vary, which the check `seeds_count` reports."""
        results = []
        for global_seed in (1, 2):
            with watched(set(), global_seed):
                results.append(bits(self.rollout(0)))
        if results[0] != results[1]:
            raise Blocked("no two rollouts are the same")
        return results[0]


@dataclass(frozen=True)
class Fitted:
    """A finished fit. done: the most transitions that it reported; changed: what it changed in its process."""

    simulator: Simulator
    weights: Path
    seconds: float
    done: int
    changed: frozenset[str]

    def saved(self) -> dict[str, bytes]:
        """The files that the fit saved, {path: content}."""
        files = (p for p in sorted(self.weights.rglob("*")) if p.is_file())
        return {str(p.relative_to(self.weights)): p.read_bytes() for p in files}
