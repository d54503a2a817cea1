"""What runs is what the key says: whatever a component opens or imports is in a digest, and is what was planned."""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import textwrap
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from conftest import SUITE, TOY
from nsbench.registry.registry import Registry
from nsbench.running.inline import Inline
from nsbench.running.local import Local
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.testing.check import check

EXECUTORS = {"inline": Inline, "a worker": partial(Local, parallel=1)}

PACKAGE = {
    "__init__.py": """
        from nsbench import hookimpl
        from nsbench.components.dataset import DatasetSpec
        from nsbench.components.simulator import SimulatorSpec
        SETTING = 11

        @hookimpl
        def nsbench_simulators():
            return [SimulatorSpec("mine", "{p}.model:Mine", "{p}.params:MineParams", files={files})]

        @hookimpl
        def nsbench_datasets():
            return [DatasetSpec("kept", "{p}.kept:Kept", "{p}.kept:KeptParams", reading={reading})]
    """,
    "params.py": """
        from nsbench.components.component import Params

        class MineParams(Params):
            path: str = ""
            rho: float | None = None

            @property
            def twice(self):
                return 2 * 11
    """,
    "model.py": """
        import json
        import sys
        from importlib import import_module
        from pathlib import Path
        from toy import Coin, toss

        class Mine(Coin):
            def rollout(self, start, steps, rng):
                from {p} import late
                scale = 0 * self.params.twice + late.SCALE + 0 * 11
                {body}
                return toss(start.params, start.domain, min(steps, 6), rng, min(1.0, scale / 100))
    """,
    "late.py": "SCALE = 11\n",
    "named.py": "NAMED = 11\n",
    "hidden.py": "HIDDEN = 11\n",
    "table.json": '{{"scale": 11}}\n',
    "deep/__init__.py": "DEPTH = 11\n",
    "deep/inner.py": "INNER = 11\n",
    "kept.py": """
        from pathlib import Path
        from nsbench.components.component import Params
        from nsbench.components.dataset import Dataset, Reading
        from toy import Line, LineParams, toss

        class KeptParams(LineParams):
            path: str
            other: str = ""

        def reading(params):
            file = Path(params.path)
            return Reading({{"content": file.read_text()}}, files=(file,))

        class Kept(Line):
            def prepare(self, split, rng):
                rho = float(Path(self.params.path).read_text())
                if self.params.other:
                    Path(self.params.other).read_text()
                params = rng.uniform(0.2, 0.8, (getattr(self.params, split), 1))
                return toss(params, self.domain, self.params.steps, rng, rho)
    """,
}
"""A plugin with everything in it. {{body}}: what its simulator does besides."""

_numbers = itertools.count()


class Plugin:
    """The package on disk, under a name of its own, and the runs of its components."""

    def __init__(self, root: Path, write_suite) -> None:
        self.root, self._write_suite = root, write_suite
        self.name = f"audited_{os.getpid()}_{next(_numbers)}"
        self.folder = root / self.name
        self.workspace = Workspace(root / "work space")

    def write(self, body: str = "pass", files: tuple[str, ...] = (), reading: str | None = None) -> Plugin:
        names = {"p": self.name, "body": body, "files": files, "reading": reading and f"{self.name}.{reading}"}
        for name, text in PACKAGE.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            given = names | {"reading": repr(names["reading"])}
            path.write_text(textwrap.dedent(text).format(**given).lstrip())
        importlib.invalidate_caches()  # a folder may have been listed within the grain of its time
        return self

    def plan(self, dataset: str = "{use: line, params: {train: 30}}", params: str = "{}"):
        text = SUITE.replace("{use: line, params: {train: 30}}", dataset).replace(
            "[length, elbo, wall_clock]", "[length]"
        )
        text = text.replace("  - {use: coin, as: truth}\n  - {use: learner}", f"  - {{use: mine, params: {params}}}")
        registry = Registry([*entry_points(group="nsbench"), TOY, EntryPoint("audited", self.name, "nsbench")])
        return make_plan(read_suite(self._write_suite(text), registry), registry), registry

    def run(self, executor, plan=None, **settings):
        """The row of the trial."""
        plan, registry = plan or self.plan(**settings)
        (row,) = run(Session(plan, registry, self.workspace), executor=executor).rows
        return row

    def forget(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == self.name]:
            del sys.modules[name]
        importlib.invalidate_caches()  # files are replaced within the grain of a folder's time


@pytest.fixture
def plugin(tmp_path, write_suite, monkeypatch):
    root = tmp_path / "plugins"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    made = Plugin(root, write_suite)
    yield made
    made.forget()


READS_ALL = (
    'json.loads(Path(__file__).with_name("table.json").read_text()), import_module("{p}.named"); '
    'import {p}.deep.inner; from {p} import _bisect; import_module(".named", __package__)'
)


def extension() -> Path:
    """A compiled extension that may be copied into a package."""
    spec = importlib.util.find_spec("_bisect")
    if spec is None or not spec.origin or not Path(spec.origin).exists():
        pytest.skip("this Python has its extensions built in")
    return Path(spec.origin)


def test_one_byte_of_any_file_that_a_run_has_opened_gives_another_key(plugin, monkeypatch):
    """The property behind every stale number: what is read, by whatever way, is in the key."""
    opened: set[Path] = set()
    listening = True

    def hook(event, arguments):
        if not listening or event not in ("open", "import"):
            return
        path = arguments[0] if event == "open" else arguments[1]
        if isinstance(path, str) and path.startswith(str(plugin.folder)) and os.path.isfile(path):
            opened.add(Path(path))

    shutil.copy(extension(), _folder := plugin.write(READS_ALL.replace("{p}", plugin.name), ("table.json",)).folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.addaudithook(hook)
    assert plugin.run(Inline).error == ""
    listening = False
    counted = {p for p in opened if p.name != "kept.py" and p.suffix != ".pyc"}
    names = {"__init__.py", "params.py", "model.py", "late.py", "named.py", "table.json", "inner.py", extension().name}
    assert {p.name for p in counted} == names
    before = plugin.plan()[0].trials[0].model.digest
    same = []
    for path in sorted(counted):
        content = path.read_bytes()
        replace(path, content.replace(b"11", b"12") if path.suffix in (".py", ".json") else content + b"\0")
        assert path.read_bytes() != content
        plugin.forget()
        if plugin.plan()[0].trials[0].model.digest == before:
            same.append(path.name)
        replace(path, content)
    assert same == []


def replace(path: Path, content: bytes) -> None:
    """Put another file in the place of one; an extension that is loaded must not be written to."""
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    draft.replace(path)


READS_TABLE = 'scale = json.loads(Path(__file__).with_name("table.json").read_text())["scale"]'


@pytest.mark.parametrize("executor", EXECUTORS.values(), ids=EXECUTORS)
def test_a_file_beside_the_module_is_refused_unless_the_spec_names_it(plugin, executor):
    plugin.write(READS_TABLE)
    row = plugin.run(executor)
    assert row.status == "failed"
    assert f"{plugin.folder}/table.json, which its digest does not cover" in row.error
    assert "files=(" in row.error
    assert plugin.run(executor).status == "failed"  # and it stays so, though nothing is imported anew
    plugin.forget()
    plugin.write(READS_TABLE, files=("table.json",))
    assert plugin.run(executor).error == ""


@pytest.mark.parametrize("executor", EXECUTORS.values(), ids=EXECUTORS)
def test_a_module_that_is_imported_by_a_computed_name_is_refused(plugin, executor):
    plugin.write('import_module(f"{{__package__}}.hid" + "den")'.replace("{{", "{").replace("}}", "}"))
    row = plugin.run(executor)
    assert row.status == "failed"
    assert f"{plugin.folder}/hidden.py, which its digest does not cover" in row.error
    assert 'a literal import_module("…")' in row.error
    assert plugin.run(executor).status == "failed"


def test_a_library_of_the_system_is_no_file_in_the_current_folder(plugin, tmp_path, monkeypatch):
    """As CUDA's driver is opened: by a name that the loader looks up."""
    name = ctypes.util.find_library("c")
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    plugin.write(f"import ctypes; ctypes.CDLL({name!r})")
    assert plugin.run(Inline).error == ""
    plugin.forget()
    shutil.copy(extension(), tmp_path / "mine.so")
    plugin.write('import ctypes; ctypes.CDLL("./mine.so")')
    assert f"reads {tmp_path}/mine.so, which its digest does not cover" in plugin.run(Inline).error


def test_what_was_installed_into_a_folder_of_its_own_is_a_library_and_what_lies_beside_it_is_none(tmp_path):
    """As by `pip install --target` with PYTHONPATH."""
    for name in ("installed/__init__.py", "single.py", "alone.abi3.so", "loose.py", "checkout/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder, listed, names in (
        ("installed-1.0.dist-info", "RECORD", ["installed/__init__.py,,", "single.py,,", "alone.abi3.so,,"]),
        ("checkout.egg-info", "SOURCES.txt", ["checkout/__init__.py"]),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / listed).write_text("\n".join([*names, f"{folder}/{listed},,"]))
        (tmp_path / folder / ("METADATA" if listed == "RECORD" else "PKG-INFO")).write_text("Name: x\nVersion: 1.0\n")
    code = """
        import sys
        from nsbench.registry.imports import is_library
        print([is_library(f"{sys.argv[1]}/{name}") for name in sys.argv[2:]])
    """
    names = ["installed/deep/x.py", "single.py", "alone.abi3.so", "loose.py", "checkout/__init__.py", "installed2/x.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    call = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), *names]
    said = subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[True, True, True, False, False, False]"


def test_check_finds_what_a_digest_does_not_cover(plugin):
    plugin.write(READS_TABLE)
    registry = plugin.plan()[1]
    findings = check("simulator", "mine", registry=registry).findings  # others, too: it knows no lattice but its own
    (finding,) = [f for f in findings if "table.json" in f.wrong]
    assert "its digest does not cover" in finding.wrong
    assert "files=(" in finding.right


def test_a_file_that_a_parameter_names_is_refused_unless_its_content_is_in_the_key(plugin, tmp_path):
    data, other = tmp_path / "rho.txt", tmp_path / "other.txt"
    data.write_text("0.5")
    other.write_text("0.7")
    plugin.write()
    row = plugin.run(Inline, dataset=f"{{use: kept, as: line, params: {{path: {data}}}}}")
    assert "name `reading`" in row.error
    plugin.forget()
    plugin.write(reading="kept:reading")
    dataset = f"{{use: kept, as: line, params: {{path: {data}}}}}"
    assert plugin.run(Inline, dataset=dataset).error == ""
    shutil.rmtree(plugin.workspace.store)
    row = plugin.run(Inline, dataset=dataset.replace("}}", f", other: {other}}}}}"))
    assert f"reads {other}" in row.error
    assert "list the file in its Reading" in row.error


def test_hdf5_files_are_seen_too(plugin, tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["scale"] = 11
    plugin.write("import h5py; h5py.File(self.params.path).close()")
    assert f"reads {tmp_path / 'x.h5'}" in plugin.run(Inline, params=f"{{path: {tmp_path / 'x.h5'}}}").error


@pytest.mark.parametrize("executor", EXECUTORS.values(), ids=EXECUTORS)
def test_a_module_that_changes_before_it_is_imported_is_not_run_under_the_old_key(plugin, executor):
    """Hours may lie between the import of a component and that of a module in the midst of a rollout."""
    plugin.write().folder.joinpath("model.py").write_text(
        plugin.folder.joinpath("model.py")
        .read_text()
        .replace(
            "from " + plugin.name + " import late",
            'Path(__file__).with_name("late.py").write_text("SCALE = 22\\n"); from ' + plugin.name + " import late",
        )
    )
    row = plugin.run(executor)
    assert row.status == "failed"
    assert "has changed since this run was planned" in row.error
    assert "late.py" in row.error
    assert not list(plugin.workspace.store.glob("evidence/*"))


@pytest.mark.parametrize("restored", [False, True])
def test_files_that_changed_after_planning_make_no_data(plugin, tmp_path, restored):
    data = tmp_path / "rho.txt"
    data.write_text("0.5")
    plugin.write(reading="kept:reading")
    plan = plugin.plan(dataset=f"{{use: kept, as: line, params: {{path: {data}}}}}")
    data.write_text("0.9")
    if not restored:
        row = plugin.run(Inline, plan)
        assert row.status == "skipped"  # as all trials are whose data cannot be made
        assert "the files that dataset 'line' reads have changed since this run was planned" in row.error
        assert "rho.txt" in row.error
        assert not list(plugin.workspace.store.glob("data/*"))
    data.write_text("0.5")
    assert plugin.run(Inline, plan).error == ""


def test_workers_run_what_the_source_says_though_it_has_the_same_time_and_size(plugin):
    """Python itself takes the .pyc of the older source for this one."""
    plugin.write()
    late = plugin.folder / "late.py"
    late.write_text("SCALE = 1\n")
    os.utime(late, (1e9, 1e9))
    for file in plugin.folder.rglob("*.py"):
        __import__("py_compile").compile(str(file))
    first = plugin.run(EXECUTORS["a worker"])
    late.write_text("SCALE = 9\n")  # nearly certain steps
    os.utime(late, (1e9, 1e9))
    importlib.invalidate_caches()
    second = plugin.run(EXECUTORS["a worker"])
    lengths = [row.scores[0].extras["simulated"] for row in (first, second)]
    shutil.rmtree(plugin.workspace.root)
    shutil.rmtree(plugin.folder / "__pycache__")
    clean = plugin.run(EXECUTORS["a worker"])
    assert lengths[1] == clean.scores[0].extras["simulated"] != lengths[0]


def test_damaged_byte_code_is_deleted_and_compiled_again(plugin):
    plugin.write()
    first = plugin.run(EXECUTORS["a worker"])
    files = [file for file in plugin.workspace.bytecode.iterdir() if file.is_file()]
    assert len(files) > 50
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    shutil.rmtree(plugin.workspace.store)
    again = plugin.run(EXECUTORS["a worker"])
    assert (again.error, again.scores[0].value) == ("", first.scores[0].value)
    assert all(file.stat().st_size > 100 for file in files)


def test_a_workspace_whose_byte_code_cannot_be_kept_runs_all_the_same(plugin):
    plugin.write()
    plugin.workspace.bytecode.parent.mkdir(parents=True)
    plugin.workspace.bytecode.write_text("not a folder")
    assert plugin.run(EXECUTORS["a worker"]).error == ""


@pytest.mark.slow
def test_every_metric_and_the_ground_truth_open_only_what_their_digests_cover(tmp_path, write_suite, registry):
    """A suite of all metrics on small crystals, with the hook on; the simulators that learn have a test of their own."""
    metrics = ", ".join(name for name in registry.names("metric") if name not in ("length", "fid"))
    rows = _everything(tmp_path, write_suite, registry, "  - {use: lca}\n  - {use: persistence}\n", metrics)
    assert [row.error for row in rows] == [""] * 2


@pytest.mark.slow
def test_every_simulator_opens_only_what_its_digest_covers(tmp_path, write_suite, registry):
    skipped = ("coin", "learner", "failing", "amnesiac", "either", "lca")
    simulators = [name for name in registry.names("simulator") if name not in skipped]
    text = "".join(f"  - {{use: {name}}}\n" for name in simulators)
    rows = _everything(tmp_path, write_suite, registry, text, "ewd, elbo")
    assert {row.simulator: row.error for row in rows} == dict.fromkeys(simulators, "")


FID = "{use: fid, params: {weights: %s, sha256: %s}}"


def test_a_file_whose_checksum_is_a_parameter_is_covered(tmp_path, write_suite, registry):
    import numpy as np
    from safetensors.numpy import save

    weights = {"0.weight": np.ones((2, 1, 3, 3), np.float32), "0.bias": np.zeros(2, np.float32)}
    (tmp_path / "net").write_bytes(content := save(weights))
    fid = FID % (tmp_path / "net", hashlib.sha256(content).hexdigest())
    (row,) = _everything(tmp_path, write_suite, registry, "  - {use: lca}\n", fid)
    assert row.error == ""


def _everything(folder, write_suite, registry, simulators, metrics):
    small = "{size: 16, train: 12, val: 6, test: {parameters: 4, repeats: 2}}"
    text = (
        f"name: all\ndatasets:\n  - {{use: lca, params: {small}}}\nsimulators:\n{simulators}"
        f"metrics: [{metrics}]\nprotocol: {{stride: 10, horizon: 16, members: 2, bounds: null}}\n"
        "budget: {transitions: 64}\n"
    )
    plan = make_plan(read_suite(write_suite(text), registry), registry)
    return run(Session(plan, registry, Workspace(folder / "w")), executor=EXECUTORS["a worker"]).rows
