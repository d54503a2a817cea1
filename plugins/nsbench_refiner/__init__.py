"""PDE-Refiner: the next field is predicted, and then denoised in K steps whose noise falls exponentially.

Lippe et al. 2023 (arXiv 2308.05732). One of its networks is the Fourier neural operator of Li et al. 2021 (arXiv
2010.08895).
"""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            name="refiner",
            target="nsbench_refiner.simulator:Refiner",
            params="nsbench_refiner.params:RefinerParams",
            summary="PDE-Refiner of fields: a prediction, refined in K denoising steps, or none (arXiv 2308.05732)",
        )
    ]
