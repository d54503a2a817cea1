"""Ensembles of truths and rollouts, side by side.

Shapes: E ensembles, g truths and M simulated members each, L lead times, K observables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Observable
from nsbench.trajectories.ensembles import Ensembles, ensembles
from nsbench_metrics.shared.lead_times import last_lead, near, observed, pieces, state_at
from nsbench_metrics.shared.states import as_vectors, width

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Rule = Callable[[Array, Array], Array]
"""(truths [E, g, ...], members [E, M, ...]) -> the score of each truth, [E, g]."""

CHUNK_NUMBERS = 131_072
"""Numbers that are held at once, 1 MiB: memory does not grow with the cases, and a processor's cache holds them."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Truths and rollouts by ensemble.

    groups: the ensembles, one entry for each number of truths in an ensemble. last: L.
    """

    reference: Trajectories
    rollouts: Trajectories
    groups: list[Ensembles]
    last: int

    @property
    def weights(self) -> Index:
        """The number of truths of each ensemble, int64[E]."""
        return np.concatenate([np.full(len(group), group.cases.shape[1]) for group in self.groups])

    @property
    def members(self) -> tuple[int, int]:
        """(smallest, largest) number of simulated members of an ensemble."""
        return members_range(self.groups)

    @property
    def label(self) -> str:
        """The number of members, in words."""
        return members_label(self.members)

    def only_group(self) -> Ensembles:
        """The ensembles, where all have one size. Raises NotApplicable elsewhere: then ranks cannot be pooled."""
        if len(self.groups) > 1:
            raise NotApplicable("ranks need ensembles of one size: as many truths of each start state and parameters")
        return self.groups[0]

    def observed(self, observables: Sequence[Observable]) -> tuple[Array, Array]:
        """The observables at all lead times, of truths and of rollouts, two float64[n, L, K]."""
        return observed(self.reference, self.last, observables), observed(self.rollouts, self.last, observables)

    def chunks(self) -> Iterator[Ensembles]:
        """All ensembles, no more at a time than states may be held at once."""
        domain = self.reference.domain
        for group in self.groups:
            numbers = domain.sites * width(domain) * (group.cases.shape[1] + group.rollouts.shape[1])
            yield from group.chunks(max(1, CHUNK_NUMBERS // numbers))

    def states(self, chunk: Ensembles, leads: Iterable[int] | None = None) -> Iterator[tuple[Array, Array]]:
        """(truths float64[E, g, C, H, W], members float64[E, M, C, H, W]) at each of the lead times; at all if None.

        States are vectors (nsbench_metrics/shared/states.py): of labels, C is the number of them.
        """
        domain = self.reference.domain
        truths, rollouts = near(self.reference, chunk.cases), near(self.rollouts, chunk.rollouts)
        for t in range(1, self.last + 1) if leads is None else leads:
            yield as_vectors(state_at(*truths, t), domain), as_vectors(state_at(*rollouts, t), domain)

    @cached_property
    def scale(self) -> Array:
        """The unit of each channel of fields, float64[C]: the standard deviation of the truths.

        Over all truths, sites and lead times; 1 for a channel that is the same everywhere.
        """
        return channel_deviations(some.frame(t) for some in pieces(self.reference) for t in range(1, self.last + 1))

    def scaled_states(self, chunk: Ensembles, leads: Iterable[int] | None = None) -> Iterator[tuple[Array, Array]]:
        """The same as `states`, each channel of fields in its unit; growth and labels have none."""
        if self.reference.domain.states != "fields":
            yield from self.states(chunk, leads)
            return
        unit = self.scale[:, None, None]
        for truths, members in self.states(chunk, leads):
            yield truths / unit, members / unit

    def by_channel(self, rule: Rule) -> Array:
        """The mean over truths of a rule applied to each channel in its unit, float64[E, L, C].

        All labels together are one channel.
        """
        domain = self.reference.domain
        fields = [slice(c, c + 1) for c in range(len(domain.channels))]
        channels = fields if domain.states == "fields" else [slice(None)]

        def apart(truths: Array, members: Array) -> Array:
            sides = ((truths[:, :, c], members[:, :, c]) for c in channels)
            return np.stack([rule(*pair).mean(axis=1) for pair in sides], axis=-1)  # [E, C]

        parts = [np.stack([apart(*pair) for pair in self.scaled_states(chunk)], axis=1) for chunk in self.chunks()]
        return np.concatenate(parts)

    def at_lead_times(self, rule: Rule) -> Array:
        """The mean over truths of a rule applied to whole states, by ensemble and lead time, float64[E, L]."""
        parts = [
            np.stack([rule(truths, members).mean(axis=1) for truths, members in self.states(chunk)], axis=1)
            for chunk in self.chunks()
        ]
        return np.concatenate(parts)


def channel_deviations(states: Iterable[NDArray[Any]]) -> Array:
    """The standard deviation of each channel, float64[C], over all of some arrays [m, C, H, W], in whatever pieces.

    1 for a channel that is the same everywhere, to rounding.
    """
    count, near_mean, sums, squares = 0, None, [], []
    for batch in states:
        numbers = batch.astype(np.float64)
        if near_mean is None:  # of what is about 0 the squares lose no digits
            near_mean = numbers[:1].mean(axis=(0, 2, 3), keepdims=True)
        numbers -= near_mean
        count += numbers[:, 0].size
        sums.append(numbers.sum(axis=(2, 3)))
        squares.append((numbers**2).sum(axis=(2, 3)))
    assert near_mean is not None, "no states"
    mean, square = (np.array([math.fsum(channel) for channel in np.concatenate(s).T]) / count for s in (sums, squares))
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return np.where(deviation > 1e-7 * np.abs(near_mean.ravel() + mean), deviation, 1.0)


def compare(evidence: Evidence, reference: Trajectories, *, members: int = 2, truths: int = 1) -> Comparison:
    """The comparison of ensembles of at least so many simulated members and truths. Raises NotApplicable."""
    groups = sufficient_ensembles(evidence, reference, members=members, truths=truths)
    return Comparison(reference, evidence.rollouts, groups, last_lead(reference))


def sufficient_ensembles(
    evidence: Evidence, reference: Trajectories, *, members: int = 2, truths: int = 1
) -> list[Ensembles]:
    """The ensembles. Raises NotApplicable where one has fewer simulated members or truths than asked for."""
    groups = ensembles(reference, evidence.members)
    least, _ = members_range(groups)
    if least < members:
        raise NotApplicable(f"needs ensembles of at least {members} members, the smallest has {least}; raise members")
    if min(group.cases.shape[1] for group in groups) < truths:
        raise NotApplicable(f"needs at least {truths} truths of each start state and parameters")
    return groups


def members_range(groups: Sequence[Ensembles]) -> tuple[int, int]:
    """(smallest, largest) number of simulated members of an ensemble."""
    sizes = [group.rollouts.shape[1] for group in groups]
    return min(sizes), max(sizes)


def members_label(members: tuple[int, int]) -> str:
    """A number of members in words, "8 members" or "4 to 8 members"."""
    low, high = members
    return f"{low} members" if low == high else f"{low} to {high} members"


def rollouts_by_ensemble(evidence: Evidence, reference: Trajectories) -> list[Index]:
    """The rollouts of each ensemble, E arrays int64[M]."""
    return [rollouts for group in ensembles(reference, evidence.members) for rollouts in group.rollouts]


def sums_by_ensemble(counts: Index, rollouts: list[Index]) -> Index:
    """The sum over each ensemble's rollouts, int64[E], of a count of each rollout, int64[n]."""
    return np.array([counts[index].sum() for index in rollouts])
