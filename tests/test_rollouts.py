"""Rollouts in files: what is right is read alike however it is packed, what is wrong is named."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from hostile_files import DOMAIN
from nsbench.components.dataset import UnreadableData
from nsbench.components.protocol import Protocol
from nsbench.submissions.cases import cases_digest, write_cases
from nsbench.submissions.reading import read_rollouts
from nsbench.trajectories.domain import Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.labels import LabelTrajectories

PROTOCOL = Protocol(stride=3, horizon=32)


@pytest.fixture(scope="module")
def test_cases(crystals):
    return crystals[1]  # six crystals, 16 × 16


@pytest.fixture
def write(tmp_path, test_cases):
    """Writes the truth's own futures as rollouts, with datasets replaced, added, or left out (None)."""

    def go(truth=test_cases, name="rollouts.h5", attrs=None, **replaced):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with h5py.File(path, "w") as file:
            file.attrs["cases"] = cases_digest(test_cases.start(), PROTOCOL)
            for key, value in (truth.arrays() | replaced).items():
                if value is not None:
                    file[key] = value
            for key, value in (attrs or {}).items():
                if value is None:
                    del file.attrs[key]
                else:
                    file.attrs[key] = value
        return path

    return go


def dense(trajectories, dtype=np.float32):
    """uint8 or float32 [n, T, 1, H, W] of growth maps, with what need not be read after the end."""
    frames = np.stack([trajectories.frame(t) for t in range(trajectories.lengths.max())], axis=1)
    late = np.arange(frames.shape[1]) >= trajectories.lengths[:, None]
    frames[late] = 7
    return frames.astype(dtype)


def test_cases_hold_no_future(tmp_path, test_cases):
    """All that is in the file is in frame 0 already: a truth that ends otherwise has the same cases."""
    other = replace(test_cases.start(), lengths=test_cases.lengths)
    for name, truth in (("a", test_cases), ("b", other)):
        write_cases(tmp_path / name, truth, PROTOCOL, suite="s", dataset="d", key="k")
    with h5py.File(tmp_path / "a") as a, h5py.File(tmp_path / "b") as b:
        assert sorted(a) == ["case", "params", "start", "stop_sites"]
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
        assert dict(a.attrs) == dict(b.attrs)
        np.testing.assert_array_equal(a["start"], test_cases.frame(0))
        assert a["start"][:].sum() == len(test_cases)  # the seed of each crystal
        np.testing.assert_array_equal(a["params"], test_cases.params)
        assert list(a["params"].attrs["names"]) == [p.name for p in test_cases.domain.parameters]
        assert (a.attrs["stride"], a.attrs["horizon"], a.attrs["members"]) == (3, 32, 1)
        assert a["stop_sites"][:].sum() == test_cases.domain.stop_sites().sum() > 0


def test_growth_reads_alike_as_a_map_and_as_states_in_any_order_and_packing(write, test_cases):
    shuffled = np.random.default_rng(0).permutation(len(test_cases))
    plain = read_rollouts(write(), test_cases, PROTOCOL)
    np.testing.assert_array_equal(plain.rollouts.arrival, test_cases.arrival)
    variants = [
        write(arrival=None, values=dense(test_cases)),
        write(arrival=None, values=dense(test_cases, np.uint8)),
        write(test_cases.select(shuffled), case=shuffled),
        write(arrival=test_cases.arrival.astype(">i4"), attrs={"cases": None}),
        write(params=None, attrs={"cases": np.bytes_(cases_digest(test_cases.start(), PROTOCOL))}),
    ]
    for path in [variants[-1], write(), write(arrival=None, values=dense(test_cases))]:
        assert read_rollouts(path, test_cases, PROTOCOL).digest == plain.digest


def test_members_of_a_case_stand_side_by_side(write, test_cases):
    two = Protocol(stride=3, horizon=32, members=2)
    case = np.tile(np.arange(6), 2)
    path = write(test_cases.select(case), case=case, attrs={"cases": cases_digest(test_cases.start(), two)})
    read = read_rollouts(path, test_cases, two)
    np.testing.assert_array_equal(read.rollouts.params, np.repeat(test_cases.params, 2, axis=0))
    np.testing.assert_array_equal(read.rollouts.arrival, np.repeat(test_cases.arrival, 2, axis=0))


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


def melted(truth):
    values = dense(truth)
    return changed(values, (2, 2, 0, 0, 0), 0)


GROWTH = {
    "no such shape": (
        lambda t: {"arrival": t.arrival[:, :8]},
        r"/arrival: must be int32\[6, 16, 16\], is \[6, 8, 16\]",
    ),
    "too few": (lambda t: {"arrival": t.arrival[:5]}, r"/arrival: must be int32\[6, 16, 16\]"),
    "too few lengths": (lambda t: {"lengths": t.lengths[:5]}, r"/lengths: must be int32\[6\], is \[5\]"),
    "column-major": (lambda t: {"arrival": t.arrival.T.copy()}, r"its axes are reversed"),
    "floats": (lambda t: {"arrival": t.arrival.astype(float)}, "/arrival: must be int32, is float64"),
    "text": (lambda t: {"arrival": "none"}, "/arrival holds texts, lists or references, must hold numbers"),
    "no lengths": (lambda t: {"lengths": None}, "/lengths: is missing"),
    "both": (lambda t: {"values": dense(t)}, "must hold one of /arrival, /labels, /values"),
    "neither": (lambda t: {"arrival": None}, "must hold one of /arrival, /labels, /values"),
    "a typing error": (lambda t: {"arival": t.arrival}, "/arival: is not part of the layout; did you mean 'arrival'"),
    "before the start": (lambda t: {"arrival": changed(t.arrival, (3, 1, 1), -2)}, r"rollout 3 has -2 at \(1, 1\)"),
    "after the end": (
        lambda t: {"arrival": changed(t.arrival, (3, 15, 15), 31)},
        r"/arrival: rollout 3 ends with frame \d+, but \(15, 15\) attaches in frame 31",
    ),
    "another start": (
        lambda t: {"arrival": changed(t.arrival, (4, 0, 0), 1)},
        "/arrival: rollout 4 does not begin with the start state of case 4",
    ),
    "past the horizon": (
        lambda t: {"lengths": changed(t.lengths, 1, 34)},
        r"/lengths: a rollout has 1 to 33 frames \(its start and a horizon of 32\), rollout 1 has 34",
    ),
    "no frame": (lambda t: {"lengths": changed(t.lengths, 1, 0)}, "rollout 1 has 0"),
    "past the stop rule": (
        lambda t: {"lengths": changed(t.lengths, 1, t.lengths[1] + 1)},
        r"/lengths: rollout 1 goes on after frame (\d+), in which the stop rule holds: end it there, with",
    ),
    "melting": (
        lambda t: {"arrival": None, "values": melted(t)},
        r"/values: growth never melts; rollout 2 has \(0, 0\) attached in frame 1, not in 2",
    ),
    "half a site": (
        lambda t: {"arrival": None, "values": changed(dense(t), (2, 2, 0, 0, 0), 0.5)},
        r"/values: growth is 0 or 1; rollout 2 has 0.5 in frame 2 at \(0, 0\)",
    ),
    "no number": (
        lambda t: {"arrival": None, "values": changed(dense(t), (2, 2, 0, 0, 0), np.nan)},
        "/values: rollout 2 is not finite in frame 2",
    ),
    "fewer frames than said": (
        lambda t: {"arrival": None, "values": dense(t)[:, :3]},
        r"/lengths: rollout 0 has \d+ frames, /values holds 3",
    ),
    "a case twice": (lambda t: {"case": np.array([0, 1, 2, 3, 4, 4])}, "every case needs 1 rollouts, case 4 has 2"),
    "no such case": (lambda t: {"case": np.arange(1, 7)}, "/case: cases are numbered 0 to 5, got 1 to 6"),
    "other parameters": (
        lambda t: {"params": t.params[::-1].copy()},
        "/params: rollout 0 does not have the parameters of case 0",
    ),
}


@pytest.mark.parametrize("fault", GROWTH)
def test_what_is_wrong_with_growth_is_named(write, test_cases, fault):
    break_it, message = GROWTH[fault]
    path = write(**break_it(test_cases))
    with pytest.raises(UnreadableData, match=message) as error:
        read_rollouts(path, test_cases, PROTOCOL)
    assert str(error.value).startswith(f"{path}: ")


def test_a_file_of_other_cases_or_of_none_is_refused(write, test_cases):
    with pytest.raises(UnreadableData, match=r"attribute 'cases': other cases than the suite's: 'abc'"):
        read_rollouts(write(attrs={"cases": "abc"}), test_cases, PROTOCOL)
    with pytest.raises(UnreadableData, match="nothing says which cases these are"):
        read_rollouts(write(params=None, attrs={"cases": None}), test_cases, PROTOCOL)


def test_a_file_that_is_none_or_cut_short_or_points_elsewhere_is_refused(write, test_cases, tmp_path):
    with pytest.raises(UnreadableData, match="no such file"):
        read_rollouts(tmp_path / "none.h5", test_cases, PROTOCOL)
    path = write()
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UnreadableData, match=r"rollouts\.h5: is not HDF5, or damaged"):
        read_rollouts(path, test_cases, PROTOCOL)
    path = write(name="other.h5", arrival=None, attrs={})
    with h5py.File(path, "a") as file:
        file["arrival"] = h5py.ExternalLink("rollouts.h5", "/arrival")
    with pytest.raises(UnreadableData, match=r"/arrival is a link to another file"):
        read_rollouts(path, test_cases, PROTOCOL)
    path = write(name="soft.h5", arrival=None, attrs={})
    with h5py.File(path, "a") as file:
        file["arrival"] = h5py.SoftLink("/lengths")
    with pytest.raises(UnreadableData, match=r"/arrival: is a link"):
        read_rollouts(path, test_cases, PROTOCOL)


def fields(frames=4):
    """Two walks of one number on 2 × 2 sites that never stop."""
    from nsbench.trajectories.domain import Domain, Observable, Parameter

    mean = Observable("mean", "1", lambda state: state.mean(axis=(1, 2, 3)).astype(np.float64))
    domain = Domain("square", (2, 2), ("u",), "fields", (Parameter("a", 0, 1),), "a", (mean,), stride=1)
    values = np.random.default_rng(1).normal(size=(2, frames, 1, 2, 2)).astype(np.float32)
    return FieldTrajectories(np.array([[0.1], [0.9]]), np.full(2, frames, np.int32), domain, values)


def field_file(path, truth, **replaced):
    with h5py.File(path, "w") as file:
        for key, value in (truth.arrays() | replaced).items():
            file[key] = value
    return path


def test_fields_are_read_as_they_are_up_to_each_end(tmp_path):
    truth = fields()
    lengths, values = np.array([4, 2], np.int32), truth.values.copy()
    values[1, 2:] = np.nan  # padding
    read = read_rollouts(
        field_file(tmp_path / "f.h5", truth, lengths=lengths, values=values), truth, Protocol(stride=1, horizon=3)
    )
    np.testing.assert_array_equal(read.rollouts.values[0], truth.values[0])
    np.testing.assert_array_equal(read.rollouts.frame(3)[1], truth.values[1, 1])


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"values": changed(fields().values, (1, 2, 0, 0, 0), np.inf)}, "/values: rollout 1 is not finite in frame 2"),
        (
            {"values": changed(fields().values, (1, 0, 0, 0, 0), 9)},
            "rollout 1 does not begin with the start state of case 1",
        ),
        ({"values": np.zeros((2, 4, 1, 2, 2), np.uint8)}, "/values: must be float32, is uint8"),
    ],
)
def test_what_is_wrong_with_fields_is_named(tmp_path, replaced, message):
    path = field_file(tmp_path / "f.h5", fields(), **replaced)
    with pytest.raises(UnreadableData, match=message):
        read_rollouts(path, fields(), Protocol(stride=1, horizon=3))


def labelled():
    domain = replace(DOMAIN, states="labels", channels=("grain",), labels=3, boundaries=("periodic", "periodic"))
    states = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 2, 2) % 3
    return LabelTrajectories(np.array([[0.1], [0.2]]), np.array([4, 3], np.int32), domain, states)


def label_file(path, truth, **states):
    with h5py.File(path, "w") as file:
        file["params"], file["lengths"] = truth.params, truth.lengths
        for name, values in states.items():
            file[name] = values
    return path


def test_labels_are_read_as_labels_or_as_values(tmp_path):
    truth = labelled()
    for name, states in {"labels": truth.labels, "values": truth.labels[:, :, None].astype(np.float32)}.items():
        path = label_file(tmp_path / name, truth, **{name: states})
        read = read_rollouts(path, truth, Protocol(stride=1, horizon=3)).rollouts
        assert isinstance(read, LabelTrajectories)
        assert [np.array_equal(read.frame(t), truth.frame(t)) for t in range(4)] == [True] * 4


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"labels": changed(labelled().labels, (1, 1, 0, 1), 3)}, r"0 to 2; rollout 1 has 3 in frame 1 at \(0, 1\)"),
        ({"values": labelled().labels[:, :, None] + np.float32(0.5)}, "whole numbers from 0 to 2; rollout 0 has 0.5"),
        ({"labels": labelled().labels.astype(np.int64)}, "/labels: must be uint8, is int64"),
        ({"labels": labelled().labels[:, [1, 0, 2, 3]]}, "does not begin with the start state"),
        ({"arrival": np.zeros((2, 2, 2), np.int32)}, "/arrival: these systems' states are labels; give /values"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, states, message):
    with pytest.raises(UnreadableData, match=message):
        read_rollouts(label_file(tmp_path / "f", labelled(), **states), labelled(), Protocol(stride=1, horizon=3))


def test_hidden_parameters_are_marked_in_the_cases(tmp_path):
    truth = labelled()
    domain = replace(truth.domain, parameters=(*truth.domain.parameters, Parameter("seed", 0, 9, hidden=True)))
    hidden = replace(truth, domain=domain, params=np.array([[0.1, 3], [0.2, 5]]))
    write_cases(tmp_path / "c", hidden, Protocol(stride=1, horizon=3), suite="s", dataset="d", key="k")
    with h5py.File(tmp_path / "c") as file:
        assert file["params"].attrs["hidden"].tolist() == [0, 1]
        assert file.attrs["labels"] == 3
        assert file.attrs["boundaries"] == "periodic, periodic"


def test_growth_maps_of_systems_that_melt_are_refused(tmp_path):
    truth = fields()
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["params"], file["lengths"] = truth.params, truth.lengths
        file["arrival"] = np.zeros((2, 2, 2), np.int32)
    with pytest.raises(UnreadableData, match="these systems' states are fields; give /values"):
        read_rollouts(path, truth, Protocol(stride=1, horizon=3))


def with_claims(path, test_cases, kind="exact", nats=None, cost=None):
    index, _ = test_cases.transitions()
    with h5py.File(path, "a") as file:
        file["likelihood/nats"] = np.full(len(index), -2.0) if nats is None else nats
        file["likelihood"].attrs["kind"] = kind
        if cost is not None:
            file.create_group("cost").attrs.update(cost)
    return path


COST = {
    "ms_per_trajectory": 2.5,
    "ms_per_trajectory_alone": 4.0,
    "batch": 64.0,
    "threads": 8,
    "device": np.bytes_("cuda"),
}


def test_likelihood_and_cost_are_taken_as_declared_and_count_in_the_digest(write, test_cases):
    bare = read_rollouts(write(), test_cases, PROTOCOL)
    read = read_rollouts(with_claims(write(), test_cases, cost=COST | {"machine": "a lab"}), test_cases, PROTOCOL)
    assert (bare.likelihood, bare.cost) == (None, None)
    assert (read.likelihood.kind, read.likelihood.nats.mean()) == ("exact", -2.0)
    assert (read.cost.ms_per_trajectory, read.cost.batch, read.cost.device, read.machine) == (2.5, 64, "cuda", "a lab")
    assert read.cost.truth_ms_per_trajectory is None
    assert read.digest != bare.digest


def test_a_declared_bound_says_its_samples_and_is_the_elbo_without(write, test_cases):
    path = with_claims(write(), test_cases, kind="elbo")
    one = read_rollouts(path, test_cases, PROTOCOL)
    with h5py.File(path, "a") as file:
        file["likelihood"].attrs["samples"] = 64
    many = read_rollouts(path, test_cases, PROTOCOL)
    assert (one.likelihood.label, many.likelihood.label) == ("L_1", "L_64")
    assert one.digest != many.digest


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"kind": "iwae"}, "/likelihood: attribute 'kind' must be exact, elbo, vlb; got 'iwae'"),
        ({"nats": np.zeros(3)}, r"/likelihood/nats: must be float64\[\d+\], is \[3\]"),
        ({"cost": {"ms_per_trajectory": 1.0}}, "/cost: lacks the attribute 'ms_per_trajectory_alone'"),
        ({"cost": COST | {"batch": 1.5}}, "/cost: batch must be a whole number, got 1.5"),
        ({"cost": COST | {"ms_per_trajectory": 0.0}}, "/cost: ms_per_trajectory must be one number above 0"),
        ({"cost": COST | {"device": "abacus"}}, "/cost: device must be cpu or cuda, got 'abacus'"),
        ({"cost": COST | {"ms": 1.0}}, "/cost: attribute 'ms' is not part of the layout"),
    ],
)
def test_claims_that_cannot_be_are_refused(write, test_cases, claims, message):
    with pytest.raises(UnreadableData, match=message):
        read_rollouts(with_claims(write(), test_cases, **claims), test_cases, PROTOCOL)


def test_probabilities_above_one_and_numbers_that_are_none_are_refused(write, test_cases):
    count = len(test_cases.transitions()[0])
    with pytest.raises(UnreadableData, match=r"entry 5 is 0\.1; no probability of a state is above 1"):
        read_rollouts(
            with_claims(write(), test_cases, nats=changed(np.full(count, -1.0), 5, 0.1)), test_cases, PROTOCOL
        )
    with pytest.raises(UnreadableData, match=r"entry 5, of case \d from frame \d+ to the next, is nan"):
        read_rollouts(
            with_claims(write(), test_cases, nats=changed(np.full(count, -1.0), 5, np.nan)), test_cases, PROTOCOL
        )
