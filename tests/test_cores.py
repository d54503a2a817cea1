"""The cores that a process may use are those of its container, not those of its machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nsbench.commands import plan as command_plan
from nsbench.running import local, side_by_side
from nsbench.running.workers import memory
from nsbench.store import cores as module
from nsbench.store import environment
from nsbench.store.cgroups import folders
from nsbench.store.cores import Cores, usable_cores
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

V2 = "31 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"
)
TIGHT = "50000 100000"


def tree(root, group, mounts, files):
    """A file system: what the kernel says of this process's groups and mounts, and files below /sys/fs/cgroup."""
    texts = {"proc/self/cgroup": group, "proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda rw\n" + mounts}
    texts |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def quota(number):
    return Cores(number, "cgroup quota")


@pytest.mark.parametrize(
    ("group", "mounts", "files", "number"),
    [
        # version 2: a namespace in which the container's group is all there is (docker run --cpus 2)
        ("0::/\n", V2, {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", V2, {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", V2, {"cpu.max": "1000 100000\n"}, 1),
        # the host's hierarchy: the smallest of the own group and those around it, however deep
        ("0::/user.slice/a/b\n", V2, {"user.slice/cpu.max": "300000 100000", "user.slice/a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", V2, {"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 50000", "c/cpu.max": TIGHT}, 3),
        ("0::/a/b\n", V2, {"a/cpu.max": "600000 100000", "a/b/cpu.max": "200000 50000", "a/c/cpu.max": TIGHT}, 4),
        # a part of the host's hierarchy, under the host's names and in a place with a space
        ("0::/docker/1f/x\n", "9 1 0:26 /docker/1f /cg\\040roup rw - cgroup2 none rw\n", {"../../../cg roup/x/cpu.max": "200000 100000"}, 2),
        ("0::/docker/1f\n", V2, {"cpu.max": "500000 100000"}, 5),  # the part's names are not seen
        ("0::/../other\n", V2, {"cpu.max": "500000 100000", "other/cpu.max": TIGHT}, 5),  # outside of the namespace
        # version 1
        ("4:cpu,cpuacct:/\n3:memory:/x\n", V1.format(top="/"), {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 3),
        ("4:cpu,cpuacct:/docker/1f\n", V1.format(top="/docker/1f"), {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu,cpuacct:/slurm/job_1/step_0\n", V1.format(top="/"), {"cpu,cpuacct/slurm/job_1/cpu.cfs_quota_us": "600000", "cpu,cpuacct/slurm/job_1/cpu.cfs_period_us": "100000", "cpu,cpuacct/slurm/job_1/step_0/cpu.cfs_quota_us": "-1", "cpu,cpuacct/slurm/job_1/step_0/cpu.cfs_period_us": "100000"}, 6),
        # both at once: a unified hierarchy without controllers beside version 1
        ("4:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/b\n", V1.format(top="/") + "9 31 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "300000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000", "unified/b/cgroup.procs": "1"}, 3),
    ],
)  # fmt: skip
def test_a_quota_of_any_group_around_this_process_counts(tmp_path, group, mounts, files, number):
    assert usable_cores(tree(tmp_path, group, mounts, files), {}, seen=8, machine=8) == quota(number)


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "max 100000"},
        {"cpu.max": ""},
        {"cpu.max": "max"},
        {"cpu.max": "200000"},
        {"cpu.max": "200000 0"},
        {"cpu.max": "-1 100000"},
        {"cpu.max": "200000 -100000"},
        {"cpu.max": "two cores"},
        {"cpu.max": b"\xff\xfe 1"},
        {"cpu.max": "9" * 5000 + " 1"},
        {"cpu.max": "9" * 400 + " 1"},
        {"cpu.max/folder": "1 1"},
        {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
        {"cpu.cfs_quota_us": "100000"},
    ],
)
def test_a_quota_that_is_none_or_makes_no_sense_limits_nothing(tmp_path, files):
    assert usable_cores(tree(tmp_path, "0::/\n", V2, files), {}, 8, 8) == Cores(8, "all that this machine has")


@pytest.mark.parametrize("group", ["", "\n", "0", "0::", "nonsense", "0:::::/\n", "0::relative\n", b"\xff\xfe::/\n"])
@pytest.mark.parametrize("mounts", ["", "\n", " - \n", "1 2 3\n", "1 2 3 4 5 6 - cgroup2\n", "9 1 0:26 x y rw - cgroup2 c rw", b"\xff - \xfe\n"])  # fmt: skip
def test_files_of_the_kernel_that_make_no_sense_limit_nothing(tmp_path, group, mounts):
    root = tree(tmp_path, group, "", {})
    (root / "proc/self/mountinfo").write_bytes(mounts if isinstance(mounts, bytes) else mounts.encode())
    assert usable_cores(root, {}, 8, 8).number == 8


def test_without_the_kernels_files_there_is_what_the_affinity_says(tmp_path):
    assert usable_cores(tmp_path, {}, 3, 8) == Cores(3, "affinity")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "16"}, Cores(4, "SLURM_CPUS_PER_TASK")),
        ({"SLURM_CPUS_ON_NODE": "16"}, Cores(16, "SLURM_CPUS_ON_NODE")),
        ({"SLURM_CPUS_PER_TASK": "64"}, Cores(32, "all that this machine has")),
        ({"SLURM_CPUS_PER_TASK": "0", "SLURM_CPUS_ON_NODE": "x"}, Cores(32, "all that this machine has")),
    ],
)
def test_slurms_share_counts_where_it_binds_nobody_to_it(tmp_path, variables, expected):
    assert usable_cores(tmp_path, variables, 32, 32) == expected


def test_the_smallest_limit_counts(tmp_path):
    root = tree(tmp_path, "0::/\n", V2, {"cpu.max": "300000 100000"})
    slurm = {"SLURM_CPUS_PER_TASK": "2"}
    assert usable_cores(root, {}, 2, 8) == Cores(2, "affinity")
    assert usable_cores(root, slurm, 8, 8) == Cores(2, "SLURM_CPUS_PER_TASK")
    assert usable_cores(root, {}, 8, 8) == quota(3)


def test_this_process_has_no_more_cores_than_its_affinity():
    assert 1 <= environment.cores() <= module.cores_seen()
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from nsbench.store.environment import cores, default_threads; print(cores(), default_threads())"
    variables = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("group", "mounts", "file"),
    [
        ("3:memory:/docker/1f\n", "33 31 0:30 /docker/1f /sys/fs/cgroup/memory rw - cgroup none rw,memory\n", "memory/memory.oom_control"),
        ("3:memory:/a/b\n", V1.format(top="/"), "memory/a/memory.oom_control"),
        ("0::/docker/1f\n", "9 1 0:26 /docker/1f /sys/fs/cgroup rw - cgroup2 none rw\n", "memory.events"),
    ],
)  # fmt: skip
def test_the_kernels_kills_are_counted_in_the_container_whatever_it_sees_of_the_host(
    tmp_path, monkeypatch, group, mounts, file
):
    root = tree(tmp_path, group, mounts, {file: "oom 9\noom_kill 7\n"})
    monkeypatch.setattr(memory, "folders", lambda controller: folders(controller, root))
    memory._files_with_kills.cache_clear()
    assert memory.kernel_kills() == 7
    memory._files_with_kills.cache_clear()


@pytest.fixture
def two_of_eight(monkeypatch):
    """A container of two cores on a machine of eight."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local, "cores_seen", lambda: 8)
    for place in (local, environment, side_by_side):
        monkeypatch.setattr(place, "cores", lambda: 2)
    monkeypatch.setattr(command_plan, "usable_cores", lambda: quota(2))


@pytest.mark.parametrize(("jobs", "share"), [(1, "2"), (2, "1"), (8, "1")])
def test_workers_start_no_more_threads_than_their_container_has_cores(two_of_eight, jobs, share):
    variables = local.surroundings(0, jobs, max(1, 2 // jobs))
    assert {variables[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")} == {share}


def test_what_the_user_has_set_is_left(two_of_eight, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert local.surroundings(0, 2, 1)["OMP_NUM_THREADS"] == "5"
    assert environment.default_threads() == 5


def test_the_plan_says_how_many_cores_there_are_and_why(two_of_eight, bench, write_suite, registry, monkeypatch):
    def line(*overrides):
        plan = make_plan(read_suite(write_suite(), registry, overrides), registry)
        return str(list(command_plan.explain(Session(plan, registry, bench.workspace)))[-2])

    there = "2 cores (cgroup quota); a run has 1 trial at a time (fits), on "
    assert line() == f"{there}2 threads"
    assert line("compute.threads=4") == f"{there}4 threads, as the suite says"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert line() == f"{there}1 thread, as OMP_NUM_THREADS says"


def test_the_number_of_cores_is_in_no_key(write_suite, registry, two_of_eight, monkeypatch):
    def keys():
        plan = make_plan(read_suite(write_suite(), registry), registry)
        return [artifact.key.digest for trial in plan.trials for artifact in trial.artifacts()]

    before = keys()
    monkeypatch.setattr(environment, "cores", lambda: 64)
    assert keys() == before
