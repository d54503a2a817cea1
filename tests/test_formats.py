"""Files of npz and The Well, and the dataset that reads files: what comes back, what is refused, what keys hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

import nsbench
from nsbench.commands.export import CannotExport, find_writer
from nsbench.components.dataset import UnreadableData
from nsbench.components.format import FormatSpec, Origin
from nsbench.registry.registry import Plugin
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.trajectories import stored
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench_formats.npz import write_npz
from nsbench_formats.observables import largest_share, unlike_bonds, with_observables
from nsbench_formats.params import Fractions
from nsbench_formats.splits import cut
from nsbench_formats.well_writing import write_well
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams

WRITERS = {"npz": write_npz, "well": write_well}
SPLITS = ("train", "val", "test")


def growth(split, seed=0):
    params = DatasetParams(size=16, train=6, val=3, test={"parameters": 2, "repeats": 2})
    return LCADataset(params).prepare(split, np.random.default_rng([seed, SPLITS.index(split)]))


def fields(split, seed=0):
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    channels, lattice = ("u", "v"), "square"
    parameters = (Parameter("feed", 0, 1, "1/s"), Parameter("kill", 0.1, 0.1))
    domain = with_observables(Domain(lattice, (4, 5), channels, "fields", parameters, "feed", ()))
    values = rng.normal(size=(5, 7, 2, 4, 5)).astype(np.float32)
    params = np.stack([rng.uniform(size=5), np.full(5, 0.1)], axis=1)
    return FieldTrajectories(params, np.array([7, 3, 7, 1, 6], np.int32), domain, values)


def labels(split, seed=0):
    """Labels with a hidden parameter, on a lattice with periodic columns; 300 of them take two bytes."""
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    parameters = (Parameter("T", 0, 1), Parameter("history", 0, 1, hidden=True))
    domain = Domain(
        "hexagonal", (4, 5), ("grain",), "labels", parameters, "T", (), boundaries=("closed", "periodic"),
        labels=300, symmetries=("labels",), dt=0.5, time_unit="sweeps",
    )  # fmt: skip
    states = rng.integers(0, 300, (5, 7, 4, 5)).astype(np.uint16)
    lengths = np.array([7, 3, 7, 1, 6], np.int32)
    for state, length in zip(states, lengths, strict=True):
        state[length:] = state[length - 1]
    return LabelTrajectories(rng.uniform(size=(5, 2)), lengths, with_observables(domain), states)


def write(folder, name, make=growth):
    folder.mkdir(parents=True)
    for split in SPLITS:
        WRITERS[name](folder, split, make(split), Origin("lca", None, None))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("formats")
    return {name: write(root / name, name) for name in WRITERS}


def dataset(path, name, /, **params):
    return nsbench.load("dataset", "trajectories", path=str(path), format=name, **params)


def read(path, name, which="train", /, **params):
    return dataset(path, name, **params).prepare(which, np.random.default_rng(0))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("make", [growth, labels, fields])
def test_every_bit_comes_back(tmp_path, name, make):
    folder = write(tmp_path / "data", name, make)
    for split in SPLITS:
        before, after = make(split), read(folder, name, split)
        assert type(after) is type(before)
        assert after.domain.describe() == before.domain.describe()
        for array in ("params", "lengths", "arrival"):
            np.testing.assert_array_equal(after.arrays().get(array), before.arrays().get(array))
        for t in range(0 if make is growth else before.lengths.max()):
            np.testing.assert_array_equal(after.frame(t), before.frame(t))


def test_observables_of_what_was_read_are_those_of_what_was_written(written):
    for name, folder in written.items():
        before, after = growth("test"), read(folder, name, "test")
        np.testing.assert_array_equal(after.domain.observe(after.final()), before.domain.observe(before.final()))


def test_unlike_bonds_are_counted_once_and_across_periodic_ends():
    state = np.array([[[[0, 0, 1], [0, 2, 1]]]], np.float32)
    assert unlike_bonds(state, "square", ("open", "open")).tolist() == [4]
    assert unlike_bonds(state, "square", ("open", "periodic")).tolist() == [6]  # both rows begin with 0 and end with 1
    board = np.indices((4, 6)).sum(axis=0)[None, None].astype(np.float32) % 2
    assert unlike_bonds(board, "square", ("periodic", "periodic")).tolist() == [2 * 24]
    assert largest_share(state, 3).tolist() == [0.5]
    assert largest_share(np.concatenate([board, 0 * board]), 2).tolist() == [0.5, 1]


def test_boundaries_and_time_steps_of_the_well_are_the_domains(tmp_path):
    write(tmp_path / "data", "well", labels)
    for path in (tmp_path / "data").rglob("*.h5"):
        with h5py.File(path, "r+") as file:
            del file["nsbench"]
            times = file["dimensions"]["time"]
            times[...] = times[...] * np.float32(0.1)
    options = {"parameters": ["T", "history"], "lattice": "hexagonal"}
    domain = dataset(tmp_path / "data", "well", options=options).domain
    assert domain.boundaries == ("closed", "periodic")
    assert domain.dt == pytest.approx(0.1)
    assert domain.states == "fields"


def test_labels_of_a_well_file_that_are_none_are_refused(tmp_path):
    write(tmp_path / "data", "well", labels)
    for path in (tmp_path / "data").rglob("*.h5"):
        with h5py.File(path, "r+") as file:
            file["t0_fields"]["grain"][0, 0, 0, 0] = 1.5
    with pytest.raises(UnreadableData, match="trajectory 0: labels must be whole numbers from 0 to 299"):
        read(tmp_path / "data", "well")


def test_moments_of_fields():
    state = np.zeros((1, 2, 4, 5), np.float32)
    state[0, 1, 0] = 2
    assert fields("test").domain.observe(state).tolist() == [[0, 0, 0.5, pytest.approx(0.75**0.5)]]


def test_the_domain_is_known_before_anything_is_read(written, monkeypatch):
    from nsbench_formats import well

    monkeypatch.setattr(well, "_read_ours", None)
    monkeypatch.setattr(GrowthTrajectories, "__post_init__", None)
    for name, folder in written.items():
        assert dataset(folder, name).domain.describe() == LCADataset(DatasetParams(size=16)).domain.describe()


def test_a_limit_takes_the_first(written):
    for name, folder in written.items():
        np.testing.assert_array_equal(read(folder, name, limit=2).arrival, growth("train").arrival[:2])


def test_splits_are_cut_by_parameter_set_alike_whoever_asks():
    rho = np.repeat(np.linspace(0.3, 0.6, 20), 8)[:, None]
    parts = {split: cut(rho, split, Fractions(val=0.1, test=0.2, seed=3)) for split in SPLITS}
    assert {split: len(np.unique(rho[index])) for split, index in parts.items()} == {"train": 14, "val": 2, "test": 4}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(160))
    assert all(len(index) == 8 * len(np.unique(rho[index])) for index in parts.values())
    assert (cut(rho, "val", Fractions(val=0.1, test=0.2, seed=4)) != parts["val"]).any()


def test_every_split_gets_a_parameter_set_and_fewer_than_three_are_refused():
    rho = np.array([[1.0], [2.0], [3.0], [3.0]])
    sizes = [len(np.unique(rho[cut(rho, split, Fractions(val=0.45, test=0.5))])) for split in SPLITS]
    assert sizes == [1, 1, 1]
    with pytest.raises(ValueError, match="at least three parameter sets, there are 2"):
        cut(rho[1:], "train", Fractions())


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_windows_of_one_simulation_have_no_neighbour_in_another_split(gap):
    orders = set()
    for seed in range(12):
        fractions = Fractions(val=0.1, test=0.2, seed=seed, gap=gap)
        parts = {split: cut(np.ones((60, 1)), split, fractions) for split in SPLITS}
        usable = 60 - 2 * gap
        assert [len(parts[split]) for split in ("val", "test")] == [round(0.1 * usable), round(0.2 * usable)]
        assert sum(map(len, parts.values())) == usable
        for one, other in ((a, b) for a in SPLITS for b in SPLITS if a != b):
            assert abs(parts[one][:, None] - parts[other]).min() > gap
        orders.add(tuple(sorted(SPLITS, key=lambda split: parts[split][0])))
    assert len(orders) > 2


def test_too_few_windows_of_one_simulation_are_refused_with_what_would_do():
    sizes = [len(cut(np.ones((5, 1)), split, Fractions())) for split in SPLITS]
    assert sizes == [1, 1, 1]
    with pytest.raises(ValueError, match=r"all 4 trajectories have the same parameters .* needs 5\. .* gap: 0"):
        cut(np.ones((4, 1)), "train", Fractions())
    assert len(cut(np.ones((4, 1)), "train", Fractions(gap=0))) == 2


def test_data_without_splits_is_cut_and_data_with_them_is_not(written, tmp_path):
    whole = written["npz"] / "train.npz"
    parts = [read(whole, "npz", split, split={"val": 0.2, "test": 0.2}) for split in SPLITS]
    assert [len(part) for part in parts] == [4, 1, 1]
    assert len({rho for part in parts for rho in part.params[:, 6]}) == 6
    with pytest.raises(UnreadableData, match=r"npz: has splits of its own; leave out `split`"):
        read(written["npz"], "npz", split={})
    with pytest.raises(UnreadableData, match=r"train\.npz: has no train, val and test; say how to cut them"):
        read(whole, "npz")
    shutil.copy(whole, tmp_path)
    with pytest.raises(UnreadableData, match=r"holds train\.npz, but no val or valid or validation"):
        read(tmp_path, "npz")


def test_splits_of_different_domains_are_refused(written, tmp_path):
    folder = shutil.copytree(written["npz"], tmp_path / "data")
    other = growth("val")
    (folder / "val.npz").unlink()
    write_npz(folder, "val", replace(other, domain=replace(other.domain, stop_margin=6)), Origin("lca", None, None))
    with pytest.raises(UnreadableData, match="different domains: stop_margin differ"):
        read(folder, "npz")


def with_array(path, name, change):
    with np.load(path) as arrays:
        changed = dict(arrays)
    changed[name] = change(changed[name])
    np.savez(path, **{k: v for k, v in changed.items() if v is not None})


def described(**changes):
    return lambda text: np.array(json.dumps(json.loads(str(text)) | changes))


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("arrival", lambda a: a.astype(np.int64), "arrival must be int32"),
        ("arrival", lambda a: a - 2, "arrival must be >= -1"),
        ("arrival", lambda a: a[:, :-1], "arrival must be int32"),
        ("arrival", lambda a: None, "must hold arrival, domain, lengths, params, holds domain, lengths, params"),
        ("lengths", lambda a: a - 5, "beyond the trajectory's length"),
        ("lengths", lambda a: np.array([{}] * 6), "lengths holds Python objects, must hold numbers"),
        ("params", lambda a: a.astype(np.float32), r"params must be float64\[n, 8\], got float32"),
        ("params", lambda a: a * np.nan, "not all finite"),
        ("params", lambda a: a + 1, "alpha is in .*, beyond the domain's"),
        ("domain", lambda a: np.array("{"), "its domain is not one"),
        ("domain", lambda a: None, "lacks what the format needs"),
        ("domain", described(lattice="cubic"), "its domain is not one: lattice"),
        ("domain", described(condition="phi"), "condition 'phi' is none of its parameters"),
        ("domain", described(stride=3), "its domain is not one: stride"),
        ("domain", described(states="fields"), "must hold domain, lengths, params, values"),
    ],
)
def test_an_npz_file_that_is_wrong_is_refused_by_name(written, tmp_path, name, change, fault):
    folder = shutil.copytree(written["npz"], tmp_path / "data")
    with_array(folder / "train.npz", name, change)
    with pytest.raises(UnreadableData, match=rf"train\.npz: .*{fault}|data: .*{fault}"):
        read(folder, "npz")


@pytest.mark.parametrize(("name", "file"), [("npz", "train.npz"), ("well", "data/train/lca.h5")])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"text\n", lambda b: b""])
def test_a_damaged_file_is_refused_by_name(written, tmp_path, name, file, damage):
    folder = shutil.copytree(written[name], tmp_path / "data")
    (folder / file).write_bytes(damage((folder / file).read_bytes()))
    with pytest.raises(UnreadableData, match=rf"{file}: (cannot be read|is not an \.npz file, or was cut short)"):
        read(folder, name)


def test_an_array_that_rotted_is_refused_by_name(written, tmp_path):
    folder = shutil.copytree(written["npz"], tmp_path / "data")
    content = bytearray((folder / "train.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "train.npz").write_bytes(content)
    with pytest.raises(UnreadableData, match=r"train\.npz: cannot be read"):
        read(folder, "npz")


FIELD = "t0_fields/attached"


def set_field(where, value):
    def damage(file):
        file[FIELD][where] = value

    return damage


def replace_dataset(name, change):
    def damage(file):
        array, attributes = change(file[name][()]), dict(file[name].attrs)
        del file[name]
        file[name] = array
        file[name].attrs.update(attributes)

    return damage


def delete(name):
    def damage(file):
        del file[name]

    return damage


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (set_field((2, -1, 0, 0), 0), "trajectory 2: the crystal shrinks"),
        (set_field((2, 0, 0, 0), 0.5), r"trajectory 2: a site is neither attached \(1\) nor free \(0\)"),
        (set_field((2, 0, 0, 0), np.nan), "trajectory 2: a site is neither"),
        (replace_dataset(FIELD, lambda a: a.astype(np.float64)), r"attached must be float32\[.*\], got float64"),
        (replace_dataset(FIELD, lambda a: a[:, :, :-1]), "attached must be float32"),
        (replace_dataset("nsbench/steps", lambda a: a[:, ::-1]), "steps must start at 0 and increase"),
        (replace_dataset("nsbench/frames", lambda a: a + 999), r"nsbench/frames must be in \[1, "),
        (replace_dataset("nsbench/frames", lambda a: a - 1), "grows after its last valid frame"),
        (replace_dataset("nsbench/lengths", lambda a: a.astype(float)), "nsbench/lengths must be int32"),
        (replace_dataset("nsbench/params", lambda a: a[:2]), "nsbench/params must be float64"),
        (replace_dataset("scalars/rho", lambda a: a[::-1]), "scalar rho contradicts nsbench/params"),
        (delete(FIELD), "lacks what the format needs"),
        (delete("nsbench/steps"), "lacks what the format needs"),
        (delete("dimensions"), "not in The Well's layout"),
        (lambda file: file.attrs.__delitem__("n_trajectories"), "lacks what the format needs"),
    ],
)
def test_a_well_file_of_ours_that_is_wrong_is_refused_by_name(written, tmp_path, damage, fault):
    folder = shutil.copytree(written["well"], tmp_path / "data")
    with h5py.File(folder / "data" / "train" / "lca.h5", "a") as file:
        damage(file)
    with pytest.raises(UnreadableData, match=rf"lca\.h5: .*{fault}"):
        read(folder, "well")


def foreign(path, values, rho, **scalars):
    """A file of The Well's that nsbench did not write: fields a and b, float32[n, T, H, W]."""
    n, frames, height, width = values.shape
    with h5py.File(path, "w") as file:
        file.attrs.update({"n_trajectories": n, "n_spatial_dims": 2, "dataset_name": "mine", "grid_type": "cartesian"})
        file["dimensions/time"] = np.arange(frames, dtype=np.float32)
        file["dimensions/x"], file["dimensions/y"] = np.arange(height), np.arange(width)
        file["dimensions"].attrs["spatial_dims"] = ["x", "y"]
        scalars = {"rho": (rho, True, False), "nu": (0.5, False, False)} | scalars
        for name, (value, sample, time) in scalars.items():
            file[f"scalars/{name}"] = value
            file[f"scalars/{name}"].attrs.update({"sample_varying": sample, "time_varying": time})
        file["scalars"].attrs["field_names"] = list(scalars)
        for order in ("t0_fields", "t1_fields", "t2_fields"):
            file.create_group(order).attrs["field_names"] = ["a", "b"] if order == "t0_fields" else []
        for name, sign in (("a", 1), ("b", -1)):
            field = file["t0_fields"].create_dataset(name, data=sign * values)
            field.attrs.update({"sample_varying": True, "time_varying": True, "dim_varying": [True, True]})


def test_a_foreign_well_file_is_dense_fields_and_every_frame_is_valid(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 6, 3, 5)).astype(np.float32)
    foreign(tmp_path / "one.h5", values[:1], np.array([0.7]))
    foreign(tmp_path / "two.hdf5", values[1:], np.array([0.1, 0.9, 0.4]))
    parts = [read(tmp_path, "well", split, split={"val": 0.25, "test": 0.25}) for split in SPLITS]
    seen = dict(zip([0.7, 0.1, 0.9, 0.4], values, strict=True))
    for part in parts:
        assert part.domain.channels == ("a", "b")
        assert part.domain.parameters == (Parameter("rho", 0.1, 0.9), Parameter("nu", 0.5, 0.5))
        assert (part.domain.condition, part.domain.clock, part.domain.stop_margin) == ("rho", "step", None)
        assert (part.lengths == 6).all()
        for params, fields_of_one in zip(part.params, part.values, strict=True):
            np.testing.assert_array_equal(fields_of_one[:, 0], seen[params[0]])
            np.testing.assert_array_equal(fields_of_one[:, 1], -seen[params[0]])
    assert sum(map(len, parts)) == 4


def test_without_our_group_an_exported_file_is_dense_fields(written, tmp_path):
    path = shutil.copy(written["well"] / "data" / "train" / "lca.h5", tmp_path)
    with h5py.File(path, "a") as file:
        del file["nsbench"]
    read_back, framed = read(tmp_path, "well", split={}), growth("train").framed(1, 9999)
    kept = cut(growth("train").params, "train", Fractions())
    assert (read_back.lengths == framed.lengths.max()).all()
    for t in range(framed.lengths.max()):
        np.testing.assert_array_equal(read_back.frame(t), framed.frame(t)[kept])


def add_field(path, name, values, samples=True, times=True):
    """Add a vector, a tensor or a constant field to a file of The Well's, in the group of its order."""
    order = values.ndim - 2 - samples - times
    with h5py.File(path, "a") as file:
        group = file[f"t{order}_fields"]
        group.attrs["field_names"] = [*group.attrs["field_names"], name]
        group[name] = values.astype(np.float32)
        group[name].attrs.update({"sample_varying": samples, "time_varying": times, "dim_varying": [True, True]})


@pytest.mark.parametrize("stays", [stored.LARGE_BYTES, 0], ids=["in memory", "in its file"])
def test_vectors_tensors_and_constants_of_a_foreign_well_file_are_channels(tmp_path, monkeypatch, stays):
    monkeypatch.setattr(stored, "LARGE_BYTES", stays)
    rng, path = np.random.default_rng(0), tmp_path / "a.h5"
    foreign(path, rng.normal(size=(3, 4, 3, 5)).astype(np.float32), np.array([0.1, 0.2, 0.4]))
    velocity, strain = rng.normal(size=(3, 4, 3, 5, 2)), rng.normal(size=(3, 4, 3, 5, 2, 2))
    ground, mask = rng.normal(size=(3, 3, 5)), rng.normal(size=(3, 5))
    add_field(path, "velocity", velocity)
    add_field(path, "strain", strain)
    add_field(path, "ground", ground, times=False)
    add_field(path, "mask", mask, samples=False, times=False)
    taken = read(path, "well", "train", split={"val": 0.3, "test": 0.3})
    assert taken.domain.channels == (
        *("a", "b", "ground", "mask", "velocity_x", "velocity_y"),
        *("strain_xx", "strain_xy", "strain_yx", "strain_yy"),
    )
    (kept,) = [k for k, rho in enumerate([0.1, 0.2, 0.4]) if rho == taken.params[0, 0]]
    for t in range(4):
        expected = [
            ground[kept],
            mask,
            *np.moveaxis(velocity[kept, t], -1, 0),
            *np.moveaxis(strain[kept, t].reshape(3, 5, 4), -1, 0),
        ]
        np.testing.assert_array_equal(taken.values[0, t, 2:], np.float32(expected))
    some = read(path, "well", split={"val": 0.3, "test": 0.3}, options={"fields": ["velocity", "mask"]})
    assert some.domain.channels == ("velocity_x", "velocity_y", "mask")
    with pytest.raises(UnreadableData, match="has no fields that vary in time"):
        read(path, "well", split={}, options={"fields": ["ground", "mask"]})


@pytest.mark.parametrize(
    ("name", "values", "varies", "fault"),
    [
        ("v", np.ones((3, 2, 3, 5, 3)), {}, r"field v must be float32\[3, 2, 3, 5, 2\], got float32\[3, 2, 3, 5, 3\]"),
        (
            "m",
            np.ones((2, 3, 5)),
            {"samples": False},
            "field m must vary .* between trajectories where it varies in time",
        ),
        ("g", np.ones((4, 5)), {"samples": False, "times": False}, r"field g must be float32\[3, 5\]"),
        ("a", np.ones((3, 2, 3, 5, 2)), {}, "names a field twice: a, b, a"),
    ],
)
def test_other_fields_of_a_foreign_well_file_that_are_wrong_are_refused_by_name(tmp_path, name, values, varies, fault):
    foreign(tmp_path / "a.h5", np.ones((3, 2, 3, 5), np.float32), np.array([0.1, 0.2, 0.4]))
    add_field(tmp_path / "a.h5", name, values, **varies)
    with pytest.raises(UnreadableData, match=rf"a\.h5: .*{fault}"):
        read(tmp_path / "a.h5", "well", split={})


def test_of_a_foreign_well_file_only_what_is_named_need_be_understood(tmp_path):
    values = np.ones((3, 2, 3, 5), np.float32)
    foreign(tmp_path / "a.h5", values, np.array([0.1, 0.2, 0.4]))
    add_field(tmp_path / "a.h5", "mesh", np.ones((7, 3)), samples=False, times=False)
    with pytest.raises(UnreadableData, match=r"a\.h5: field mesh must be float32\[3, 5\], got float32\[7, 3\]"):
        read(tmp_path / "a.h5", "well", split={})
    taken = read(tmp_path / "a.h5", "well", split={}, options={"fields": ["b"], "condition": "nu"})
    assert (taken.domain.channels, taken.domain.condition) == (("b",), "nu")
    with pytest.raises(UnreadableData, match="has no field 'c', only a, b, mesh"):
        read(tmp_path / "a.h5", "well", split={}, options={"fields": ["c"]})
    with pytest.raises(UnreadableData, match="has no scalar 'phi', only rho, nu"):
        read(tmp_path / "a.h5", "well", split={}, options={"fields": ["a"], "condition": "phi"})


@pytest.mark.parametrize(
    ("values", "scalars", "fault"),
    [
        (np.full((3, 2, 3, 5), np.nan, np.float32), {}, "a is not finite everywhere"),
        (np.ones((3, 2, 3, 5)), {}, r"field a must be float32\[3, 2, 3, 5\], got float64"),
        (np.ones((3, 2, 3, 5), np.float32), {"drive": (np.ones(2), False, True)}, "scalar drive varies in time"),
        (
            np.ones((3, 2, 3, 5), np.float32),
            {"eta": (np.ones(2), True, False)},
            "scalar eta must be finite, one number",
        ),
        (np.ones((3, 2, 3, 5), np.float32), {"eta": (np.inf, False, False)}, "scalar eta must be finite, one number"),
    ],
)
def test_a_foreign_well_file_that_is_wrong_is_refused_by_name(tmp_path, values, scalars, fault):
    foreign(tmp_path / "a.h5", values, np.array([0.1, 0.2, 0.4]), **scalars)
    with pytest.raises(UnreadableData, match=rf"a\.h5: .*{fault}"):
        read(tmp_path / "a.h5", "well", split={})


def test_foreign_hdf5_and_empty_folders_are_refused_by_name(tmp_path):
    with pytest.raises(UnreadableData, match=r"there are no \.h5 or \.hdf5 files in this folder"):
        read(tmp_path, "well", split={})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(UnreadableData, match=r"a\.h5: is HDF5, but not in The Well's layout"):
        read(tmp_path, "well", split={})
    with pytest.raises(UnreadableData, match="nowhere: no such file or folder"):
        read(tmp_path / "nowhere", "well")


def suite(path, **params):
    text = ", ".join(f"{name}: {value}" for name, value in ({"path": path, "format": "npz"} | params).items())
    return (
        f"name: files\ndatasets: [{{use: trajectories, params: {{{text}}}}}]\nsimulators: [{{use: coin}}]\n"
        "metrics: [length]\nbudget: {transitions: 1}\n"
    )


def keys(write_suite, registry, path, **params):
    plan = make_plan(read_suite(write_suite(suite(path, **params)), registry), registry)
    return {split: key.digest for split, key in plan.data["trajectories"].keys.items()}


def test_a_key_holds_what_the_files_hold_and_not_where_they_lie(write_suite, registry, written, tmp_path):
    before = keys(write_suite, registry, written["npz"])
    moved = shutil.copytree(written["npz"], tmp_path / "elsewhere")
    assert keys(write_suite, registry, moved) == before
    (tmp_path / "link").symlink_to(moved)
    assert keys(write_suite, registry, tmp_path / "link") == before
    (moved / ".hidden").write_text("not data")
    assert keys(write_suite, registry, moved) == before
    content = bytearray((moved / "val.npz").read_bytes())
    content[100] ^= 1
    (moved / "val.npz").write_bytes(content)
    changed = keys(write_suite, registry, moved)
    assert all(changed[split] != before[split] for split in SPLITS)


def test_a_key_holds_how_the_files_are_read(write_suite, registry, written):
    train = written["npz"] / "train.npz"
    before = keys(write_suite, registry, train, split="{seed: 0}")
    assert keys(write_suite, registry, train, split="{val: 0.1}") == before
    for params in ({"split": "{seed: 1}"}, {"split": "{}", "limit": 3}, {"split": "{}", "format": "well"}):
        assert not set(keys(write_suite, registry, train, **params).values()) & set(before.values())
    well = written["well"]
    plain = keys(write_suite, registry, well, format="well")
    assert keys(write_suite, registry, well, format="well", options="{lattice: square}") == plain
    assert keys(write_suite, registry, well, format="well", options="{lattice: hexagonal}") != plain


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"path": "nowhere"}, "dataset 'trajectories': nowhere: no such file or folder"),
        ({"format": "wel"}, "no format 'wel'; did you mean 'well'?"),
        ({"options": "{margin: 3}"}, "dataset 'trajectories': format 'npz': margin: Extra inputs are not permitted"),
    ],
)
def test_a_suite_that_names_no_data_is_refused_while_planning(write_suite, registry, written, params, fault):
    with pytest.raises((UnreadableData, LookupError), match=f"^{fault.replace('?', '.')}"):
        keys(write_suite, registry, **{"path": written["npz"]} | params)


def test_a_third_partys_format_is_listed_and_its_code_is_in_the_key(write_suite, registry, written):
    class Foreign:
        @nsbench.hookimpl
        def nsbench_formats(self):
            return [FormatSpec("foreign", "toy:Coin"), FormatSpec("other", "toy_nowhere:Gone")]

    plugin = Plugin("foreign", "foreign 1.0", "toy")
    fresh = type(registry)()
    fresh.register(plugin, Foreign())
    assert plugin.error == ""
    assert fresh.names("format") == ["cgne", "foreign", "npz", "other", "well"]
    plan = keys(write_suite, with_toy(fresh), written["npz"], format="foreign")
    assert not set(plan.values()) & set(keys(write_suite, registry, written["npz"]).values())
    with pytest.raises(CannotExport, match="format 'foreign' is only read, nothing writes it"):
        find_writer(fresh, "foreign")


def test_a_format_whose_writer_is_no_target_is_named(registry):
    class Wrong:
        @nsbench.hookimpl
        def nsbench_formats(self):
            return [FormatSpec("wrong", "toy:Coin", writer="toy.write")]

    plugin = Plugin("wrong", "wrong 1.0", "wrong")
    type(registry)([]).register(plugin, Wrong())
    assert plugin.error == "nsbench_formats: writer of 'wrong' is 'toy.write', which is not \"module:name\""


def with_toy(registry):
    from conftest import TOY

    registry.register(Plugin("toy", "toy", "toy"), TOY.load())
    return registry
