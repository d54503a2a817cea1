"""Facts about time: event clock, frames, stop rule, and what files keep."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.ensembles import alike
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories, event_ticks
from nsbench.trajectories.hdf5 import read_trajectories, write_trajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench.trajectories.lattices import surrounded
from nsbench_lca.morphology import OBSERVABLES


def domain(**changes):
    facts = {
        "lattice": "square",
        "shape": (4, 4),
        "channels": ("attached",),
        "states": "growth",
        "parameters": (Parameter("rho", 0, 1), Parameter("beta", 2, 2)),
        "condition": "rho",
        "observables": OBSERVABLES["quadrant"],
        "clock": "event",
        "stop_margin": 1,
    }
    return Domain(**facts | changes)


def growth(arrival, **changes):
    arrival = np.asarray(arrival, np.int32)
    n = len(arrival)
    lengths = (arrival.max(axis=(1, 2)) + 1).astype(np.int32)
    params = np.linspace(0, 1, 2 * n).reshape(n, 2)
    return GrowthTrajectories(params, lengths, domain(**changes), arrival)


MAP = [[[0, 3, 9, 9], [3, 20, -1, -1], [9, -1, -1, -1], [31, -1, -1, -1]]]


def test_only_steps_in_which_something_attached_count():
    assert event_ticks(np.array(MAP, np.int32)).tolist() == [
        [[0, 1, 2, 2], [1, 3, -1, -1], [2, -1, -1, -1], [4, -1, -1, -1]]
    ]


def test_frames_are_a_stride_of_events_apart_and_end_with_the_final_state():
    framed = growth(MAP).framed(3, 64)
    assert framed.arrival.tolist() == [[[0, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, -1], [2, -1, -1, -1]]]
    assert framed.lengths.tolist() == [3]
    np.testing.assert_array_equal(framed.final(), growth(MAP).final())
    assert framed.domain.stride == 3


def test_a_frame_shows_what_had_attached_by_its_tick():
    record, framed = growth(MAP), growth(MAP).framed(2, 64)
    np.testing.assert_array_equal(framed.frame(1), record.frame(9))  # the second event is step 9
    np.testing.assert_array_equal(framed.frame(0), record.frame(0))


def test_the_horizon_cuts():
    framed = growth(MAP).framed(1, 2)
    assert framed.lengths.tolist() == [3]
    assert framed.final().sum() == 6


def test_the_step_clock_counts_every_step():
    framed = growth(MAP, clock="step").framed(10, 64)
    assert framed.arrival.tolist() == [[[0, 1, 1, 1], [1, 2, -1, -1], [1, -1, -1, -1], [4, -1, -1, -1]]]
    assert framed.lengths.tolist() == [5]


def test_framing_twice_is_refused():
    with pytest.raises(ValueError, match="framed already"):
        growth(MAP).framed(2, 9).framed(2, 9)


def test_the_stop_rule_ends_a_trajectory_with_the_frame_that_reaches_the_edge():
    beyond = np.array(MAP, np.int32)
    beyond[0, 3, 1] = 40
    stopped = growth(beyond).stopped()
    assert stopped.lengths.tolist() == [10]  # column 3 attaches in step 9
    assert stopped.arrival.max() == 9


def test_transitions_are_all_pairs_of_neighbouring_frames():
    two = growth([MAP[0], [[0, 1, -1, -1]] + [[-1] * 4] * 3]).framed(1, 64)
    index, t = two.transitions()
    assert list(zip(index, t, strict=True)) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    grown = two.at(index, t + 1) - two.at(index, t)
    assert grown.sum(axis=(1, 2, 3)).tolist() == [2, 3, 1, 1, 1]


def test_an_ended_trajectory_stays_in_its_last_state():
    np.testing.assert_array_equal(growth(MAP).frame(1000), growth(MAP).final())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arrival": np.zeros((1, 4, 5), np.int32)}, "arrival must be int32"),
        ({"arrival": np.zeros((1, 4, 4), np.int64)}, "arrival must be int32"),
        ({"arrival": np.full((1, 4, 4), -2, np.int32)}, "arrival must be >= -1"),
        ({"lengths": np.zeros(1, np.int32)}, "lengths must be >= 1"),
        ({"arrival": np.full((1, 4, 4), 7, np.int32)}, "beyond the trajectory's length"),
        ({"params": np.zeros((1, 3))}, "params must be float64"),
    ],
)
def test_what_is_not_a_growth_map_is_refused(wrong, message):
    fine = {"params": np.zeros((1, 2)), "lengths": np.ones(1, np.int32), "arrival": np.zeros((1, 4, 4), np.int32)}
    with pytest.raises(ValueError, match=message):
        GrowthTrajectories(domain=domain(), **fine | wrong)


def fields(seed=0):
    rng = np.random.default_rng(seed)
    facts = domain(states="fields", clock="step", channels=("u", "v"))
    values = rng.normal(size=(3, 9, 2, 4, 4)).astype(np.float32)
    return FieldTrajectories(rng.uniform(size=(3, 2)), np.array([9, 6, 1], np.int32), facts, values)


def test_dense_fields_are_strided_and_held():
    record = fields()
    framed = record.framed(4, 64)
    assert framed.lengths.tolist() == [3, 2, 1]
    np.testing.assert_array_equal(framed.frame(2)[0], record.values[0, 8])
    np.testing.assert_array_equal(framed.frame(2)[1], record.values[1, 4])
    np.testing.assert_array_equal(framed.final()[2], record.values[2, 0])


def test_joining_parts_gives_back_the_whole():
    for whole in (growth([MAP[0]] * 3), fields()):
        joined = type(whole).joined([whole.select(slice(0, 2)), whole.select(slice(2, 3))])
        for name, array in whole.arrays().items():
            np.testing.assert_array_equal(joined.arrays()[name], array)


@pytest.mark.parametrize("make", [lambda: growth(MAP), fields])
def test_a_file_keeps_every_bit(tmp_path, make):
    before = make()
    write_trajectories(tmp_path / "t.h5", before)
    after = read_trajectories(tmp_path / "t.h5", before.domain)
    assert type(after) is type(before)
    for name, array in before.arrays().items():
        np.testing.assert_array_equal(after.arrays()[name], array)


def test_a_file_of_another_domain_names_what_differs(tmp_path):
    write_trajectories(tmp_path / "t.h5", growth(MAP))
    with pytest.raises(ValueError, match=r"t\.h5: trajectories of another domain; stop_margin differ"):
        read_trajectories(tmp_path / "t.h5", domain(stop_margin=2))


def test_a_truncated_file_is_named(tmp_path):
    write_trajectories(tmp_path / "t.h5", growth(MAP))
    content = (tmp_path / "t.h5").read_bytes()
    (tmp_path / "t.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"t\.h5: not trajectories"):
        read_trajectories(tmp_path / "t.h5", domain())


def test_a_file_that_contradicts_itself_is_refused(tmp_path):
    write_trajectories(tmp_path / "t.h5", growth(MAP))
    with h5py.File(tmp_path / "t.h5", "a") as file:
        file["lengths"][...] = 3
    with pytest.raises(ValueError, match=r"t\.h5: arrival names a frame beyond"):
        read_trajectories(tmp_path / "t.h5", domain())


def test_a_negative_zero_in_a_start_state_or_a_parameter_parts_no_ensemble():
    line = Domain("square", (1, 2), ("u",), "fields", (Parameter("a", 0.0, 1.0),), "a", ())
    values = np.zeros((4, 2, 1, 1, 2), np.float32)
    values[1, 0, 0, 0, 1] = -0.0
    params = np.array([[0.0], [0.0], [-0.0], [0.5]])
    groups = alike(FieldTrajectories(params, np.full(4, 2, np.int32), line, values))
    assert [group.tolist() for group in groups] == [[0, 1, 2], [3]]


def labelled(boundaries=("periodic", "periodic"), labels=5):
    return Domain(
        "square", (4, 6), ("grain",), "labels", (Parameter("T", 0.2, 0.9),), "T", (), boundaries=boundaries,
        labels=labels, symmetries=("labels", "translations"), dt=1.0, time_unit="sweeps",
    )  # fmt: skip


def test_labels_are_framed_cut_joined_and_stored_as_they_are(tmp_path):
    place = labelled()
    values = np.random.default_rng(0).integers(0, 5, (3, 9, 4, 6)).astype(np.uint8)
    lengths = np.array([9, 9, 5], np.int32)
    record = LabelTrajectories(np.full((3, 1), 0.5), lengths, place, values)
    framed = record.framed(4, 8)
    assert framed.lengths.tolist() == [3, 3, 2]
    assert np.array_equal(framed.frame(1)[:, 0], values[:, 4])
    assert np.array_equal(framed.frame(2)[2, 0], values[2, 4])  # ended, it stays as it was
    assert framed.frame(0).dtype == np.float32
    assert framed.start().labels.shape == (3, 1, 4, 6)
    both = LabelTrajectories.joined([framed, framed.start()])
    assert np.array_equal(both.frame(2)[3:, 0], values[:, 0])
    write_trajectories(tmp_path / "labels.h5", record)
    restored = read_trajectories(tmp_path / "labels.h5", place)
    assert isinstance(restored, LabelTrajectories)
    assert np.array_equal(restored.labels, values)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda v: v.astype(np.int64), "must be uint8"),
        (lambda v: v + np.uint8(5), "below 5"),
        (lambda v: v[:, 0], "got 3 axes"),
        (lambda v: v[:, :8], "exceed the 8 frames"),
    ],
)
def test_labels_that_are_none_are_refused(wrong, message):
    values = np.zeros((2, 9, 4, 6), np.uint8)
    with pytest.raises(ValueError, match=message):
        LabelTrajectories(np.full((2, 1), 0.5), np.full(2, 9, np.int32), labelled(), wrong(values))


def test_more_than_256_labels_take_two_bytes():
    values = np.full((1, 1, 4, 6), 299, np.uint16)
    record = LabelTrajectories(np.full((1, 1), 0.5), np.ones(1, np.int32), labelled(labels=300), values)
    assert record.frame(0).max() == 299


@pytest.mark.parametrize("facts", [{"labels": 1}, {"labels": 1 << 17}, {"labels": 5, "channels": ("a", "b")}])
def test_domains_of_labels_say_how_many(facts):
    with pytest.raises(ValueError, match="labels"):
        replace(labelled(), **facts)


def test_each_axis_has_its_own_boundary():
    sites = np.arange(6).reshape(1, 2, 3)
    assert surrounded(sites, ("periodic", "open"))[0].tolist() == [
        [0, 3, 4, 5, 0],
        [0, 0, 1, 2, 0],
        [0, 3, 4, 5, 0],
        [0, 0, 1, 2, 0],
    ]
    assert surrounded(sites, ("closed", "mirror"))[0, 0].tolist() == [1, 0, 1, 2, 1]


def test_a_last_stride_that_is_not_whole_is_left_out_with_the_sites_that_attached_in_it() -> None:
    record = growth(MAP)
    for clock in ("event", "step"):
        timed = replace(record, domain=replace(record.domain, clock=clock))
        for stride in (1, 2, 3, 5):
            kept, whole = timed.framed(stride, 64), timed.framed(stride, 64, whole=True)
            ticks = 4 if clock == "event" else 31
            assert int(whole.lengths[0]) - 1 == ticks // stride
            assert int(kept.lengths[0]) - 1 == -(-ticks // stride)
            for frame in range(int(whole.lengths[0])):
                np.testing.assert_array_equal(whole.frame(frame), kept.frame(frame))
            assert whole.final().sum() == kept.frame(int(whole.lengths[0]) - 1).sum()
