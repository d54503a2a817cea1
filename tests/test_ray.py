"""The same suite on a Ray cluster: the table of a run without one, also when a node is lost; and who may join in.

`pytest -m slow tests/test_ray.py`, with `pip install 'nsbench[ray]'`. Each run is a process in a network of its own that
has nothing but the loopback, and an address on it that Ray takes for the machine's; where that cannot be had the tests
are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec

import pytest

from test_chaos import Place, suite_in, undisturbed  # noqa: F401

ADDRESS = "10.77.0.2"
ONE_FIT = re.compile(r"  - .* as: (two|three), .*\n")

LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
"""127.0.0.1, the same as a version 6 address, and ::1, as the kernel's tables have them."""

NETWORK = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
WITH_ADDRESS = (
    f'ip link set lo up && ip addr add {ADDRESS}/32 dev lo && ip route add default dev lo src {ADDRESS} && exec "$@"'
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra 'ray'"),
    pytest.mark.skipif(
        subprocess.run([*NETWORK, "true"], capture_output=True).returncode != 0, reason="needs a network namespace"
    ),
]

PLAN = """
import json, os, sys, tempfile, time
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from nsbench.components.events import CurvePoint, Notice
from nsbench.running import ray as executor
from nsbench.suite.planner import make_plan
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.store.workspace import Workspace

notices = []
registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "dawdler"))])

def session(suite, workspace):
    return Session(make_plan(read_suite(Path(suite), registry), registry), registry, Workspace(Path(workspace)))

def note(event):
    if isinstance(event, Notice):
        notices.append(event.message)
"""

TWO_NODES = (
    PLAN
    + """
suite, workspace, shared, doomed = sys.argv[1], sys.argv[2], sys.argv[3] == "shared", sys.argv[4] == "doomed"

from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
if not shared:
    from nsbench.running.ray_task import Errand

    Errand.sign = lambda self, workspace: Path(tempfile.mkdtemp()) / self.token  # nowhere a node would look

class Watched(executor.RayCluster):
    def _hear(self, message):
        super()._hear(message)
        where.update(self._begun)


where, curves, lost = {}, [], []

def listen(event):
    note(event)
    if isinstance(event, CurvePoint):
        curves.append(event.name)
        if doomed and not lost and where.get(event.trial) == second.node_id[:8]:
            lost.append(time.monotonic())
            cluster.remove_node(second, allow_graceful=False)

before = time.monotonic()
outcome = run(session(suite, workspace), [listen], executor=partial(Watched, address=cluster.address))
print(json.dumps({"code": outcome.exit_code, "notices": notices, "curves": len(curves), "seconds": time.monotonic() - before,
    "errors": [row.error for row in outcome.rows]}))
cluster.shutdown()
"""
)

AGAIN = (
    PLAN
    + """
# Two runs of one suite in a workspace that the nodes do not see. Before the second its scores are removed.
import shutil
from ray.cluster_utils import Cluster
from nsbench.running import ray_task

suite, workspace = sys.argv[1], sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
ray_task.Errand.sign = lambda self, workspace: Path(tempfile.mkdtemp()) / self.token

class Counting(executor.Mailbox):
    def fetch(self, kind, key):
        with open(os.environ["FETCHED"], "a") as file:
            print(kind, key, file=file)
        return super().fetch(kind, key)

executor.Mailbox = Counting
fetched = Path(os.environ["FETCHED"])
counts = []
for _ in range(2):
    fetched.write_text("")
    outcome = run(session(suite, workspace), [note], executor=partial(executor.RayCluster, address=cluster.address))
    counts.append(len(fetched.read_text().splitlines()))
    shutil.rmtree(Path(workspace) / "store" / "score")
kept = sorted(Path(tempfile.gettempdir()).glob("nsbench-*"))
print(json.dumps({"code": outcome.exit_code, "counts": counts, "errors": [row.error for row in outcome.rows],
    "kept": [[path.name, oct(path.stat().st_mode & 0o777), sorted(p.name for p in path.glob("runs/*"))] for path in kept]}))
cluster.shutdown()
"""
)

OWN = (
    PLAN
    + """
# A run on a cluster of its own; in the middle of it others try to join.
import subprocess
from nsbench.running.executor import RunContext
from nsbench.running.stop import Stop

CLIENT = '''
import sys
from ray._raylet import GcsClient
print("nodes:", len(GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10)))
'''

def listening():
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                yield fields[1].rpartition(":")[0]

def joins(address, user=None, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | variables
    command = [sys.executable, "-c", CLIENT, address]
    if user is not None:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    before = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return "nodes: 1" in done.stdout, f"{time.monotonic() - before:.0f} s {done.stderr[-300:]}"

context = RunContext("own", Workspace(Path(sys.argv[1])), registry, note, Stop())
with executor.RayCluster(context):
    import ray
    address = ray.get_runtime_context().gcs_address
    path = os.environ.get("RAY_AUTH_TOKEN_PATH", "")
    token = Path(path).read_text() if path else ""
    said = {
        "address": address,
        "listening": sorted(set(listening())),
        "temp": ray._private.worker._global_node.get_temp_dir_path(),
        "mode": [oct(os.stat(path).st_mode & 0o777), oct(os.stat(os.path.dirname(path)).st_mode & 0o777)] if path else [],
        "without": joins(address, RAY_AUTH_MODE="disabled"),
        "wrong": joins(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64),
        "another": joins(address, 65534, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=path, HOME=os.environ["HOME"]),
        "another, told": joins(address, 65534, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token),
        "with": joins(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token),
    }
print(json.dumps(said | {"notices": notices, "kept": os.environ.get("RAY_AUTH_TOKEN_PATH", ""), "mode after": os.environ["RAY_AUTH_MODE"]}))
"""
)

BESIDE = (
    PLAN
    + """
# Somebody's cluster runs on this machine, and is what Ray would find; then a run that names no cluster.
import signal, subprocess

suite, workspace, found_by = sys.argv[1:]
port = "6399"
start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block"]
environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
theirs = subprocess.Popen(start, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
address = f"10.77.0.2:{port}"
QUESTION = '''
import sys
from ray._raylet import GcsClient
client = GcsClient(address=sys.argv[1])
jobs = client.get_all_job_info(timeout=10)
print("theirs:", len(client.get_all_node_info(timeout=10)), len(jobs))
'''

def ask():
    for _ in range(30):
        asked = subprocess.run([sys.executable, "-c", QUESTION, address], env=environment, capture_output=True, text=True, timeout=60)
        nodes, jobs = asked.stdout.partition("theirs:")[2].split() or ("0", "0")
        if nodes != "0":
            return nodes, jobs
        time.sleep(1)
    raise SystemExit(asked.stderr)

before = ask()
if found_by == "variable":
    os.environ["RAY_ADDRESS"] = address
outcome = run(session(suite, workspace), [note], executor=executor.RayCluster)
print(json.dumps({"code": outcome.exit_code, "before": before, "after": ask(), "alive": theirs.poll() is None,
    "notices": notices, "RAY_ADDRESS": os.environ.get("RAY_ADDRESS"), "errors": [row.error for row in outcome.rows]}))
os.killpg(theirs.pid, signal.SIGKILL)
"""
)

RAISING = (
    PLAN
    + """
def work(*arguments):
    raise ValueError("this node has no such plugin")

executor.work = work
outcome = run(session(sys.argv[1], sys.argv[2]), [note], executor=executor.RayCluster)
print(json.dumps({"rows": [[row.status, row.error] for row in outcome.rows], "notices": notices}))
"""
)

GUARDED = (
    PLAN
    + """
# A cluster that asks for a token, joined with the token, with another one, and with none.
import subprocess
from ray.cluster_utils import Cluster
from nsbench.errors import Refusal

if len(sys.argv) == 3:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for variables in ({}, {"RAY_AUTH_TOKEN_PATH": sys.argv[2]}, {"RAY_AUTH_MODE": "disabled"}):
        environment = os.environ | variables
        done = subprocess.run([sys.executable, "-c", os.environ["GUARDED"], sys.argv[1], cluster.address, "join"], env=environment, capture_output=True, text=True, timeout=120)
        print(done.stdout.splitlines()[-1] if done.stdout else json.dumps(done.stderr[-2000:]))
    cluster.shutdown()
else:
    from nsbench.running.executor import RunContext
    from nsbench.running.stop import Stop

    context = RunContext("own", Workspace(Path(sys.argv[1])), registry, note, Stop())
    try:
        with executor.RayCluster(context, sys.argv[2]):
            print(json.dumps({"joined": True, "notices": notices}))
    except Refusal as error:
        print(json.dumps({"joined": False, "refused": str(error)}))
"""
)


def in_a_network(program, *arguments, **variables):
    """The lines that a program prints in a network of its own, each read as JSON."""
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    command = [*NETWORK, "sh", "-c", WITH_ADDRESS, "sh", sys.executable, "-c", program, *map(str, arguments)]
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:  # the paths of sockets have 107 bytes
        settings = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": short} | variables
        done = subprocess.run(
            command, env=os.environ | settings, capture_output=True, text=True, timeout=400, check=False
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line[:1] in ("{", '"')]


def one_fit_in(folder):
    """A place for a suite with one fit instead of three."""
    place = Place(folder / "w", suite_in(folder))
    place.suite.write_text(ONE_FIT.sub("", place.suite.read_text()))
    return place


def without_two_and_three(table):
    return {trial: row for trial, row in table.items() if trial.split("/")[1] not in ("two", "three")}


@pytest.mark.parametrize("workspace", ["shared", "apart"])
@pytest.mark.parametrize("fate", ["spared", "doomed"])
def test_two_nodes_make_the_table_of_one_machine(tmp_path, undisturbed, workspace, fate):  # noqa: F811
    place = Place(tmp_path / "w", suite_in(tmp_path))
    (said,) = in_a_network(TWO_NODES, place.suite, place.root, workspace, fate)
    assert said["code"] == 0, said
    assert said["curves"] >= 50  # what a lost node had not yet sent is not told again
    assert place.table() == undisturbed.table()
    assert any("lost with node" in notice for notice in said["notices"]) == (fate == "doomed")
    assert any("asks for no token" in notice for notice in said["notices"])
    log = place.root / "runs" / "chaos" / "logs" / "line+one+r0.txt"
    assert "ok after" in log.read_text()
    print("\n", workspace, fate, f"{said['seconds']:.1f} s", said["notices"])


def test_the_next_run_finds_on_a_node_what_the_last_one_left_there(tmp_path, undisturbed):  # noqa: F811
    place, kept = one_fit_in(tmp_path), tmp_path / "kept"
    kept.mkdir()
    (said,) = in_a_network(AGAIN, place.suite, place.root, TMPDIR=str(kept), FETCHED=str(tmp_path / "f"))
    assert said["code"] == 0, said
    assert place.table() == without_two_and_three(undisturbed.table())
    asked, asked_again = said["counts"]
    assert asked > 0
    assert asked_again <= asked // 2  # scores are asked for again, and nowhere; data, models and rollouts are there
    ((name, mode, logs),) = said["kept"]
    assert name.startswith(f"nsbench-{os.geteuid()}-")
    assert mode == "0o700"
    assert logs == []
    log = place.root / "runs" / "chaos" / "logs" / "line+one+r0.txt"
    assert log.read_text().count("ok after") == 2


@pytest.mark.parametrize("length", [10, 90])
def test_nobody_joins_the_cluster_of_a_run(tmp_path, length):
    """Whatever the environment says of tokens, and however long the temporary folder's path is."""
    home, temporary = tmp_path / "home", tmp_path / ("t" * length)
    home.mkdir()
    temporary.mkdir()
    (said,) = in_a_network(OWN, tmp_path / "w", HOME=str(home), TMPDIR=str(temporary), RAY_AUTH_MODE="disabled")
    assert [joined for joined, _ in (said["with"], said["without"], said["wrong"])] == [True, False, False], said
    assert not said["another"][0], said
    if not said["another, told"][0]:
        print("another user cannot run Python here:", said["another, told"][1])
    assert said["listening"] != []
    assert [ip for ip in said["listening"] if ip not in LOOPBACK] == [], said["listening"]
    assert said["mode"] == ["0o600", "0o700"]
    assert (said["kept"], said["mode after"], said["notices"]) == ("", "disabled", [])
    assert list(home.rglob("*")) == []
    assert list(temporary.rglob("*")) == []
    assert not os.path.exists(os.path.dirname(said["temp"]))


@pytest.mark.parametrize("found_by", ["variable", "file"])
def test_a_cluster_that_is_there_already_is_left_alone(tmp_path, undisturbed, found_by):  # noqa: F811
    place = one_fit_in(tmp_path)
    (said,) = in_a_network(BESIDE, place.suite, place.root, found_by)
    assert said["code"] == 0, said
    assert place.table() == without_two_and_three(undisturbed.table())
    assert said["before"] == ["1", "0"]
    assert said["after"] == ["1", "0"]  # one node, and nobody's program
    assert said["alive"]
    assert (said["RAY_ADDRESS"] is not None) == (found_by == "variable")


def test_an_exception_of_the_task_itself_is_its_trials_failure(tmp_path):
    place = one_fit_in(tmp_path)
    (said,) = in_a_network(RAISING, place.suite, place.root)
    text = json.dumps(said)
    assert "ValueError: this node has no such plugin" in text
    assert "Ray lost it" not in text
    assert {status for status, _ in said["rows"]} <= {"failed", "skipped"}


def test_a_cluster_with_a_token_is_joined_with_it_only(tmp_path):
    for name in ("token", "other"):
        (tmp_path / name).write_text(name * 8 + "\n")
        (tmp_path / name).chmod(0o600)
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "GUARDED": GUARDED}
    joined, wrong, none = in_a_network(GUARDED, tmp_path / "w", tmp_path / "other", **variables)
    assert joined == {"joined": True, "notices": []}
    assert wrong["joined"] is False, wrong
    assert none["joined"] is False, none
    assert "RAY_AUTH_TOKEN_PATH" in none["refused"]
