"""The ground truth: snow crystal growth by a local cellular automaton, as dataset and simulator."""

from nsbench import hookimpl
from nsbench.components import DatasetSpec, SimulatorReference, SimulatorSpec

_HERE = "nsbench_lca"


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "lca",
            f"{_HERE}.dataset:LCADataset",
            f"{_HERE}.params:DatasetParams",
            "snow crystals grown by the local cellular automaton of Gravner & Griffeath",
            floor=SimulatorReference("lca"),
            noise_free=SimulatorReference("lca", {"sigma": 0.0}),
        )
    ]


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            "lca",
            f"{_HERE}.simulator:LCASimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth itself: the floor, or without its noise the deterministic reference",
        )
    ]
