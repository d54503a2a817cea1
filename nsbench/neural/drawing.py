"""Simulators whose sites are always drawn, whatever decoding the protocol asks for."""

from __future__ import annotations

from dataclasses import replace

from nsbench.components.protocol import Conditions
from nsbench.components.simulator import Simulator


class DrawnSites(Simulator):
    """A simulator for which ``decode`` is "sample" under all conditions."""

    _conditions: Conditions = Conditions(decode="sample")

    @property
    def conditions(self) -> Conditions:
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = replace(conditions, decode="sample")
