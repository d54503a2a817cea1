"""Files of others: whatever they claim, they are read in bounded time and memory, or refused with file and fault.

Every action runs in a child process with limits, so that what hangs or takes all memory fails here, and harms nobody.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import hostile_files as hostile
from conftest import SUITE
from nsbench import foreign_files
from nsbench.outcomes import file as results_file
from nsbench.submissions.reading import read_rollouts
from nsbench.suite.reading import read_suite
from nsbench.suite.yaml import SuiteError
from nsbench.trajectories import foreign_hdf5
from nsbench_formats import contents
from nsbench_formats.npz import Npz
from nsbench_formats.params import WellParams
from nsbench_formats.well import Well
from nsbench_lca.formats import read_cgne
from spent import spent

FRAMES = 10**9


def read_as_rollouts(path):
    read_rollouts(path, hostile.walks(), hostile.PROTOCOL)


def read_as_well(path):
    Well(WellParams()).read(path, np.arange(2))


def read_as_npz(path):
    Npz(None).read(path, np.arange(2))


def refuses(action, path, fault, seconds=10):
    """The action ends with a refusal that names the file and the fault, soon, and in little memory."""
    figures = spent(action, path, seconds=seconds)
    expected = rf"(UnreadableData|SuiteError|UnreadableResults): {re.escape(str(path))}.*({fault})"
    assert re.match(expected, figures.said), figures
    assert figures.seconds < 2
    assert figures.megabytes < 100
    return figures.said


def test_files_of_others_that_are_as_they_should_be_are_read(tmp_path):
    for action, path in (
        (read_as_rollouts, hostile.rollouts(tmp_path / "r.h5")),
        (read_as_well, hostile.well(tmp_path / "w.h5")),
        (read_as_npz, hostile.npz(tmp_path / "n.npz")),
        (read_as_npz, hostile.npz(tmp_path / "stored.npz", zipfile.ZIP_STORED)),
    ):
        assert spent(action, path).said == ""


# What a path leads to


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def unix_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def hole(path):
    hostile.sparse(path, 20 << 30)


KINDS = {"pipe": pipe, "device": device, "socket": unix_socket, "hole": hole}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "action", [read_as_rollouts, read_as_well, read_as_npz, contents.content_digest, results_file.read]
)
def test_what_is_no_file_is_refused_by_its_kind(tmp_path, kind, action):
    path = tmp_path / "data.h5"
    KINDS[kind](path)
    refuses(action, path, "most of it was never written" if kind == "hole" else f"must be a file, is a {kind}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["named", "extended"])
def test_what_is_no_file_is_no_suite(tmp_path, registry, kind, how):
    KINDS[kind](tmp_path / "odd.yaml")
    (tmp_path / "s.yaml").write_text("extends: odd.yaml\n")
    figures = spent(lambda: read_suite(tmp_path / ("s.yaml" if how == "extended" else "odd.yaml"), registry))
    assert re.match(r"SuiteError: .*(must be a file, is a|no such file|most of it was never written)", figures.said)
    assert figures.megabytes < 50


def test_a_large_file_is_no_suite_and_is_not_read_to_its_end(tmp_path, registry):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"# x\n" * (100 << 18))
    figures = spent(lambda: read_suite(path, registry))
    assert "a suite has at most 1,048,576 bytes" in figures.said
    assert figures.megabytes < 20


# Folders of data


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "a.npz").write_text("a")
    return tmp_path / "data"


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_only_files_are_data(folder, kind):
    KINDS[kind](folder / "odd")
    fault = (
        "is a link out of the data's folder" if kind == "device" else f"data are files and folders, this is a {kind}"
    )
    refuses(contents.content_digest, folder, f"/odd: {fault}")


def test_two_links_to_the_folder_itself_are_refused_at_once(folder):
    """As folders, they would be 2^40 paths."""
    for name in ("one", "two"):
        (folder / name).symlink_to(folder)
    refuses(contents.content_digest, folder, "/(one|two): data are files and folders, this is a link to a folder")


def test_a_link_stands_for_a_file_of_the_same_folder_and_for_nothing_else(folder, tmp_path):
    (folder / "b.npz").symlink_to("train/a.npz")
    assert [p.name for p in contents.files_below(folder)] == ["b.npz", "a.npz"]
    (tmp_path / "secret").write_text("not data")
    (folder / "c.npz").symlink_to("../secret")
    refuses(contents.content_digest, folder, f"/c.npz: is a link out of the data's folder, to {tmp_path}/secret")
    (folder / "c.npz").unlink()
    (folder / "c.npz").symlink_to("nowhere")
    refuses(contents.content_digest, folder, "/c.npz: is a link that leads nowhere")


def test_the_path_itself_may_be_a_link(folder, tmp_path):
    (folder / "b.npz").symlink_to("train/a.npz")
    (tmp_path / "link").symlink_to(folder)
    assert contents.content_digest(tmp_path / "link") == contents.content_digest(folder)


def test_a_folder_has_a_limit(folder, monkeypatch):
    monkeypatch.setattr(contents, "MOST_FILES", 20, raising=False)
    for k in range(18):
        (folder / f"{k}.npz").write_text("x")
    contents.content_digest(folder)  # with train and a.npz, 20
    (folder / "more.npz").write_text("x")
    refuses(contents.content_digest, folder, "holds more than 20 files and folders")


# HDF5


def one_chunk(file):
    file.create_dataset("values", (2, 1000, 1, 2, 2), np.float32, chunks=(1, 1, 1, 2, 2))[0, 0] = 1


def unpacked_twice(file):
    """A gzip of a gzip of zeros: 1,032² to one."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((2, 4, 1, 1 << 10, 1 << 10))
    for _ in range(2):
        plan.set_deflate(9)
    space = h5py.h5s.create_simple((2, 4, 1, 1 << 10, 1 << 10))
    h5py.h5d.create(file.id, b"values", h5py.h5t.NATIVE_FLOAT, space, plan)
    file["values"][...] = np.zeros(file["values"].shape, np.float32)


def constant_by_scale_and_offset(file):
    file.create_dataset("values", (2, 4, 1, 1 << 9, 1 << 9), "i4", chunks=(2, 4, 1, 1 << 9, 1 << 9), scaleoffset=True)
    file["values"][...] = 0


def without_values(change):
    def changed(file):
        del file["values"]
        change(file)

    return changed


HDF5 = {
    "frames that were never written": (hostile.replace("values", (2, FRAMES, 1, 2, 2)), "values says 32 GB and holds 0 B"),
    "chunks that were never written": (without_values(one_chunk), "values has 2,000 chunks, of which 1 were written"),
    "a chunk of 3 TB": (
        hostile.replace("values", (2, 4, 1, 2, 2), chunks=(1, 1, 1, 2, 1 << 38), maxshape=(None,) * 5),
        "a chunk of /values asks for 2.2 TB of memory",
    ),
    "a gzip of a gzip": (without_values(unpacked_twice), "values says 33.6 MB and holds"),
    "a filter that packs constants into nothing": (
        without_values(constant_by_scale_and_offset),
        "values is packed by filter 6; nsbench reads gzip, shuffle, fletcher32, lzf, or no packing",
    ),
    "names": (lambda file: [file.create_group(f"g{k}") for k in range(300)], "holds more than 250 groups, datasets and links"),
    "soft links": (
        lambda file: [file.__setitem__(f"g{k}", h5py.SoftLink("/values")) for k in range(300)],
        "holds more than 250 groups, datasets and links",
    ),
    "levels": (lambda file: file.create_group("/".join("g" * 40)), "holds more than 32 groups within each other"),
    "attributes": (
        lambda file: [file["values"].attrs.__setitem__(f"a{k}", k) for k in range(300)],
        "values has 300 attributes, 256 are enough",
    ),
    "an attribute": (
        lambda file: file.attrs.__setitem__("a", np.zeros(1 << 18)),
        r"an attribute of / is larger than 1\.05 MB or 1,024 texts",
    ),
    "texts": (
        lambda file: file.attrs.create("a", ["x"] * 2000, None, h5py.string_dtype()),
        r"an attribute of / is larger than 1\.05 MB or 1,024 texts",
    ),
    "lists of any length": (
        without_values(lambda file: file.create_dataset("values", (2,), h5py.vlen_dtype(np.float32))),
        "values holds texts, lists or references, must hold numbers",
    ),
    "a structure with texts": (
        without_values(lambda file: file.create_dataset("values", (2,), [("a", h5py.string_dtype())])),
        "values holds texts, lists or references, must hold numbers",
    ),
    "another file": (
        without_values(lambda file: file.__setitem__("values", h5py.ExternalLink("/etc/x.h5", "/v"))),
        "values is a link to another file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bomb", HDF5)
@pytest.mark.parametrize("reader", ["rollouts", "well"])
def test_an_hdf5_file_claims_no_more_than_it_holds(tmp_path, monkeypatch, bomb, reader):
    change, fault = HDF5[bomb]
    monkeypatch.setattr(foreign_hdf5, "MOST_ENTRIES", 250, raising=False)
    make, action = {"rollouts": (hostile.rollouts, read_as_rollouts), "well": (hostile.well, read_as_well)}[reader]
    if reader == "well":  # the same datasets, beside the layout's
        path = make(tmp_path / "bomb.h5", lambda file: (file.create_dataset("values", (2,), "f4"), change(file)))
    else:
        path = make(tmp_path / "bomb.h5", change)
    assert path.stat().st_size < 30_000_000
    refuses(action, path, fault)


def test_many_names_of_one_object_cost_no_more_than_the_names(tmp_path):
    def linked(file):
        file["t0_fields/u"].attrs.update({f"a{k}": k for k in range(200)})
        file.create_group("more")
        for k in range(1_000):
            file["more"][str(k)] = file["t0_fields/u"]

    figures = spent(read_as_well, hostile.well(tmp_path / "w.h5", linked))
    assert figures.said == ""
    assert figures.seconds < 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda file: file.attrs.__setitem__("n_trajectories", 10**15), "field u must be float32"),
        (hostile.replace("dimensions/time", (FRAMES,), "i1"), "time says 1 GB and holds 0 B"),
        (hostile.replace("dimensions/x", (FRAMES,), "i1"), "x says 1 GB and holds 0 B"),
        (hostile.filled("scalars/a", (1 << 16,)), "scalar a must be finite, one number or one a trajectory"),
        (lambda file: file.__delitem__("dimensions/x") or file.create_group("dimensions/x"), "is not in the layout"),
        (lambda file: file.__delitem__("dimensions/x") or file.__setitem__("dimensions/x", 3), "lacks what the format needs"),
    ],
)  # fmt: skip
def test_a_size_that_no_field_has_is_believed_nowhere(tmp_path, change, fault):
    refuses(read_as_well, hostile.well(tmp_path / "w.h5", change), fault)


def test_more_frames_than_the_horizon_has_are_refused_before_they_are_read(tmp_path):
    """Thirty kilobytes of file, 32 MB of frames: no more than gzip can do."""
    frames = 1 << 20
    bomb = hostile.filled("values", (2, frames, 1, 2, 2), chunks=(2, 1 << 17, 1, 2, 2), compression=9)
    path = hostile.rollouts(tmp_path / "r.h5", bomb)
    refuses(read_as_rollouts, path, r"must be float32\[2, T, 1, 2, 2\] with T at most 4, is 1,048,576")


def test_data_beyond_this_machines_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign_files, "memory", lambda: 100, raising=False)
    refuses(read_as_rollouts, hostile.rollouts(tmp_path / "r.h5"), "/values asks for 128 B of memory, there are 100 B")
    refuses(read_as_npz, hostile.npz(tmp_path / "n.npz"), "asks for .* of memory, there are 100 B")


PLUGIN = """
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void loaded(void) { fclose(fopen(getenv("MARKER"), "w")); }
"""

READS_A_FILTERED_FILE = """
import sys
from pathlib import Path
import hostile_files as hostile
from nsbench.components.dataset import UnreadableData
from nsbench.submissions.reading import read_rollouts
try:
    read_rollouts(Path(sys.argv[1]), hostile.walks(), hostile.PROTOCOL)
except UnreadableData as error:
    print(error)
import h5py
print(h5py.h5pl.size(), "folders of plugins")
"""


def needs_filter_257(file):
    del file["values"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((2, 4, 1, 2, 2))
    plan.set_filter(257, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((2, 4, 1, 2, 2))
    values = h5py.h5d.create(file.id, b"values", h5py.h5t.NATIVE_FLOAT, space, plan)
    values.write_direct_chunk((0, 0, 0, 0, 0), b"x" * 50, filter_mask=0)


def test_no_code_is_loaded_because_a_file_asks_for_a_filter(tmp_path):
    """HDF5 looks for filters that it lacks in the folders of HDF5_PLUGIN_PATH, and runs what lies there."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    (tmp_path / "plugin.c").write_text(PLUGIN)
    (tmp_path / "plugins").mkdir()
    library = tmp_path / "plugins" / "libplugin.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "plugin.c"], check=True)
    path = hostile.rollouts(tmp_path / "r.h5", needs_filter_257)
    environment = os.environ | {
        "HDF5_PLUGIN_PATH": str(library.parent),
        "MARKER": str(tmp_path / "marker"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    command = [sys.executable, "-c", READS_A_FILTERED_FILE, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not (tmp_path / "marker").exists(), done.stdout
    assert "values is packed by filter 257; nsbench reads gzip, shuffle, fletcher32, lzf" in done.stdout
    assert done.stdout.endswith("0 folders of plugins\n")  # also for names, which HDF5 can pack as well


# npz


NPZ = {
    "an array that is not there": (
        {"values": hostile.header_bytes((10**12,))},
        "values says it is float64.1000000000000., its entry has",
    ),
    "a header of version 2": ({"values": hostile.header_bytes((10**12,), version=(2, 0))}, "values says it is float64"),
    "objects": ({"values": hostile.header_bytes((3,), "|O")}, "values holds Python objects, must hold numbers"),
    "a header that nests": ({"values": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535}, ""),
    "a domain of 10 MB": ({"domain": np.array("x" * 2_500_000)}, "its domain is not one: 2,500,000 characters"),
    "a domain of digits": (
        {"domain": np.array('{"shape": [' + "9" * 900_000 + ", 2]}")},
        "its domain is not one",
    ),
    "a domain that nests": ({"domain": np.array("[" * 900_000)}, "its domain is not one"),
    "a domain of many sites": (
        {"domain": np.array(json.dumps(hostile.DOMAIN.describe() | {"stride": None, "shape": [10**9, 10**9]}))},
        r"values must be .*1000000000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bomb", NPZ)
def test_an_archive_claims_no_more_than_it_holds(tmp_path, bomb):
    changed, fault = NPZ[bomb]
    refuses(read_as_npz, hostile.npz(tmp_path / "n.npz", **changed), fault)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_is_packed_as_numpy_packs(tmp_path, packing):
    zeros = hostile.array_bytes(np.zeros((2, 1 << 16, 1, 2, 2), np.float32))
    refuses(
        read_as_npz, hostile.npz(tmp_path / "n.npz", packing, values=zeros), "says .* bytes and holds|must be stored"
    )


def test_an_entry_that_says_another_size_than_it_holds_is_refused(tmp_path):
    """The directory of the archive says 4 TB."""
    path = hostile.npz(tmp_path / "n.npz", zipfile.ZIP_STORED, values=hostile.header_bytes((10**9,), "<f4"))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"values.npy"))
    content[at + 20 : at + 28] = struct.pack("<II", 4_000_000_128, 4_000_000_128)
    path.write_bytes(content)
    refuses(read_as_npz, path, "values says 4,000,000,128 bytes and holds")


def test_an_archive_of_many_entries_is_refused(tmp_path):
    path = hostile.npz(tmp_path / "n.npz")
    with zipfile.ZipFile(path, "a") as archive:
        for k in range(5000):
            archive.writestr(f"x{k}.npy", b"")
    said = refuses(read_as_npz, path, "must hold domain, lengths, params, values, holds")
    assert len(said) < 1000


# Names

NAME = "a\x1b[2J\u202eb\rc\nd"


def cgne_folder(path, name="flake_0.h5", dataset="flake_final"):
    folder = path / "flake_0123456789"
    folder.mkdir(parents=True)
    with h5py.File(folder / name, "w") as file:
        for k, attribute in enumerate(("alpha", "beta", "gamma", "theta", "kappa", "mu", "rho")):
            file.attrs[attribute] = float(k)
        file["flake_final"] = np.ones((16, 16, 4), np.float32)
        if dataset != "flake_final":
            file[dataset] = np.zeros(2)
    return path


def split_twice(path):
    path.mkdir()
    for name in ("train", f"train.{NAME}.h5"):
        (path / name).write_text("x")
    from nsbench_formats.splits import find_splits

    find_splits(path)


NAMES = {
    "rollouts: a dataset": lambda path: read_as_rollouts(hostile.rollouts(path, lambda file: file.create_group(NAME))),
    "rollouts: an attribute": lambda path: read_as_rollouts(
        hostile.rollouts(path, lambda file: file.create_group("cost").attrs.__setitem__(NAME, 1))
    ),
    "rollouts: the kind": lambda path: read_as_rollouts(
        hostile.rollouts(path, lambda file: file.create_group("likelihood").attrs.__setitem__("kind", NAME))
    ),
    "rollouts: the cases": lambda path: read_as_rollouts(
        hostile.rollouts(path, lambda file: file.attrs.__setitem__("cases", NAME))
    ),
    "rollouts: a link": lambda path: read_as_rollouts(
        hostile.rollouts(path, lambda file: file.__setitem__(NAME, h5py.ExternalLink(NAME, NAME)))
    ),
    "well: a field": lambda path: read_as_well(
        hostile.well(path, lambda file: file["t1_fields"].attrs.__setitem__("field_names", [NAME]))
    ),
    "well: a scalar": lambda path: read_as_well(
        hostile.well(path, lambda file: file["scalars"].attrs.__setitem__("field_names", [NAME]))
    ),
    "well: a dataset": lambda path: read_as_well(
        hostile.well(path, lambda file: file.create_dataset(NAME, (FRAMES,), np.float64))
    ),
    "npz: an array": lambda path: read_as_npz(hostile.npz(path, **{NAME: np.zeros(2)})),
    "npz: a domain": lambda path: read_as_npz(hostile.npz(path, domain=np.array('{"lattice": "' + NAME))),
    "cgne: a dataset": lambda path: read_cgne(cgne_folder(path, dataset=NAME), stop_margin=5),
    "cgne: a file": lambda path: read_cgne(cgne_folder(path, name=f"{NAME}.h5")),
    "a file in a folder": lambda path: (path.mkdir(), pipe(path / NAME), contents.content_digest(path)),
    "a split": split_twice,
}


@pytest.mark.parametrize("where", NAMES)
def test_a_name_in_a_file_cannot_command_a_terminal(tmp_path, where):
    said = spent(NAMES[where], tmp_path / "data").said
    assert said.startswith(f"UnreadableData: {tmp_path}/data")
    assert said.isprintable()
    assert r"\x1b[2J\u202eb" in said or where == "npz: a domain"


# results


def test_a_line_without_end_is_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(results_file, "MAX_ROW_BYTES", 1 << 16, raising=False)
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"x" * (150 << 20))
    figures = spent(results_file.read, path)
    assert figures.said.startswith(f"UnreadableResults: {path}:1: not a result")
    assert figures.megabytes < 50


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"trial": ' + b"[" * 100_000, b'{"trial": "x", "replicate": 1}'])
def test_a_line_that_is_no_row_is_said_to_be_none(tmp_path, line):
    path = tmp_path / "results.jsonl"
    path.write_bytes(line + b"\n")
    refuses(results_file.read, path, ":1: not a result")


# suites


def test_many_faults_are_told_as_the_first_ones_and_that_there_are_more(write_suite, registry):
    with pytest.raises(SuiteError) as caught:
        read_suite(write_suite(SUITE + "".join(f"key{k}: 1\n" for k in range(500))), registry)
    lines = str(caught.value).splitlines()
    assert len(lines) == 51
    assert re.search(r"suite\.yaml:10: key0: unknown key; known: ", lines[0])
    assert lines[-1].endswith("there are more faults; mend these first")


def test_what_is_extended_counts_as_if_it_were_written_out(write_suite, registry, monkeypatch):
    monkeypatch.setattr("nsbench.suite.yaml.MAX_VALUES", 500)  # 50,000 take seconds
    for k in range(4):
        write_suite(f"extends: s{k + 1}.yaml\n" + "".join(f"k{k}_{i}: 1\n" for i in range(200)), name=f"s{k}.yaml")
    with pytest.raises(SuiteError, match=r"s2\.yaml:\d+: .*more than 50,000 values, .*what is extended"):
        read_suite(write_suite(SUITE, name="s4.yaml").parent / "s0.yaml", registry)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{use: learner, grid: {rho: %s}}", "too many combinations: a suite has at most 10,000 trials"),
        ("{use: learner, params: {x: %s}, grid: {a: [%s], b: [%s]}}", "more than 500,000 values, multiplied out"),
    ],
)
def test_a_grid_is_counted_before_it_is_built(write_suite, registry, text, fault):
    ones = ", ".join(["1"] * 6000)
    text = text.replace("%s", f"[{ones}]", 1).replace("[%s]", "[" + ", ".join(["1"] * 60) + "]")
    path = write_suite(SUITE.replace("{use: learner}", text).replace("datasets:\n", "replicates: 2\ndatasets:\n"))
    figures = spent(lambda: read_suite(path, registry))
    assert fault in figures.said
    assert figures.megabytes < 100


@pytest.mark.parametrize("where", [".".join("a" * 20_000), "a[0]" * 20_000])
def test_a_setting_is_no_deeper_than_a_suite(write_suite, registry, where):
    with pytest.raises(SuiteError, match="must be path=value"):
        read_suite(write_suite(), registry, [f"{where}=1"])
