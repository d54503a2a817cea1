"""Ensembles held against their truths, lead time by lead time: what the scores of ensembles share.

Lead times are frames 1, 2, …, L after the start, L the length of the longest truth, whatever a simulator
does: every simulator is judged over the same time. A trajectory that has ended stays in its last state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Observable
from nsbench.trajectories.ensembles import Ensembles, ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles

Array = NDArray[np.float64]
Rule = Callable[[Array, Array], Array]
"""(truths [E, g, ...], members [E, M, ...]) -> the score of each truth, [E, g]."""

CHUNK_NUMBERS = 131_072
"""Numbers that are held at once, 1 MiB: memory does not grow with the cases, and a processor's cache holds them."""


@dataclass(frozen=True, eq=False)
class LeadScores:
    """values: float64[E, L], each ensemble's mean over its truths; weights: int64[E], how many truths.

    members: (smallest, largest) number of simulated members of an ensemble.
    """

    values: Array
    weights: NDArray[np.int64]
    members: tuple[int, int]

    def mean(self, times: NDArray[np.int64] | int = 1) -> float:
        """Over lead times and truths; times: int64[E], how often each ensemble counts."""
        weights = self.weights * times
        return float((self.values.mean(axis=1) * weights).sum() / weights.sum())

    def score(self, resamples: int, rng: np.random.Generator, extras: dict[str, float], unit: str = "") -> Score:
        """The mean, its interval over ensembles, and as items the values by ensemble and lead time."""
        interval = bootstrap_ensembles(self.mean, len(self.values), resamples, rng)
        extras = {"members": float(self.members[0])} | extras
        return Score(self.mean(), interval, self.values, extras, label=members_label(self.members), unit=unit)


def last_lead(reference: Trajectories) -> int:
    """L, the frames after the start of the longest truth. Raises NotApplicable where nothing happens."""
    last = int(reference.lengths.max(initial=1)) - 1
    if last < 1:
        raise NotApplicable("no truth has a frame after its start")
    return last


def groups(evidence: Evidence, reference: Trajectories, *, members: int = 2, truths: int = 1) -> list[Ensembles]:
    """The ensembles, each with at least so many simulated members and truths. Raises NotApplicable."""
    found = ensembles(reference, evidence.members)
    least = min(group.rollouts.shape[1] for group in found)
    if least < members:
        raise NotApplicable(f"needs ensembles of at least {members} members, the smallest has {least}; raise members")
    if min(group.cases.shape[1] for group in found) < truths:
        raise NotApplicable(f"needs at least {truths} truths of each start state and parameters")
    return found


def members_range(found: Sequence[Ensembles]) -> tuple[int, int]:
    sizes = [group.rollouts.shape[1] for group in found]
    return min(sizes), max(sizes)


def members_label(members: tuple[int, int]) -> str:
    low, high = members
    return f"{low} members" if low == high else f"{low} to {high} members"


def select_observables(domain: Domain, names: Sequence[str] | None) -> tuple[list[Observable], str]:
    """The named observables, all if None, and their common unit.

    Raises NotApplicable for a name that the domain does not have, or units that differ.
    """
    known = {o.name: o for o in domain.observables}
    if missing := [name for name in names or () if name not in known]:
        raise NotApplicable(f"no observable {missing[0]!r}; the domain has {', '.join(known)}")
    chosen = [known[name] for name in names] if names else list(known.values())
    units = {o.unit for o in chosen}
    if len(units) > 1:
        raise NotApplicable(
            f"observables of different units cannot be averaged ({', '.join(sorted(units))}): name some"
        )
    return chosen, units.pop()


def observed(trajectories: Trajectories, last: int, observables: Sequence[Observable], first: int = 1) -> Array:
    """float64[n, L, K]: each observable of each trajectory at lead times 1 (or `first`) to L."""
    frames = (trajectories.frame(t) for t in range(first, last + 1))
    return np.stack([np.stack([o.function(frame) for o in observables], axis=1) for frame in frames], axis=1)


def field_scores(evidence: Evidence, reference: Trajectories, found: Sequence[Ensembles], rule: Rule) -> LeadScores:
    """A rule applied to whole states, float64[E, g or M, C, H, W], at each lead time."""
    last, parts, weights = last_lead(reference), [], []
    for group in found:
        for chunk in group.chunks(chunk_size(reference.domain, group)):
            scores = [rule(x, y).mean(axis=1) for x, y in states(evidence, reference, chunk, range(1, last + 1))]
            parts.append(np.stack(scores, axis=1))
            weights.append(np.full(len(chunk), group.cases.shape[1]))
    return LeadScores(np.concatenate(parts), np.concatenate(weights), members_range(found))


def states(
    evidence: Evidence, reference: Trajectories, chunk: Ensembles, leads: Sequence[int]
) -> Iterator[tuple[Array, Array]]:
    """(truths float64[E, g, C, H, W], members float64[E, M, C, H, W]) at each of the lead times."""
    for t in leads:
        yield state_at(reference, chunk.cases, t), state_at(evidence.rollouts, chunk.rollouts, t)


def state_at(trajectories: Trajectories, index: NDArray[np.int64], t: int) -> Array:
    """States at frame t, float64[*index.shape, C, H, W]."""
    flat = trajectories.at(index.ravel(), np.full(index.size, t))
    return flat.reshape(*index.shape, *flat.shape[1:]).astype(np.float64)


def chunk_size(domain: Domain, group: Ensembles) -> int:
    """How many ensembles of states are held at once."""
    a_state = domain.sites * len(domain.channels)
    return max(1, CHUNK_NUMBERS // (a_state * (group.cases.shape[1] + group.rollouts.shape[1])))


def truth_counts(found: Sequence[Ensembles]) -> NDArray[np.int64]:
    """How many truths each ensemble has, int64[E]."""
    return np.concatenate([np.full(len(e), e.cases.shape[1]) for e in found])


def averaged(
    each: Array,
    weights: NDArray[np.int64],
    members: tuple[int, int],
    resamples: int,
    rng: np.random.Generator,
    extras: dict[str, float],
) -> Score:
    """The mean over truths of what is known by ensemble, float64[E], with its interval."""

    def mean(times: NDArray[np.int64]) -> float:
        return float(np.average(each, weights=weights * times))

    interval = bootstrap_ensembles(mean, len(each), resamples, rng)
    value = mean(np.ones(len(each), np.int64))
    return Score(value, interval, each, extras, label=members_label(members))
