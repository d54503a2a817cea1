"""What The Well's own loader makes of an exported file."""

from __future__ import annotations

import numpy as np
import pytest

from nsbench.components.format import Origin
from nsbench.trajectories.growth import event_ticks
from nsbench_formats.well_writing import write_well
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams

data = pytest.importorskip("the_well.data", reason="the_well is not installed: pip install -e '.[well]'")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("well")
    dataset = LCADataset(DatasetParams(size=16, train=5, val=2))
    recorded = {split: dataset.prepare(split, np.random.default_rng(1)) for split in ("train", "val")}
    for split, trajectories in recorded.items():
        write_well(folder, split, trajectories, Origin("lca", dataset, np.random.default_rng(1)))
    return folder, recorded


def test_the_wells_loader_finds_the_names_and_shapes(exported):
    folder, recorded = exported
    frames = int(event_ticks(recorded["train"].arrival).max()) + 1
    facts = data.WellDataset(path=str(folder), well_split_name="train").metadata
    assert facts.dataset_name == "lca"
    assert (facts.n_files, facts.n_trajectories_per_file, facts.n_steps_per_trajectory) == (1, [5], [frames])
    assert (facts.n_spatial_dims, facts.spatial_resolution, facts.grid_type) == (2, (16, 16), "cartesian")
    assert facts.field_names == {0: ["attached"], 1: [], 2: []}
    assert facts.constant_scalar_names == [p.name for p in recorded["train"].domain.parameters]
    assert sorted(facts.boundary_condition_types) == ["OPEN", "WALL"]


@pytest.mark.parametrize(("split", "folder_of_split"), [("train", "train"), ("val", "valid")])
def test_the_wells_loader_reads_every_state(exported, split, folder_of_split):
    folder, recorded = exported
    truth = recorded[split].framed(1, 9999)
    loaded = data.WellDataset(
        path=str(folder), well_split_name=folder_of_split, full_trajectory_mode=True, max_rollout_steps=9999
    )
    assert len(loaded) == len(truth)
    for i in range(len(loaded)):
        sample = loaded[i]
        states = np.concatenate([sample["input_fields"], sample["output_fields"]])[..., 0]  # [T, H, W]
        assert len(states) == truth.lengths.max()
        for t, state in enumerate(states):
            np.testing.assert_array_equal(state, truth.frame(t)[i, 0])
        np.testing.assert_array_equal(sample["constant_scalars"], truth.params[i].astype(np.float32))
        assert sample["boundary_conditions"].tolist() == [[0, 1], [0, 1]]  # mirror, then reservoir


def test_the_wells_loader_cuts_windows(exported):
    folder, recorded = exported
    truth = recorded["train"].framed(1, 9999)
    loaded = data.WellDataset(path=str(folder), well_split_name="train", n_steps_input=2, n_steps_output=3)
    window = loaded[7]
    assert {name: tuple(window[name].shape) for name in ("input_fields", "output_fields", "space_grid")} == {
        "input_fields": (2, 16, 16, 1),
        "output_fields": (3, 16, 16, 1),
        "space_grid": (16, 16, 2),
    }
    np.testing.assert_array_equal(window["output_fields"][0, ..., 0], truth.frame(9)[0, 0])
