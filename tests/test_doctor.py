"""`nsbench doctor`: ten lines of facts, held against where they come from."""

from __future__ import annotations

import os

from click.testing import CliRunner

from nsbench.commands import doctor
from nsbench.commands.main import main
from nsbench.store.cores import Cores
from nsbench.store.workspace import Workspace


def lines(folder):
    return {what: (here, meaning) for what, here, meaning in doctor.examined(Workspace(folder))}


def test_it_says_what_this_machine_has_in_ten_lines(tmp_path):
    found = lines(tmp_path)
    assert len(found) == 10
    assert found["cores"][0].startswith(f"{len(os.sched_getaffinity(0))} (")
    assert found["workspace"] == (str(tmp_path), "results are kept there")
    assert found["MLflow"][0][0].isdigit()
    done = CliRunner().invoke(main, ["doctor", "--workspace", str(tmp_path)])
    assert done.exit_code == 0
    assert all(what in done.output for what in found)
    assert list(tmp_path.iterdir()) == []  # nothing is left of the trial


def test_what_is_slow_or_missing_is_said_with_its_cure(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "usable_cores", lambda: Cores(1, "cgroup quota"))
    monkeypatch.setattr(doctor, "default_threads", lambda: 1)
    monkeypatch.setattr(doctor, "room", lambda threads: (1, "memory"))
    monkeypatch.setattr(doctor, "cpu_flags", lambda: {"avx2"})
    monkeypatch.setattr(doctor, "resolve_precision", lambda wanted, device: "float32")
    monkeypatch.setattr(doctor, "cuda_names", list)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "version", missing)
    found = lines(tmp_path)
    assert found["processor"][0].endswith(", AVX2")
    assert found["cores"] == ("1 (cgroup quota), 1 thread", "trials come one after the other")
    assert found["memory"][1] == "room for 1 trial at a time, not for one a core"
    assert found["bfloat16"] == ("no", "precision: auto is float32: fits are slower")
    assert found["GPU"][0] == "none that torch 2.13.0+cpu can use"
    assert found["Ray"] == ("not installed", "for several machines: the extra [ray]")
    assert found["Chromium"] == ("none", "only browser tests need it")


def missing(distribution):
    if distribution == "torch":
        return "2.13.0+cpu"
    raise doctor.PackageNotFoundError(distribution)


def test_a_place_that_cannot_be_written_ends_with_1(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_writable", lambda folder: False)
    done = CliRunner().invoke(main, ["doctor", "--workspace", str(tmp_path)])
    assert done.exit_code == 1
    assert "cannot be written" in done.output
    assert lines(tmp_path)["workspace"][1] == "no results can be kept: see --workspace"
