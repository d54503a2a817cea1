"""The ground truth: grains that coarsen by the Potts model, as dataset and simulator."""

from nsbench import hookimpl
from nsbench.components.dataset import DatasetSpec, SimulatorReference
from nsbench.components.simulator import SimulatorSpec

_HERE = "nsbench_grains"


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "grains",
            f"{_HERE}.dataset:GrainsDataset",
            f"{_HERE}.params:DatasetParams",
            "grains that coarsen by the q-state Potts model with a heat bath",
            floor=SimulatorReference("grains"),
            noise_free=SimulatorReference("grains", {"temperature": 0.0}),
            small={
                "size": 16,
                "points": [10, 40],
                "sweeps": 24,
                "train": 48,
                "val": 12,
                "test": {"cases": 8, "repeats": 2},
            },
        )
    ]


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            "grains",
            f"{_HERE}.simulator:GrainsSimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth itself: the floor, or at temperature 0 the deterministic reference",
        )
    ]
