"""The ground truth: spinodal decomposition by the equation of Cahn, Hilliard and Cook, as dataset and simulator."""

from nsbench import hookimpl
from nsbench.components.dataset import DatasetSpec, SimulatorReference
from nsbench.components.simulator import SimulatorSpec

_HERE = "nsbench_spinodal"


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "spinodal",
            f"{_HERE}.dataset:SpinodalDataset",
            f"{_HERE}.params:DatasetParams",
            "mixtures that separate by the equation of Cahn, Hilliard and Cook",
            floor=SimulatorReference("spinodal"),
            noise_free=SimulatorReference("spinodal", {"noise": 0.0}),
            small={"size": 16, "ticks": 8, "train": 48, "val": 12, "test": {"cases": 8, "repeats": 2}},
        )
    ]


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            "spinodal",
            f"{_HERE}.simulator:SpinodalSimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth of spinodal decomposition: the floor, or without its noise the deterministic reference",
        )
    ]
