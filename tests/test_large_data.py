"""Data that memory would not hold: read where they lie, in pieces, hashed once, never copied; to the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from nsbench.store import contents
from nsbench.trajectories import stored
from nsbench.trajectories.stored import Place, StoredFields
from wells import write_splits

TESTS = Path(__file__).parent

SUITE = """\
name: large
datasets: [{{use: trajectories, as: fields, params: {{path: {path}, format: well}}}}]
simulators: [{{use: drift}}]
metrics: [crps, energy_score]
protocol: {{stride: 1, horizon: 16, members: 2, batch: 4}}
budget: {{transitions: 10}}
compute: {{threads: 1}}
"""


PROGRAM = """\
import resource, sys
from nsbench.trajectories import hdf5, stored
from nsbench.stages import parts
if sys.argv[1] != "None":
    stored.LARGE_BYTES = parts.LARGE_BYTES = int(sys.argv[1])
    hdf5.read_trajectories.__defaults__ = (None, int(sys.argv[1]))
del sys.argv[1]
from nsbench.commands.main import main
try:
    main()
finally:
    print("MB", max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024)
"""


def nsbench_in(folder: Path, limit: int | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, in which fields of more than `limit` bytes stay in their files.

    Its last line is the largest resident size of a process of it.
    """
    command = [sys.executable, "-P", "-c", PROGRAM, str(limit), *arguments, "--plugin", str(TESTS / "drift.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def megabytes(done: subprocess.CompletedProcess[str]) -> int:
    return int(done.stdout.rsplit("MB", 1)[1])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Fields in two files, and the array that they are."""
    folder, rng = tmp_path_factory.mktemp("fields"), np.random.default_rng(0)
    whole = rng.standard_normal((7, 6, 2, 3, 4), np.float32)
    with h5py.File(folder / "one.h5", "w") as file:
        file["values"] = whole[:4]
    with h5py.File(folder / "other.h5", "w") as file:
        file["u"], file["v"] = whole[4:, :, 0], whole[4:, :, 1]
    one = StoredFields.of(Place(folder / "one.h5", ("values",)), np.arange(4), 6, (2, 3, 4))
    other = StoredFields.of(Place(folder / "other.h5", ("u", "v")), np.arange(3), 6, (2, 3, 4))
    return StoredFields.joined([one, other]), whole


class TestFields:
    """Fields in files against the array that they are."""

    INDICES = (
        0, -1, slice(None), slice(1, 6, 2), slice(5, 0, -2), np.array([3, 3, 0]), [6, 1], np.arange(7) > 3,
        (2, 3), (slice(None), 0), (slice(None), -1), (slice(2, 5), slice(1, 6, 2)), (0, slice(None), 1),
        (slice(None), slice(None), 0, 1), (np.array([0, 6, 6]), np.array([5, 0, 5])), ([1, 4], [2, 2], 1),
        (slice(0, 0), slice(None)), (slice(None), slice(4, 1, -1)),
    )  # fmt: skip

    @pytest.mark.parametrize("index", INDICES, ids=str)
    def test_an_index_takes_what_it_takes_of_an_array(self, pair, index):
        fields, whole = pair
        np.testing.assert_array_equal(fields[index], whole[index])

    def test_they_have_the_size_and_the_numbers_of_the_array(self, pair):
        fields, whole = pair
        assert (fields.shape, fields.dtype, fields.nbytes, len(fields)) == (whole.shape, whole.dtype, whole.nbytes, 7)
        np.testing.assert_array_equal(np.asarray(fields), whole)
        np.testing.assert_array_equal(np.concatenate(list(stored.in_pieces(fields, 500))), whole)

    def test_selections_and_cuts_follow_each_other(self, pair):
        fields, whole = pair
        chosen = fields.select(np.array([6, 0, 5])).cut(slice(0, 5, 2)).select(slice(1, None))
        np.testing.assert_array_equal(np.asarray(chosen), whole[[0, 5], :5:2])
        longer = StoredFields.joined([chosen, fields.select(slice(2, 3))])
        np.testing.assert_array_equal(longer[0, -1], whole[0, 4])  # a shorter one stays in its last frame
        np.testing.assert_array_equal(longer[2], whole[2])

    def test_numbers_that_are_not_finite_are_never_handed_out(self, tmp_path):
        with h5py.File(tmp_path / "f.h5", "w") as file:
            file["values"] = np.array([0, np.nan, 0], np.float32).reshape(3, 1, 1, 1, 1)
        fields = StoredFields.of(Place(tmp_path / "f.h5", ("values",)), np.arange(3), 1, (1, 1, 1))
        assert fields[0].sum() == fields[2].sum() == 0
        with pytest.raises(stored.UnreadableFields, match=r"f\.h5: trajectory 1: channel 0 is not finite"):
            fields[:]

    def test_a_file_that_is_gone_is_named(self, tmp_path):
        fields = StoredFields.of(Place(tmp_path / "gone.h5", ("values",)), np.arange(3), 1, (1, 1, 1))
        with pytest.raises(stored.UnreadableFields, match=r"gone\.h5: No such file"):
            fields[0]


class TestDigests:
    """What is remembered of files, and what is not."""

    @pytest.fixture(autouse=True)
    def memory(self, tmp_path, monkeypatch):
        monkeypatch.setattr(contents, "_memory", contents._Memory())
        contents.remember_in(tmp_path / "remembered")

    @pytest.fixture
    def reads(self, monkeypatch):
        """The paths of the files that were read, in order."""
        paths, read = [], contents._read
        monkeypatch.setattr(contents, "_read", lambda path: paths.append(path.name) or read(path))
        return paths

    @pytest.fixture
    def old(self, tmp_path, monkeypatch):
        """A file that has been as it is for a while."""
        path = tmp_path / "data" / "a.h5"
        path.parent.mkdir()
        path.write_bytes(b"one")
        monkeypatch.setattr(contents, "_SETTLED_NS", 0)
        time.sleep(0.05)
        return path

    def another_process(self, tmp_path):
        contents._memory.known = {}

    def test_a_file_is_read_once_for_all_processes(self, old, reads, tmp_path):
        for _ in range(3):
            assert contents.digests([old]) == ["7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"]
            self.another_process(tmp_path)
        assert reads == ["a.h5"]

    @pytest.mark.parametrize("change", ["size", "content", "times set back", "replaced"])
    def test_a_file_that_changes_is_read_again(self, old, reads, tmp_path, change):
        before, times = contents.digests([old]), (old.stat().st_atime_ns, old.stat().st_mtime_ns)
        if change == "replaced":
            (tmp_path / "other").write_bytes(b"two")
            (tmp_path / "other").replace(old)
        else:
            old.write_bytes(b"three" if change == "size" else b"two")
        if change != "size":
            os.utime(old, ns=times)
        time.sleep(0.05)
        self.another_process(tmp_path)
        assert contents.digests([old]) != before
        assert reads == ["a.h5", "a.h5"]

    def test_a_file_that_was_changed_just_now_is_not_trusted(self, tmp_path, reads):
        path = tmp_path / "young.h5"
        path.write_bytes(b"one")
        contents.digests([path])
        contents.digests([path])
        assert reads == ["young.h5", "young.h5"]

    @pytest.mark.parametrize("damage", [b"", b"[]", b'{"a.h5": 1}', b'{"a.h5": [1, 2]}', b"\xff"])
    def test_a_damaged_memory_costs_a_reading_and_no_more(self, old, reads, tmp_path, damage):
        right = contents.digests([old])
        for file in (tmp_path / "remembered").iterdir():
            file.write_bytes(damage)
        self.another_process(tmp_path)
        assert contents.digests([old]) == right
        assert reads == ["a.h5", "a.h5"]

    def test_where_nothing_can_be_written_files_are_read_each_time(self, old, reads, tmp_path):
        (tmp_path / "file").touch()
        contents.remember_in(tmp_path / "file" / "no folder")
        contents.digests([old])
        self.another_process(tmp_path)
        assert contents.digests([old])
        assert reads == ["a.h5", "a.h5"]

    def test_reading_again_can_be_asked_for(self, old, reads, tmp_path):
        contents.digests([old])
        contents.read_again()
        contents.digests([old])
        contents.digests([old])
        assert reads == ["a.h5", "a.h5"]


def scores(folder: Path) -> dict[str, dict]:
    rows = [json.loads(line) for line in (folder / "runs/large/results.jsonl").read_text().splitlines()]
    assert {row["status"] for row in rows} == {"ok"}, rows
    keep = ("value", "interval", "floor", "climatology", "persistence", "extras")
    return {score["metric"]: {name: score.get(name) for name in keep} for score in rows[-1]["scores"]}


def stored_files(folder: Path, pattern: str) -> list[Path]:
    return sorted((folder / "store").rglob(pattern))


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    """A run whose fields stay in their files, and one whose fields are arrays; of 7 MB."""
    root = tmp_path_factory.mktemp("both")
    write_splits(root / "data", 6, 4, 17, 32)
    (root / "suite.yaml").write_text(SUITE.format(path=root / "data"))
    for name, limit in {"lazy": 20_000, "eager": 1 << 40}.items():
        nsbench_in(root, limit, "run", "suite.yaml", "--executor", "inline", "--no-tracking", "--workspace", name)
    return root


@pytest.mark.slow
def test_fields_that_stay_in_their_files_give_the_same_table_to_the_last_bit(both_ways):
    assert scores(both_ways / "lazy") == scores(both_ways / "eager")


def test_they_are_not_copied_into_the_store(both_ways):
    copied, referred = (stored_files(both_ways / name, "data/*/trajectories.h5") for name in ("eager", "lazy"))
    assert len(copied) == len(referred) == 3
    assert min(path.stat().st_size for path in copied) > 200_000
    assert max(path.stat().st_size for path in referred) < 20_000


def test_rollouts_are_the_same_whether_written_as_they_come_or_at_the_end(both_ways):
    """Those of the simulator and of three null models."""
    lazy, eager = (stored_files(both_ways / name, "evidence/*/rollouts.h5") for name in ("lazy", "eager"))
    assert [path.parent.name for path in lazy] == [path.parent.name for path in eager]
    shapes = []
    for one_path, other_path in zip(lazy, eager, strict=True):
        with h5py.File(one_path) as one, h5py.File(other_path) as other:
            shapes.append(one["values"].shape)
            np.testing.assert_array_equal(one["values"], other["values"])
    assert sorted(shapes) == [(8, 1, 2, 32, 32), *[(8, 17, 2, 32, 32)] * 3]


def test_data_that_moved_are_found_by_their_content(both_ways, tmp_path):
    (both_ways / "data").rename(tmp_path / "elsewhere")
    try:
        (tmp_path / "suite.yaml").write_text(
            SUITE.format(path=tmp_path / "elsewhere").replace("crps, ", "crps, ssim, ")
        )
        command = ("run", str(tmp_path / "suite.yaml"), "--executor", "inline", "--no-tracking", "--workspace", "lazy")
        nsbench_in(both_ways, 20_000, *command)
        assert len(stored_files(both_ways / "lazy", "data/*/trajectories.h5")) == 3
        assert scores(both_ways / "lazy")["crps"] == scores(both_ways / "eager")["crps"]
    finally:
        (tmp_path / "elsewhere").rename(both_ways / "data")


@pytest.mark.slow
def test_four_gigabytes_are_planned_again_in_two_seconds_and_run_in_bounded_memory(tmp_path):
    """Bound: 1 GB for a process, the libraries included, whatever the data's size."""
    write_splits(tmp_path / "data", 100, 9, 33, 384)  # 3.9, 0.35 and 0.35 GB
    (tmp_path / "suite.yaml").write_text(SUITE.format(path=tmp_path / "data"))
    time.sleep(2.5)
    seconds = []
    for _ in range(2):
        before = time.monotonic()
        nsbench_in(tmp_path, None, "plan", "suite.yaml")
        seconds.append(time.monotonic() - before)
    run = nsbench_in(tmp_path, None, "run", "suite.yaml", "--no-tracking")
    print(f"planned in {seconds[0]:.1f} s, again in {seconds[1]:.1f} s; run in {megabytes(run)} MB")
    assert seconds[1] < 2
    assert megabytes(run) < 1000
    assert sum(path.stat().st_size for path in stored_files(tmp_path / "nsbench-out", "data/*/*")) < 100_000
