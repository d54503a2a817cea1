"""CGNE, the Crystal Growth Neural Emulator: a conditional VAE with a lattice of latents.

Timmer, Minartz & Menkovski 2024, "Efficient Probabilistic Modeling of Crystallization at Mesoscopic
Scale", arXiv 2405.16608.
"""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="cgne",
            target="nsbench_cgne.simulator:CGNE",
            params="nsbench_cgne.params:CGNEParams",
            summary="Crystal Growth Neural Emulator: a conditional VAE with a lattice of latents (arXiv 2405.16608)",
            decodes=True,
        ),
        SimulatorSpec(
            name="cgne-laptop",
            target="nsbench_cgne.simulator:CGNE",
            params="nsbench_cgne.laptop:LaptopParams",
            summary="CGNE with what this project changed for short fits: entry, place of the latents, β, schedules",
            decodes=True,
        ),
    ]
