"""Files that could be taken for something that they are not: refused with a line that says so, or handled."""

from __future__ import annotations

import numpy as np
import pytest

import nsbench
from nsbench.components.dataset import UnreadableData
from wells import write_well


def dataset(path, **options):
    return nsbench.load("dataset", "trajectories", path=str(path), format="well", options=options)


def write(folder, **by_split):
    """Splits of four trajectories; by_split: what is special about a split's file."""
    for seed, split in enumerate(("train", "valid", "test")):
        write_well(folder / split / "a.h5", 4, 5, 8, seed, **by_split.get(split, {}))
    return folder


def test_files_of_two_time_steps_are_refused_with_both(tmp_path):
    write(tmp_path)
    write_well(tmp_path / "train" / "b.h5", 4, 5, 8, 9, times=np.arange(5) / 2)
    with pytest.raises(UnreadableData, match=r"b\.h5 has a time step of 0\.5, a\.h5 one of 1: a frame would mean two"):
        _ = dataset(tmp_path).domain


def test_splits_of_two_time_steps_are_refused(tmp_path):
    write(tmp_path, test={"times": np.arange(5) / 10})
    with pytest.raises(UnreadableData, match=r"test has a time step of 0\.1|test one of 0\.1"):
        _ = dataset(tmp_path).domain


@pytest.mark.parametrize("times", [[0, 1, 2, 4, 5], [0, 1, 1, 2, 3], [0, -1, -2, -3, -4]], ids=str)
def test_frames_that_are_not_evenly_spaced_are_refused(tmp_path, times):
    write(tmp_path, train={"times": times})
    with pytest.raises(UnreadableData, match="evenly spaced in time"):
        _ = dataset(tmp_path).domain


def test_times_may_be_rounded_to_float32(tmp_path):
    tenths = np.arange(5) / 10
    write(tmp_path, train={"times": tenths + 1000}, valid={"times": tenths}, test={"times": tenths})
    assert dataset(tmp_path).domain.channels == ("u", "v")


LABELS = {
    "numbers of trajectories": {"case": [3, 1, 2, 4], "rate": [0.1, 0.2, 0.3, 0.4]},
    "a seed": {"seed": [17, 999, 5, 17], "rate": [0.1, 0.2, 0.3, 0.4]},
    "an id that repeats": {"run_id": [0, 0, 1, 1], "rate": [0.1, 0.2, 0.3, 0.4]},
}


@pytest.mark.parametrize("scalars", LABELS.values(), ids=LABELS)
def test_a_label_is_not_taken_for_a_parameter_until_somebody_says_so(tmp_path, scalars):
    label = next(iter(scalars))
    write(tmp_path, **dict.fromkeys(("train", "valid", "test"), scalars))
    with pytest.raises(UnreadableData, match=rf"scalar {label}, .* looks like a label.*parameters: \[rate\] without"):
        _ = dataset(tmp_path).domain
    assert [p.name for p in dataset(tmp_path, parameters=["rate"]).domain.parameters] == ["rate"]
    assert [p.name for p in dataset(tmp_path, parameters=[label, "rate"]).domain.parameters] == [label, "rate"]


PARAMETERS = {
    "whole numbers that repeat": {"mode": [1, 2, 2, 3]},
    "whole numbers apart": {"reynolds": [100, 200, 400, 800]},
    "numbers of trajectories that are not whole": {"rate": [0.5, 1.5, 2.5, 3.5]},
    "one number": {"seeds_per_area": 3},
}


@pytest.mark.parametrize("scalars", PARAMETERS.values(), ids=PARAMETERS)
def test_parameters_are_not_taken_for_labels(tmp_path, scalars):
    write(tmp_path, **dict.fromkeys(("train", "valid", "test"), scalars))
    assert [p.name for p in dataset(tmp_path).domain.parameters] == list(scalars)


def test_a_parameter_that_is_not_there_is_named(tmp_path):
    write(tmp_path)
    with pytest.raises(UnreadableData, match="has no scalar 'rat', only rate"):
        _ = dataset(tmp_path, parameters=["rat"]).domain
