"""What several tests use."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "numba")
)  # for all workspaces
if "PYTEST_XDIST_WORKER" in os.environ:  # several share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from nsbench.registry.kernels import hold_cache
from nsbench.registry.registry import Registry

hold_cache()  # tests import plugins directly, and run suites in the same process

TOY = EntryPoint("toy", "toy", "nsbench")

SUITE = """\
name: line
datasets:
  - {use: line, params: {train: 30}}
simulators:
  - {use: coin, as: truth}
  - {use: learner}
metrics: [length, elbo, wall_clock]
protocol: {stride: 1, horizon: 6, bounds: null}
budget: {transitions: 100}
"""


@pytest.fixture(scope="session")
def registry() -> Registry:
    """What is installed, and the toy plugin."""
    return Registry([*entry_points(group="nsbench"), TOY])


@pytest.fixture(scope="module")
def quick_disk():
    """Files are not forced to disk: for tests of what is in them, which would otherwise mostly wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def one_thread():
    """Networks this small are sooner done on one thread, above all on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def crystals():
    """(train, val) at 16 × 16: 24 and 6 crystals in frames of 3 events."""
    from nsbench_lca.dataset import LCADataset
    from nsbench_lca.params import DatasetParams

    dataset = LCADataset(DatasetParams(size=16, train=24, val=6))
    train = dataset.prepare("train", np.random.default_rng(1)).framed(3, 32)
    return train, dataset.prepare("val", np.random.default_rng(2)).framed(3, 32)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """MLflow's database without an experiment; making one takes MLflow seconds, copying it none."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def write_suite(tmp_path):
    """Writes a suite file: the toy's, with lines replaced."""

    def write(text: str = SUITE, name: str = "suite.yaml", **replaced: str):
        for line in text.splitlines():
            key = line.partition(":")[0]
            if key in replaced:
                text = text.replace(line, replaced[key])
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def bench(tmp_path, write_suite, registry):
    """Runs a suite (the toy's, unless told otherwise) in a workspace: (outcome, what was made, events)."""
    from nsbench.components.events import StageFinished
    from nsbench.running.run import run
    from nsbench.store.workspace import Workspace
    from nsbench.suite.planner import make_plan
    from nsbench.suite.reading import read_suite
    from nsbench.suite.session import Session

    workspace = Workspace(tmp_path / "work space")

    def go(text=None, *overrides, listen=None):
        path = write_suite(text) if text else write_suite()
        plan = make_plan(read_suite(path, registry, overrides), registry)
        events = []
        outcome = run(Session(plan, registry, workspace), [events.append, *([listen] if listen else [])])
        made = [e.what for e in events if isinstance(e, StageFinished) and not e.hit]
        return outcome, made, events

    go.workspace = workspace
    return go
