"""PNS, Probabilistic Neural Simulation: a forward model with a conditional VAE around it.

Minartz, Poels, Koop & Menkovski 2023, "Equivariant Neural Simulators for Stochastic Spatiotemporal
Dynamics", arXiv 2305.14286; the baseline of Timmer et al. 2024, arXiv 2405.16608.
"""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="pns",
            target="nsbench_pns.simulator:PNS",
            params="nsbench_pns.params:PNSParams",
            summary="Probabilistic Neural Simulation: a forward model and one vector of latents (arXiv 2305.14286)",
            decodes=True,
        ),
        SimulatorSpec(
            name="pns-laptop",
            target="nsbench_pns.simulator:PNS",
            params="nsbench_pns.laptop:LaptopParams",
            summary="PNS with what this project changed for short fits: a smaller network, fewer frames unrolled",
            decodes=True,
        ),
    ]
