"""The ground truth: growth in gusts of wind, whose law of a step is known exactly, as dataset and simulator."""

from nsbench import hookimpl
from nsbench.components.dataset import DatasetSpec, SimulatorReference
from nsbench.components.simulator import SimulatorSpec

_HERE = "nsbench_gusts"


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "gusts",
            f"{_HERE}.dataset:GustsDataset",
            f"{_HERE}.params:DatasetParams",
            "clusters that grow in gusts of wind, one for all sites a step: the likelihood is exact",
            floor=SimulatorReference("gusts"),
            noise_free=SimulatorReference("gusts", {"noise": "none"}),
            small={"size": 24, "steps": 10, "train": 48, "val": 12, "test": {"cases": 8, "repeats": 2}},
        )
    ]


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            "gusts",
            f"{_HERE}.simulator:GustsSimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth itself: the floor; with a wind for each site, the best model without a common cause",
        )
    ]
