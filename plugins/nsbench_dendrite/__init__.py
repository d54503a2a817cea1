"""The ground truth: dendrites by Kobayashi's phase field, solved fine and shown coarse, as dataset and simulator."""

from nsbench import hookimpl
from nsbench.components.dataset import DatasetSpec, SimulatorReference
from nsbench.components.simulator import SimulatorSpec

_HERE = "nsbench_dendrite"


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "dendrite",
            f"{_HERE}.dataset:DendriteDataset",
            f"{_HERE}.params:DatasetParams",
            "dendrites that grow from an undercooled melt, by Kobayashi's phase field with interface noise",
            floor=SimulatorReference("dendrite"),
            noise_free=SimulatorReference("dendrite", {"noise": 0.0}),
            small={
                "size": 16,
                "lead": 2,
                "ticks": 12,
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
            "dendrite",
            f"{_HERE}.simulator:DendriteSimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth itself: the floor, or without noise the deterministic reference",
        )
    ]
