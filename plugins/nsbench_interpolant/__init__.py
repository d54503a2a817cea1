"""Stochastic interpolants: the next frame is drawn along a path from the present one, in n evaluations of a network.

Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797); for forecasts Chen et al. 2024 (arXiv 2403.13724).
"""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="interpolant",
            target="nsbench_interpolant.simulator:Interpolant",
            params="nsbench_interpolant.params:InterpolantParams",
            summary="a stochastic interpolant from frame to frame, in n evaluations of a network (arXiv 2403.13724)",
        )
    ]
