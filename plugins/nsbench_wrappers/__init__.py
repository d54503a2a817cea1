"""Simulators that are made of another one: an ensemble of its fits, and one of them with a temperature."""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="ensemble",
            target="nsbench_wrappers.ensemble:Ensemble",
            params="nsbench_wrappers.params:EnsembleParams",
            summary="several fits of another simulator, one of them drawn for each rollout",
        ),
        SimulatorSpec(
            name="tempered",
            target="nsbench_wrappers.tempered:Tempered",
            params="nsbench_wrappers.params:TemperedParams",
            summary="another simulator whose sites are drawn at a temperature fitted on validation",
        ),
    ]
