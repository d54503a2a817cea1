"""The state space of a domain."""

from __future__ import annotations

from importlib import import_module

from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.fields import Fields
from nsbench.neural.states.growth import Growth
from nsbench.neural.states.labels import Labels
from nsbench.neural.states.space import StateSpace


def space_of(facts: StateFacts, *, frozen: bool = True) -> StateSpace:
    """The state space of a domain with such facts. frozen: of growth, that attached sites stay attached.

    Raises ValueError for states that no network takes.
    """
    if facts.space:
        module, _, name = facts.space.partition(":")
        space: StateSpace = getattr(import_module(module), name)(facts)
        return space
    if facts.states == "labels":
        return Labels(facts.labels, exchangeable=facts.exchangeable)
    if facts.states == "fields":
        return Fields(facts.channels)
    if facts.channels != 1:
        raise ValueError(f"networks take growth of one channel, got {facts.channels}")
    return Growth(frozen=frozen)
