"""Simulators whose states are decoded in one way, whatever the protocol asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from nsbench.components.protocol import Conditions, Decode
from nsbench.components.simulator import Simulator


class OneDecoding(Simulator):
    """A simulator for which ``decode`` is the same under all conditions."""

    decode: ClassVar[Decode]
    _conditions: Conditions = Conditions()

    @property
    def conditions(self) -> Conditions:
        return replace(self._conditions, decode=self.decode)

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions


class DrawnSites(OneDecoding):
    """A simulator whose sites are always drawn."""

    decode = "sample"
