"""The same suite on a Ray cluster: the table of a run without one, also when a node is lost.

`pytest -m slow tests/test_ray.py`, with `pip install 'nsbench[ray]'`. Each run is a process in a network of its own that
has nothing but the loopback, so that Ray listens nowhere else; where that cannot be had the tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from test_chaos import Place, suite_in, undisturbed  # noqa: F401

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra 'ray'"),
    pytest.mark.skipif(
        subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0,
        reason="needs a network namespace",
    ),
]

RUN = """
import json, os, sys, tempfile, threading, time
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

suite, workspace, shared, doomed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "shared", sys.argv[4] == "doomed"

import ray
from ray.cluster_utils import Cluster
from nsbench.components.events import CurvePoint, Notice, StageStarted
from nsbench.running import ray as executor
from nsbench.suite.planner import make_plan
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.store.workspace import Workspace

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
if not shared:
    executor.RayCluster._sign = property(lambda self: Path(tempfile.mkdtemp()) / self._token)  # nowhere a node would look

class Watched(executor.RayCluster):
    def _hear(self, message):
        super()._hear(message)
        where.update(self._begun)


where, notices, curves, lost = {}, [], [], []

def listen(event):
    if isinstance(event, Notice):
        notices.append(event.message)
    if isinstance(event, CurvePoint):
        curves.append(event.name)
        if doomed and not lost and where.get(event.trial) == second.node_id[:8]:
            lost.append(time.monotonic())
            cluster.remove_node(second, allow_graceful=False)

registry = Registry([*entry_points(group="nsbench"), *(EntryPoint(n, n, "nsbench") for n in ("toy", "dawdler"))])
plan = make_plan(read_suite(suite, registry), registry)
before = time.monotonic()
outcome = run(Session(plan, registry, Workspace(workspace)), [listen], executor=partial(Watched, address=cluster.address))
print(json.dumps({"code": outcome.exit_code, "notices": notices, "curves": len(curves), "seconds": time.monotonic() - before,
    "errors": [row.error for row in outcome.rows]}))
cluster.shutdown()
"""


def on_a_cluster(place, *how):
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    inner = 'ip link set lo up && exec "$@"'
    command = [
        "unshare",
        "-n",
        "sh",
        "-c",
        inner,
        "sh",
        sys.executable,
        "-c",
        RUN,
        str(place.suite),
        str(place.root),
        *how,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("workspace", ["shared", "apart"])
@pytest.mark.parametrize("fate", ["spared", "doomed"])
def test_two_nodes_make_the_table_of_one_machine(tmp_path, undisturbed, workspace, fate):  # noqa: F811
    place = Place(tmp_path / "w", suite_in(tmp_path))
    said = on_a_cluster(place, workspace, fate)
    assert said["code"] == 0, said
    assert said["curves"] >= 50  # what a lost node had not yet sent is not told again
    assert place.table() == undisturbed.table()
    assert any("lost with node" in notice for notice in said["notices"]) == (fate == "doomed")
    log = place.root / "runs" / "chaos" / "logs" / "line+one+r0.txt"
    assert "ok after" in log.read_text()
    print("\n", workspace, fate, f"{said['seconds']:.1f} s", said["notices"])
