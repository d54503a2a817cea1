"""Environment variables that change numbers: in keys, in manifests, and the same in every process of a run."""

from __future__ import annotations

import json
import mmap
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

import toy
from conftest import TOY
from nsbench.commands.fresh import make_again
from nsbench.commands.plan import explain
from nsbench.commands.trial import describe_trial
from nsbench.components.simulator import SimulatorSpec
from nsbench.outcomes.file import load
from nsbench.registry.registry import Plugin, Registry
from nsbench.running import local
from nsbench.running.local import Local
from nsbench.running.run import run
from nsbench.stages.workshop import VariablesChanged, workshop_of
from nsbench.store.manifest import read_manifest
from nsbench.store.variables import IN_KEYS, RECORDED, recorded_variables, variables_in_key
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from test_keys import ALL, changed, keys, plan_of

pytestmark = pytest.mark.usefixtures("quick_disk")

EVERY = {*RECORDED, *(name for names in IN_KEYS.values() for name in names)}
TRIAL = "line/learner/r0"


@pytest.fixture(autouse=True)
def none_set(monkeypatch):
    for name in EVERY:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NPY_DISABLE_CPU_FEATURES", ALL),
        ("OPENBLAS_CORETYPE", ALL),
        ("ONEDNN_DEFAULT_FPMATH_MODE", {"evidence", "score"}),  # the toy's components use no torch, measuring does
        ("NUMBA_DISABLE_JIT", {"evidence", "score"}),
        ("OMP_NUM_THREADS", set()),
        ("LD_PRELOAD", set()),
        ("PASSWORD", set()),
    ],
)
def test_a_variable_is_in_the_keys_of_the_components_whose_libraries_read_it(
    write_suite, registry, monkeypatch, name, expected
):
    before = keys(plan_of(write_suite, registry))
    monkeypatch.setenv(name, "1")
    assert changed(before, keys(plan_of(write_suite, registry))) == expected


def test_a_key_without_such_a_variable_has_no_field_for_it(write_suite, registry):
    plan = plan_of(write_suite, registry)
    assert all("variables" not in artifact.key.fields for artifact in plan.artifacts())


def test_a_network_is_keyed_by_what_torch_reads(registry, monkeypatch):
    text = Path(__file__).parents[1] / "suites" / "smoke.yaml"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    plan = make_plan(read_suite(text, registry), registry)
    network = next(trial for trial in plan.trials if trial.simulator == "cgne-laptop")
    assert network.part.variables == {"NVIDIA_TF32_OVERRIDE": "0"}
    assert network.data.part.variables == {}


def registry_with(variables):
    plugins = Registry([*entry_points(group="nsbench"), TOY])
    plugin = Plugin("mine", "a test", "toy")
    implementation = type("Hooks", (), {})()
    marked = toy.hookimpl(lambda: [SimulatorSpec("mine", "toy:Coin", "toy:CoinParams", variables=variables)])
    implementation.nsbench_simulators = marked
    plugins.register(plugin, implementation)
    return plugins, plugin


def test_a_plugin_names_variables_of_its_own(write_suite, monkeypatch):
    plugins, plugin = registry_with(("MINE_STEPS",))
    assert plugin.error == ""
    from conftest import SUITE

    text = SUITE.replace("use: learner", "use: mine")
    before = keys(plan_of(write_suite, plugins, text), "mine")
    monkeypatch.setenv("MINE_OTHER", "1")
    assert keys(plan_of(write_suite, plugins, text), "mine") == before
    monkeypatch.setenv("MINE_STEPS", "7")
    plan = plan_of(write_suite, plugins, text)
    assert changed(before, keys(plan, "mine")) == {"model", "evidence", "score"}
    assert plan.trials[1].model.fields["variables"] == {"MINE_STEPS": "7"}
    assert "variables" not in plan.trials[0].model.fields


@pytest.mark.parametrize("wrong", ["MINE_STEPS", (1,), ("no name",), None])
def test_what_names_no_variable_is_refused(wrong):
    _, plugin = registry_with(wrong)
    assert "variables of 'mine' must be names of environment variables, got" in plugin.error


def test_a_manifest_records_those_that_are_set_and_nothing_secret(bench, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("API_TOKEN", "secret")
    bench()
    for path in bench.workspace.store.glob("*/*/manifest.json"):
        recorded = read_manifest(path.parent)["environment"]["variables"]
        assert recorded == {"OMP_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"}
        assert "secret" not in path.read_text()


def test_a_value_that_is_no_text_can_be_recorded(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/opt/\udcff.so")
    assert json.dumps(recorded_variables(), ensure_ascii=False).encode()


def test_plan_names_the_variable_as_the_reason(bench, write_suite, registry, monkeypatch):
    bench()

    def lines():
        plan = plan_of(write_suite, registry)
        return "\n".join(map(str, explain(Session(plan, registry, bench.workspace))))

    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert "variables.MKL_CBWR: COMPATIBLE here, nothing in the store" in lines()
    bench()
    assert "0 misses" in lines()
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert "variables.MKL_CBWR: AVX2 here, COMPATIBLE in the store" in lines()


def test_fresh_names_a_variable_that_differs_where_the_numbers_do(bench, write_suite, registry, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    session = Session(plan_of(write_suite, registry), registry, bench.workspace).only([TRIAL])
    monkeypatch.setattr(
        toy.Coin, "rollout", lambda self, start, steps, rng: toy.toss(start.params, start.domain, 6, rng, 0.5)
    )
    console = Console(record=True, width=200, force_terminal=False)
    assert make_again(session, session.plan.trials[0], console) == 1
    text = console.export_text()
    assert "where the stored evidence was made: variables.OMP_NUM_THREADS: 2 here, 1 in the store" in text


def test_info_shows_the_variables_of_key_and_manifest(bench, write_suite, registry, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench()
    session = Session(plan_of(write_suite, registry), registry, bench.workspace).only([TRIAL])
    text = "\n".join(describe_trial(session, session.plan.trials[0], Path("suite.yaml"), ()))
    assert "    environment MKL_CBWR=COMPATIBLE" in text
    assert "  variables.OMP_NUM_THREADS: 1" in text


def test_what_has_other_variables_than_the_plan_makes_nothing(bench, write_suite, registry, monkeypatch):
    workshop = workshop_of(Session(plan_of(write_suite, registry), registry, bench.workspace))
    part = plan_of(write_suite, registry).trials[0].part
    assert workshop.component(part)
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "AVX2")
    with pytest.raises(VariablesChanged, match="NPY_DISABLE_CPU_FEATURES was not set and is 'AVX2'"):
        workshop.component(part)


@pytest.fixture
def worker_with(tmp_path, write_suite, registry, monkeypatch):
    """Runs the toy suite in workers whose environment has another variable than the run's: the workspace."""

    def go(name, value):
        inherited = local.surroundings
        monkeypatch.setattr(local, "surroundings", lambda *places: {**inherited(*places), name: value})
        workspace = Workspace(tmp_path / "workers")
        run(Session(plan_of(write_suite, registry), registry, workspace), executor=partial(Local, parallel=2))
        return workspace

    return go


def test_what_a_worker_has_is_what_is_recorded(worker_with):
    workspace = worker_with("OMP_NUM_THREADS", "3")
    manifests = [read_manifest(path.parent) for path in workspace.store.glob("*/*/manifest.json")]
    assert {manifest["environment"]["variables"]["OMP_NUM_THREADS"] for manifest in manifests} == {"3"}


def test_a_worker_with_another_environment_than_the_plans_refuses(worker_with):
    workspace = worker_with("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    rows = load(workspace.results("line"))
    assert {row.status for row in rows} == {"failed"}
    for row in rows:
        assert "ONEDNN_DEFAULT_FPMATH_MODE was not set and is 'BF16'" in row.error
    assert not (workspace.store / "evidence").exists()


def holds(path, words):
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return {word for word in words if content.find(word.encode()) >= 0}


def home(package):
    return Path(find_spec(package).origin).parent


def test_numba_and_numpy_read_what_is_listed_for_them():
    assert holds(home("numba") / "core" / "config.py", IN_KEYS["numba"]) == IN_KEYS["numba"]
    own = {name for name in IN_KEYS["numpy"] if name.startswith("NPY_")}
    assert holds(next(home("numpy").glob("_core/_multiarray_umath*.so")), own) == own


@pytest.mark.slow
def test_torch_reads_what_is_listed_for_it():
    """Of a build without CUDA, which has what it reads itself, and not what NVIDIA's libraries read."""
    of_nvidia = {"CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "NVIDIA_TF32_OVERRIDE"}
    of_its_python = {name for name in IN_KEYS["torch"] if name.startswith(("TORCHINDUCTOR", "TORCHDYNAMO"))}
    of_its_python |= {"TORCH_COMPILE_DISABLE", "PYTORCH_JIT"}
    compiled = IN_KEYS["torch"] - of_nvidia - of_its_python - {"OPENBLAS_CORETYPE"}
    parts = {
        name.removeprefix("ONEDNN_").removeprefix("DNNL_") for name in compiled
    }  # the prefix is put on when it runs
    assert holds(home("torch") / "lib" / "libtorch_cpu.so", parts) == parts
    texts = [path.read_text(errors="replace") for path in home("torch").rglob("*.py")]
    assert {name for name in of_its_python if any(name in text for text in texts)} == of_its_python


def test_only_variables_that_are_set_count():
    assert variables_in_key(["numpy", "torch", "numba", "unheard of"]) == {}
