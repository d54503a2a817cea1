"""Metrics: numbers that say how good a simulator is, and the anchors that give them their scale."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Component, ComponentSpec
from nsbench.components.evidence import Evidence
from nsbench.trajectories.base import Trajectories

Need = Literal["rollouts", "likelihood", "cost"]
"""The parts of the evidence that a metric may need."""

Null = Literal["best_deterministic", "analogue", "climatology", "persistence"]
Zero = Literal["noise_free", Null]
Anchor = Literal["floor", "best_deterministic", "analogue", "noise_free", "climatology", "persistence"]
"""The anchors beside a score: the ground truth redrawn, the same without its randomness, and the null models."""

NULLS: tuple[Null, ...] = get_args(Null)
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)


@dataclass(frozen=True)
class MetricSpec(ComponentSpec):
    """The spec of a metric."""


@dataclass(frozen=True)
class Score:
    """The score that a metric gives to evidence.

    value     the number, in the metric's unit.
    interval  (low, high), 95 %; None where there is none.
    items     float64[k] or float64[k, ...]: the value by item (a bin, a transition, an ensemble), named in
              the metric's docstring; where the value is their mean, in its `items_by`, for nsbench/outcomes/pairing.py.
    extras    further numbers by name.
    by_lead   float64[L] each: numbers by lead time, frames 1 to L after the start; "value" is the score's own.
    figure    PNG, or a function that draws it, which is called where it is kept: not for anchors. None: no figure.
    label     a word that must stand beside the value, such as the kind of a bound; scores with
              different labels are not ranked together.
    unit      of the value, where it depends on the data; the metric's own if empty.
    """

    value: float
    interval: tuple[float, float] | None = None
    items: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    extras: dict[str, float] = field(default_factory=dict)
    figure: bytes | Callable[[], bytes] | None = None
    label: str = ""
    unit: str = ""
    by_lead: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class NotApplicable(Exception):
    """The error of a metric that cannot score this evidence; its message stands in place of the value."""


class Metric(Component, ABC):
    """A number that says how good a simulator is.

    direction  whether a small or a large value is good.
    unit       of the value.
    needs      the parts that the evidence must hold; a simulator without them gets no score, and the table says so.
    columns    (name of an extra, heading): what tables show beside the value.
    anchored   whether the value is to be read between the ground truth's score, redrawn, and that of a null model
               (see nsbench/stages/nulls.py), or of the ground truth without its randomness.
    zero       the anchor at which skill is 0; at the floor it is 1.
    items_by   the kind of the score's items, where its value is their mean: "bin", "ensemble" or "transition" (see
               nsbench/outcomes/pairing.py); None where it is not.
    """

    direction: ClassVar[Literal["min", "max"]]
    unit: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset({"rollouts"})
    columns: ClassVar[tuple[tuple[str, str], ...]] = ()
    anchored: ClassVar[bool] = True
    zero: ClassVar[Zero] = "best_deterministic"

    @property
    def items_by(self) -> str | None:
        return None

    @abstractmethod
    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        """Score the evidence against the truth of the same cases, framed alike. May raise NotApplicable."""
