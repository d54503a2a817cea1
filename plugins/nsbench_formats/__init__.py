"""Trajectories in files: the formats npz and well, and the dataset that reads files of any format."""

from nsbench import hookimpl
from nsbench.components.dataset import DatasetSpec
from nsbench.components.format import FormatSpec

_HERE = "nsbench_formats"


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "trajectories",
            f"{_HERE}.dataset:TrajectoriesDataset",
            f"{_HERE}.params:TrajectoriesParams",
            "trajectories that lie in files",
            reading=f"{_HERE}.contents:reading",
        )
    ]


@hookimpl
def nsbench_formats() -> list[FormatSpec]:
    return [
        FormatSpec(
            "npz",
            f"{_HERE}.npz:Npz",
            summary="nsbench's own arrays, an .npz file a split",
            writer=f"{_HERE}.npz:write_npz",
        ),
        FormatSpec(
            "well",
            f"{_HERE}.well:Well",
            f"{_HERE}.params:WellParams",
            "The Well's HDF5 layout: scalar fields on 2-D grids",
            writer=f"{_HERE}.well_writing:write_well",
        ),
    ]
