"""Simulators that are made of another one: an ensemble of its fits, or one of them corrected.

A wrapper's parameters name the inner simulator, `{use: name, params: {...}}`, and say which of its fits they want. A
run makes each of these by itself, under the key that it has as a fit of the inner simulator, and gives them to the
wrapper; without a run the wrapper fits them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext, Simulator
from nsbench.trajectories.base import Trajectories


class Inner(Params):
    """The simulator that another one is made of."""

    use: str = Field(description="name of the simulator")
    params: dict[str, Any] = Field({}, description="its parameters")


@dataclass(frozen=True)
class InnerFit:
    """A fit of the inner simulator: the one that its own trial of that replicate has, within so many transitions."""

    replicate: int
    transitions: int


class WrapperParams(Params):
    """The base class of the parameters of wrappers."""

    of: Inner = Field(description="the simulator that this one is made of")

    def fits(self, replicate: int, transitions: int) -> list[InnerFit]:
        """The fits that the wrapper is made of, in its own trial of that replicate, with that budget."""
        return [InnerFit(replicate, transitions)]


class Wrapper(Simulator):
    """The base class of simulators that are made of fits of another one.

    members: these fits, in the order of ``WrapperParams.fits``; () before a fit or a load.
    """

    params: WrapperParams
    members: Sequence[Simulator] = ()
    _make: Callable[[], Simulator] | None = None
    _conditions: Conditions = Conditions()

    def bind(self, make: Callable[[], Simulator]) -> None:
        """Take the function that makes an inner simulator which has learned nothing yet."""
        self._make = make
        self.likelihood = make().likelihood

    @property
    def conditions(self) -> Conditions:
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions
        for member in self.members:
            member.conditions = conditions

    def inner(self) -> Simulator:
        """A new inner simulator, under the wrapper's conditions. Raises RuntimeError before `bind`."""
        if self._make is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} does not know how to make {self.params.of.use!r}: make it by nsbench.load")
        simulator = self._make()
        simulator.conditions = self._conditions
        return simulator

    def take(self, members: Sequence[Simulator]) -> None:
        """Take fits of the inner simulator that are there already: `fit` makes none, and goes on from these."""
        self.members = tuple(members)
        self.conditions = self._conditions

    def fit(self, train: Trajectories, val: Trajectories, ctx: FitContext) -> None:
        """Fit the members, unless they were taken, one after the other; then learn what the wrapper itself learns.

        Each member has a folder of its own for its checkpoints, and a generator that the given one draws.
        """
        self.conditions = ctx.conditions
        own, *rngs = (np.random.default_rng(int(ctx.rng.integers(2**63))) for _ in range(1 + self._count(ctx)))
        if not self.members:
            members = []
            for k, (wanted, rng) in enumerate(zip(self.params.fits(0, ctx.transitions), rngs, strict=True)):
                members.append(self.inner())
                if type(members[-1]).fit is not Simulator.fit:
                    members[-1].fit(train, val, self._context(ctx, k, wanted.transitions, rng))
            self.take(members)
        self.learn(val, replace(ctx, rng=own))

    def learn(self, val: Trajectories, ctx: FitContext) -> None:
        """Learn from validation trajectories what the wrapper adds to its members; nothing by default."""

    def _count(self, ctx: FitContext) -> int:
        return len(self.params.fits(0, ctx.transitions))

    def _context(self, ctx: FitContext, k: int, transitions: int, rng: np.random.Generator) -> FitContext:
        """The context of the fit of member k. Progress is that of all members, in units of the wrapper's budget."""
        folder, count = ctx.workdir / member_name(k), self._count(ctx)
        folder.mkdir(parents=True, exist_ok=True)
        return replace(
            ctx,
            transitions=transitions,
            workdir=folder,
            rng=rng,
            log=lambda name, value, step: ctx.log(f"{member_name(k)}/{name}", value, step),
            progress=lambda done, total: ctx.progress(
                int((k + done / total) / count * ctx.transitions), ctx.transitions
            ),
        )

    def save(self, directory: Path) -> None:
        for k, member in enumerate(self.fitted()):
            folder = directory / member_name(k)
            folder.mkdir(parents=True, exist_ok=True)
            member.save(folder)

    def load(self, directory: Path) -> None:
        members = [self.inner() for _ in self.params.fits(0, 0)]
        for k, member in enumerate(members):
            member.load(directory / member_name(k))
        self.take(members)

    def fitted(self) -> Sequence[Simulator]:
        """The members. Raises RuntimeError before a fit or a load."""
        if not self.members:
            raise RuntimeError(f"{type(self).__name__} has learned nothing yet: fit or load it first")
        return self.members

    def size(self) -> int | None:
        sizes = [member.size() for member in self.fitted()]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def member_name(k: int) -> str:
    """The name of member k, in folders and curves."""
    return f"member-{k}"
