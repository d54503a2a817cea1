"""Null models: forecasts that nothing had to be learned for, made from truths that are there. Their scores say what a
score is worth.

best-deterministic  one state of the truth for all members of an ensemble, the medoid of an independent truth ensemble:
                    nothing without randomness can be expected to be better.
analogue            a look-up: the training trajectories that are nearest in parameters and start state.
climatology         any case's truth, whatever the parameters: each rollout is a truth of another ensemble, drawn at
                    random. The distribution over all cases is right, and the parameters of the case are ignored.
persistence         nothing happens: every rollout stays in its start state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.components.contracts.simulator import require_rollout
from nsbench.components.metric import NotApplicable, Null
from nsbench.components.protocol import Protocol
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.ensembles import alike

Array = NDArray[np.float64]

Redraw = Callable[[Trajectories], Trajectories]
"""A function that returns a new rollout of the truth from each start that it is given."""

LEADS = 5
"""Lead times, spread over the frames, at which trajectories of one ensemble are told apart."""


def null_rollouts(
    name: Null | Literal["redrawn"],
    test: Trajectories,
    members: int,
    rng: np.random.Generator,
    *,
    train: Trajectories | None = None,
    redraw: Redraw | None = None,
    draws: int = 1,
) -> Trajectories:
    """The rollouts of a null model, or of the truth once more ("redrawn"), the members of a case side by side.

    test: the truth, framed. train: needed by the analogue; redraw: by those that draw from the truth,
    best-deterministic so many times from each start. Raises NotApplicable where the data allows none.
    """
    match name:
        case "persistence":
            return persistence(test, members)
        case "climatology":
            return climatology(test, members, rng)
        case "analogue":
            assert train is not None
            return analogue(train, test, members, rng)
    assert redraw is not None
    if name == "redrawn":
        return redraw(test.start().select(np.repeat(np.arange(len(test)), members)))
    return best_deterministic(test, members, redraw, draws)


def redrawing(truth: Simulator, protocol: Protocol, rng: np.random.Generator) -> Redraw:
    """The function that lets the ground truth roll out, in batches, by the protocol's horizon and stop rule."""

    def redraw(start: Trajectories) -> Trajectories:
        batches = [start.select(slice(k, k + protocol.batch)) for k in range(0, len(start), protocol.batch)]
        rollouts = []
        for batch in batches:
            rollout = truth.rollout(batch, protocol.horizon, rng.spawn(1)[0])
            rollouts.append(require_rollout(truth, rollout, batch, protocol.horizon).stopped())
        return type(rollouts[0]).joined(rollouts)

    return redraw


def persistence(test: Trajectories, members: int) -> Trajectories:
    """Rollouts that end where they start."""
    return test.start().select(np.repeat(np.arange(len(test)), members))


def climatology(test: Trajectories, members: int, rng: np.random.Generator) -> Trajectories:
    """Rollouts drawn from the truths of other ensembles, with the parameters of the case that they stand for.

    Within an ensemble no truth is drawn twice while there are enough of them. Raises NotApplicable for one ensemble
    alone: there is no other to draw from.
    """
    groups = alike(test)
    if len(groups) == 1:
        raise NotApplicable("climatology needs more than one ensemble")
    sources = np.empty((len(test), members), dtype=np.int64)
    for group in groups:
        outside = np.setdiff1d(np.arange(len(test)), group)
        count = len(group) * members
        sources[group] = rng.choice(outside, count, replace=count > len(outside)).reshape(-1, members)
    return _standing_for(test, test.select(sources.ravel()), members)


def analogue(train: Trajectories, test: Trajectories, members: int, rng: np.random.Generator) -> Trajectories:
    """Rollouts looked up in the training data: of each ensemble the nearest ones, as many as it has members.

    Nearest by the sum of two squared distances: of the varying parameters, in standard deviations of the training
    data, and of the start states, in units of the mean squared distance between two of its start states, so that all
    of the start counts as much as one parameter; where all start alike it counts nothing. None serves an ensemble
    twice, unless there are fewer than it has members; members get them in random order. Raises NotApplicable where
    the training data is of another lattice or stride.
    """
    if not _is_alike(train.domain, test.domain):
        raise NotApplicable("nothing to look up: the training data is of another lattice or stride")
    varying = list(test.domain.varying)
    centre, spread = train.params[:, varying].mean(axis=0), train.params[:, varying].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    known, asked = ((t.params[:, varying] - centre) / spread for t in (train, test))
    starts, begins = train.frame(0), test.frame(0)
    unit = _distances(starts, np.roll(starts, 1, axis=0), test.domain).mean() or 1.0
    sources = np.empty((len(test), members), dtype=np.int64)
    for group in alike(test):
        by_start = _distances(starts, begins[group[:1]], test.domain)
        distance = ((known - asked[group[0]]) ** 2).sum(axis=1) + by_start / unit
        nearest = np.argsort(distance, kind="stable")[: len(group) * members]
        sources[group] = rng.permutation(np.resize(nearest, len(group) * members)).reshape(-1, members)
    return _standing_for(test, train.select(sources.ravel()), members)


def best_deterministic(test: Trajectories, members: int, redraw: Redraw, draws: int) -> Trajectories:
    """Rollouts that are one and the same in an ensemble: the medoid of as many new draws of its truth.

        x* = argmin_m Σ_m' ‖o(x_m) − o(x_m')‖

    o: the domain's observables at LEADS lead times, each in units of its standard deviation among the draws.
    """
    chosen: list[Trajectories] = []
    sources = np.empty((len(test), members), dtype=np.int64)
    for k, group in enumerate(alike(test)):
        truths = redraw(test.start().select(np.repeat(group[:1], draws)))
        chosen.append(truths.select(np.array([medoid(_descriptions(truths))])))
        sources[group] = k
    return type(chosen[0]).joined(chosen).select(sources.ravel())


def medoid(points: Array) -> int:
    """The index of the point, of float64[n, k], with the least sum of distances to all; axes in standard deviations."""
    spread = points.std(axis=0)
    scaled = points / np.where(spread > 0, spread, 1.0)
    return int(np.linalg.norm(scaled[:, None] - scaled[None], axis=-1).sum(axis=1).argmin())


def _descriptions(truths: Trajectories) -> Array:
    """Observables at lead times up to the longest trajectory's end, float64[n, k]; all sites where there are none."""
    last = int(truths.lengths.max()) - 1
    leads = np.unique(np.linspace(0, last, LEADS + 1).round().astype(int)[1:])
    states = [truths.frame(t) for t in leads]
    if not truths.domain.observables:
        return np.concatenate([state.reshape(len(truths), -1) for state in states], axis=1).astype(np.float64)
    return np.concatenate([truths.domain.observe(state) for state in states], axis=1)


def _distances(states: NDArray[np.float32], others: NDArray[np.float32], domain: Domain) -> Array:
    """The squared distance of each state from its fellow among the others, or from the only one, float64[n].

    Of labels the number of sites that differ.
    """
    squares = states != others if domain.states == "labels" else (states - others) ** 2
    return squares.sum(axis=(1, 2, 3), dtype=np.float64)


def _is_alike(one: Domain, other: Domain) -> bool:
    """Whether trajectories of one domain could be those of the other."""
    names = ("states", "shape", "channels", "labels", "stride")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _standing_for(test: Trajectories, rollouts: Trajectories, members: int) -> Trajectories:
    """Rollouts with the parameters, and in the domain, of the cases that they stand for."""
    return replace(rollouts, params=np.repeat(test.params, members, axis=0), domain=test.domain)
