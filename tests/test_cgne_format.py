"""The CGNE authors' layout: what is written is what grew, and what is wrong is refused by name."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from nsbench.components.dataset import UnreadableData
from nsbench_lca import formats
from nsbench_lca.formats import ATTRIBUTES, STEP, Record, folder_name, read_cgne, write_cgne
from nsbench_lca.kernel import LAWS, grow
from nsbench_lca.record import record
from slow_lca import RULES, record_slowly

SIZE = 16
DENSITIES = (0.4, 0.55)


def slow_record(rho):
    grown = record_slowly(rho, SIZE)
    return Record(
        grown["arrival"].astype(np.int32),
        grown["ice"].astype(np.float32),
        grown["steps"].astype(np.int32),
        grown["final"].astype(np.float32),
    )


@pytest.fixture(scope="module")
def records():
    return {rho: slow_record(rho) for rho in DENSITIES}


@pytest.fixture(scope="module")
def written(records, tmp_path_factory):
    root = tmp_path_factory.mktemp("written")
    for rho, crystal in records.items():
        write_cgne(root, RULES | {"rho": rho}, [crystal, crystal])
    return root


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "flakes")


def flake(folder, rho=DENSITIES[0], i=0):
    return folder / folder_name(RULES | {"rho": rho}) / f"flake_{i}.h5"


def test_growth_maps_come_back_to_the_last_bit(written, records):
    read = read_cgne(written, sigma=0)
    low, high = (records[rho].arrival for rho in DENSITIES)
    by_density = {rho: read.arrival[read.params[:, LAWS.index("rho")] == rho] for rho in DENSITIES}
    np.testing.assert_array_equal(by_density[DENSITIES[0]], [low, low])
    np.testing.assert_array_equal(by_density[DENSITIES[1]], [high, high])
    assert [p.name for p in read.domain.parameters] == list(LAWS)
    assert (read.domain.parameters[6].low, read.domain.parameters[6].high) == DENSITIES
    assert read.domain.clock == "event"
    np.testing.assert_array_equal(read.lengths, read.arrival.max(axis=(1, 2)) + 1)


def test_a_file_holds_what_the_layout_says(written, records):
    crystal = records[DENSITIES[0]]
    with h5py.File(flake(written)) as file:
        assert dict(file.attrs) == RULES | {"rho": DENSITIES[0]}
        assert {*file} == {"flake_final"} | {f"step_{step - 1}" for step in crystal.steps}
        for ice, step in zip(crystal.ice, crystal.steps, strict=True):
            dataset = file[f"step_{step - 1}"]
            assert (dataset.dtype, dataset.attrs["step"]) == (STEP, step - 1)
            np.testing.assert_array_equal(dataset["ice"], ice)
            np.testing.assert_array_equal(dataset["attachment"], (crystal.arrival >= 0) & (crystal.arrival <= step))
        np.testing.assert_array_equal(file["flake_final"], crystal.final)


def test_the_name_of_a_folder_is_the_digest_of_its_parameters():
    """sha256sum of 0.14-1.1-7e-05-0.0085-0.007-0.048-0.4 begins so."""
    assert folder_name(RULES | {"rho": 0.4}) == "flake_b86acdaee4"


def test_files_are_in_the_order_of_their_numbers(records, tmp_path):
    order = [0.55, 0.4, 0.55, 0.4]
    for i, rho in enumerate(order):
        write_cgne(tmp_path, RULES | {"rho": rho}, [records[rho]], first=i + 8)  # 10 comes after 9
    assert read_cgne(tmp_path).params[:, 6].tolist() == order


@pytest.mark.parametrize("rho", DENSITIES)
def test_a_record_agrees_with_a_slow_float64_one(rho, records):
    laws = np.array([*RULES.values(), rho, 0.0])
    ours = record(laws, 0, size=SIZE, seed=0, stop_margin=5, max_steps=10_000)
    np.testing.assert_array_equal(ours.arrival, records[rho].arrival)
    np.testing.assert_array_equal(ours.steps, records[rho].steps)
    np.testing.assert_allclose(ours.ice, records[rho].ice, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(ours.final, records[rho].final, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "sigma"), [(16, 0.01), (24, 0), (32, 0.01), (66, 5e-5)])
def test_a_crystal_grows_again_as_the_kernel_grew_it(size, sigma):
    rho = np.array([0.6, 0.42, 0.63])
    grown = grow(rho, size=size, sigma=sigma, seed=11)
    for position in (0, 2):
        laws = np.array([*RULES.values(), rho[position], sigma])
        again = record(laws, position, size=size, seed=11, stop_margin=5, max_steps=10_000)
        np.testing.assert_array_equal(again.arrival, grown.arrival[position])


def test_growth_that_never_ends_is_recorded_up_to_the_last_step():
    laws = np.array([*RULES.values(), 0.5, 0.01])
    ours = record(laws, 0, size=SIZE, seed=3, stop_margin=5, max_steps=40)
    grown = grow([0.5], size=SIZE, sigma=0.01, seed=3, max_steps=40)
    np.testing.assert_array_equal(ours.arrival, grown.arrival[0])
    assert len(ours.ice) == len(ours.steps) == len(np.unique(ours.arrival[ours.arrival > 0]))


def last_step(file):
    return max((name for name in file if name != "flake_final"), key=lambda name: int(name[5:]))


def rewrite(file, name, array, **attributes):
    kept = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=array).attrs.update(kept | attributes)


def first_step(file):
    return min((name for name in file if name != "flake_final"), key=lambda name: int(name[5:]))


def shrink(file):
    state = file[last_step(file)][()]
    state["attachment"][0, 1] = False
    rewrite(file, last_step(file), state)


def no_seed(file):
    state = file[first_step(file)][()]
    state["attachment"][0, 0] = False
    rewrite(file, first_step(file), state)


def nothing_new(file):
    name = last_step(file)
    s = int(name[5:]) + 1
    file.create_dataset(f"step_{s}", data=file[name][()]).attrs["step"] = s


def grown_on(file):
    name = last_step(file)
    s = int(name[5:]) + 1
    state = file[name][()]
    state["attachment"][SIZE - 4, SIZE - 4] = True
    file.create_dataset(f"step_{s}", data=state).attrs["step"] = s


def misnumbered(file):
    file[last_step(file)].attrs["step"] = 0


def unnumbered(file):
    del file[last_step(file)].attrs["step"]


def wrong_dtype(file):
    name = last_step(file)
    rewrite(file, name, file[name]["attachment"].astype(np.float32))


def wrong_shape(file):
    name = last_step(file)
    rewrite(file, name, file[name][:-1])


def ice_not_finite(file):
    state = file[last_step(file)][()]
    state["ice"][0, 0] = np.nan
    rewrite(file, last_step(file), state)


def contradictory_final(file):
    final = file["flake_final"][()]
    final[SIZE - 2, SIZE - 2, 0] = 1
    rewrite(file, "flake_final", final)


def shrunken_final(file):
    final = file["flake_final"][()]
    final[0, 1, 0] = 0
    rewrite(file, "flake_final", final)


def half_attached(file):
    final = file["flake_final"][()]
    final[0, 1, 0] = 0.5
    rewrite(file, "flake_final", final)


def float64_final(file):
    rewrite(file, "flake_final", file["flake_final"][()].astype(np.float64))


def no_final(file):
    del file["flake_final"]


def no_attribute(file):
    del file.attrs["kappa"]


def infinite_attribute(file):
    file.attrs["kappa"] = np.inf


def text_attribute(file):
    file.attrs["kappa"] = "seven"


def other_set(file):
    file.attrs["beta"] = 1.2


def foreign_dataset(file):
    file["velocity"] = np.zeros(3)


def test_a_link_to_another_file_is_refused_and_not_followed(folder):
    with h5py.File(flake(folder), "a") as file:
        del file["flake_final"]
        file["flake_final"] = h5py.ExternalLink("/nowhere/else.h5", "/flake_final")
    with pytest.raises(UnreadableData, match="another file"):
        read_cgne(folder)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (shrink, "the crystal shrinks"),
        (no_seed, r"the seed at \(0, 0\) is not attached"),
        (nothing_new, r"step_\d+: nothing attaches"),
        (grown_on, r"step_\d+: grows on after row 11 was reached; is the stop margin 5\?"),
        (misnumbered, "its attribute step is 0"),
        (unnumbered, "lacks the attribute step"),
        (wrong_dtype, r"must be \[\('ice', float32\), \('attachment', bool\)\]\[16, 16\], got float32\[16, 16\]"),
        (wrong_shape, r"got .*\[15, 16\]"),
        (ice_not_finite, "ice is not finite"),
        (contradictory_final, "flake_final: 1 sites are attached that no step has"),
        (shrunken_final, "flake_final: the crystal shrinks"),
        (half_attached, "attachment must be 0 or 1"),
        (float64_final, r"flake_final must be float32\[N, N, 4\], got float64\[16, 16, 4\]"),
        (no_final, "lacks the dataset flake_final"),
        (no_attribute, "lacks the attributes kappa"),
        (infinite_attribute, "attribute kappa must be a finite number"),
        (text_attribute, "attribute kappa must be a finite number"),
        (
            other_set,
            r"a second parameter set in one folder: beta is 1\.2\d* here and 1\.1\d* in the folder's first file",
        ),
        (foreign_dataset, "holds velocity, which the layout has no place for"),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_a_file_that_contradicts_itself_or_its_folder_is_refused_by_name(folder, damage, fault):
    path = flake(folder, i=1)
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(UnreadableData, match=rf"flake_1\.h5: .*{fault}"):
        read_cgne(folder)


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_file_is_refused_by_name(folder, share):
    content = flake(folder).read_bytes()
    flake(folder).write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableData, match=r"flake_0\.h5: cannot be read"):
        read_cgne(folder)


def test_text_under_the_name_of_a_crystal_is_refused_by_name(folder):
    flake(folder, i=1).write_text("not HDF5\n")
    with pytest.raises(UnreadableData, match=r"flake_1\.h5: cannot be read"):
        read_cgne(folder)


def test_foreign_hdf5_is_refused_by_name(folder):
    with h5py.File(flake(folder), "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(UnreadableData, match=r"flake_0\.h5: lacks the attributes alpha, beta"):
        read_cgne(folder)


def test_files_that_are_not_where_the_layout_has_them_are_refused(folder, tmp_path):
    stray = shutil.copy(flake(folder), folder / "crystal.h5")
    with pytest.raises(UnreadableData, match=r"crystal\.h5: is not where the layout has files"):
        read_cgne(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableData, match="empty: there are no folders flake_"):
        read_cgne(tmp_path / "empty")
    with pytest.raises(UnreadableData, match=r"crystal\.h5: must be a folder"):
        read_cgne(stray)
    with pytest.raises(UnreadableData, match="nowhere: must be a folder"):
        read_cgne(tmp_path / "nowhere")


def test_a_margin_that_no_crystal_reaches_is_refused(folder):
    with pytest.raises(UnreadableData, match="no crystal reaches row or column 14; is stop_margin = 2 right"):
        read_cgne(folder, stop_margin=2)
    with pytest.raises(UnreadableData, match="leave no room for stop_margin = 15"):
        read_cgne(folder, stop_margin=15)


def test_sizes_may_not_be_mixed(folder, records):
    other = record_slowly(0.5, SIZE + 2)
    small = Record(*(other[name].astype(np.float32) for name in ("arrival", "ice", "steps", "final")))
    write_cgne(folder, RULES | {"rho": 0.5}, [small], first=7)
    with pytest.raises(UnreadableData, match=r"flake_7\.h5: 18 × 18 sites, where other files have 16"):
        read_cgne(folder)


def test_a_last_step_that_only_the_final_state_has_is_the_next_one(folder, records):
    """The authors' generator leaves it out for the crystal that a batch waited for."""
    crystal = records[DENSITIES[0]]
    with h5py.File(flake(folder), "a") as file:
        del file[last_step(file)]
    read = read_cgne(folder)
    before, last = crystal.steps[-2], crystal.steps[-1]
    expected = np.where(crystal.arrival == last, before + 1, crystal.arrival)
    own = read.arrival[read.params[:, LAWS.index("rho")] == DENSITIES[0]]
    np.testing.assert_array_equal(own[0], expected)
    np.testing.assert_array_equal(read.framed(1, 999).final(), read_cgne(folder).framed(1, 999).final())


def test_a_crystal_whose_columns_reach_the_margin_first_is_cut_there(tmp_path):
    """The authors' generator looks at rows alone."""
    arrival = np.full((SIZE, SIZE), -1, np.int32)
    arrival[0] = np.append(np.arange(13), [-1] * 3)  # along a row, past column 11
    arrival[:12, 0] = np.arange(12) * 2
    steps = np.unique(arrival[arrival > 0]).astype(np.int32)
    final = np.zeros((SIZE, SIZE, 4), np.float32)
    final[..., 0] = arrival >= 0
    crystal = Record(arrival, np.zeros((len(steps), SIZE, SIZE), np.float32), steps, final)
    write_cgne(tmp_path, RULES | {"rho": 0.5}, [crystal])
    read = read_cgne(tmp_path)
    assert read.lengths.tolist() == [12]
    np.testing.assert_array_equal(read.arrival[0], np.where(arrival > 11, -1, arrival))


def test_one_crystal_at_a_time_is_in_memory(written, monkeypatch):
    opened, most = [], 0

    class Counted(h5py.File):
        def __init__(self, *args, **kwargs):
            nonlocal most
            super().__init__(*args, **kwargs)
            opened.append(self)
            most = max(most, sum(bool(file) for file in opened))

    monkeypatch.setattr(formats.h5py, "File", Counted)
    read_cgne(written)
    assert len(opened) >= 4
    assert most == 1


def test_the_parameters_of_files_are_the_laws_without_the_noise():
    assert (*ATTRIBUTES, "sigma") == LAWS


def test_splits_are_cut_between_folders_and_only_their_own_files_are_read(tmp_path, records):
    import nsbench

    for rho in (0.36, 0.4, 0.5, 0.6):
        write_cgne(tmp_path, RULES | {"rho": rho}, [records[DENSITIES[0]]] * 2)
    params = {"path": str(tmp_path), "format": "cgne", "split": {"val": 0.25, "test": 0.25}}
    dataset = nsbench.load("dataset", "trajectories", **params)
    parts = {split: dataset.prepare(split, np.random.default_rng(0)) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 4, "val": 2, "test": 2}
    assert len(np.unique(parts["test"].params[:, 6])) == len(np.unique(parts["val"].params[:, 6])) == 1
    flake(tmp_path, parts["test"].params[0, 6], 1).write_text("damaged")
    dataset.prepare("train", np.random.default_rng(0))
    with pytest.raises(UnreadableData, match=r"flake_1\.h5: cannot be read"):
        dataset.prepare("test", np.random.default_rng(0))
