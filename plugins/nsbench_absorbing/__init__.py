"""Masked discrete diffusion of the next state: its sites are drawn in random order, a few at a time."""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="absorbing",
            target="nsbench_absorbing.simulator:Absorbing",
            params="nsbench_absorbing.params:AbsorbingParams",
            summary="masked discrete diffusion: sites of growth or labels drawn in random order, in a few rounds",
        )
    ]
