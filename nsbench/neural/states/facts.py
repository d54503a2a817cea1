"""The facts of a domain that a network depends on, which are stored with its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nsbench.trajectories.domain import Boundary, Domain, States


@dataclass(frozen=True)
class StateFacts:
    """The facts of a domain that a network depends on; lattices of other sizes have the same.

    space: of a kind of states of its own, "module:Class"; "" for growth, labels and fields.
    """

    states: States
    channels: int
    labels: int
    exchangeable: bool
    boundaries: tuple[Boundary, Boundary]
    space: str = ""

    @classmethod
    def of(cls, domain: Domain) -> StateFacts:
        return cls(
            domain.states,
            len(domain.channels),
            domain.labels,
            "labels" in domain.symmetries,
            domain.boundaries,
            domain.space,
        )

    @classmethod
    def read(cls, stored: dict[str, Any]) -> StateFacts:
        """The facts that ``stored`` made JSON of."""
        return cls(**{**stored, "boundaries": tuple(stored["boundaries"])})

    def stored(self) -> dict[str, Any]:
        """The facts as plain data for JSON."""
        return asdict(self)
