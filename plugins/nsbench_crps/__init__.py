"""A network with injected noise, trained on a proper score of a few members."""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="crps",
            target="nsbench_crps.simulator:CRPS",
            params="nsbench_crps.params:CRPSParams",
            summary="a UNet of fields with injected noise, trained on the almost fair CRPS or the energy score",
        )
    ]
