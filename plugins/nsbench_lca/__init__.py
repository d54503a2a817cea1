"""The ground truth: snow crystal growth by a local cellular automaton, as dataset, simulator and format."""

from nsbench import hookimpl
from nsbench.components.dataset import DatasetSpec, SimulatorReference
from nsbench.components.format import FormatSpec
from nsbench.components.simulator import SimulatorSpec

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
            small={"size": 16, "train": 48, "val": 12, "test": {"parameters": 8, "repeats": 2}},
        ),
        DatasetSpec(
            "lca-open",
            f"{_HERE}.open_dataset:OpenDataset",
            f"{_HERE}.open_params:OpenDatasetParams",
            "whole crystals from random clusters or in mid-growth, under laws that vary in several parameters",
            floor=SimulatorReference("lca-open"),
            noise_free=SimulatorReference("lca-open", {"sigma": 0.0}),
            small={
                "size": 16,
                "start": {"after": [0.2, 0.4]},
                "train": 48,
                "val": 12,
                "test": {"cases": 8, "repeats": 2},
            },
        ),
    ]


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [
        SimulatorSpec(
            "lca",
            f"{_HERE}.simulator:LCASimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth itself: the floor, or without its noise the deterministic reference",
        ),
        SimulatorSpec(
            "lca-open",
            f"{_HERE}.open_simulator:OpenSimulator",
            f"{_HERE}.params:SimulatorParams",
            "the ground truth of lca-open, which goes on from its starts with noise of its own or none",
        ),
    ]


@hookimpl
def nsbench_formats() -> list[FormatSpec]:
    return [
        FormatSpec(
            "cgne",
            f"{_HERE}.formats:CGNE",
            f"{_HERE}.format_params:CGNEFormatParams",
            "the layout of the CGNE authors' generator: a folder a parameter set, a file a crystal",
            writer=f"{_HERE}.regrow:write_grown_again",
        )
    ]
