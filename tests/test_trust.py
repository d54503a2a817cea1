"""What comes from others is data: nothing of it is run, and its names stay names."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from conftest import SUITE
from nsbench.components.dataset import UnreadableData
from nsbench.names import hidden_character
from nsbench.suite.reading import read_suite
from nsbench.suite.yaml import MAX_BYTES, Fault, SuiteError
from nsbench.tracking import server as ui
from nsbench.tracking.destination import connect, destination
from nsbench_formats.params import WellParams
from nsbench_formats.well import Well

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("nsbench", "plugins", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec"),
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "pty.spawn", "subprocess.getoutput"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.dump"),
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "pandas.read_pickle", "numpy.fromfile"),
    *("shutil.unpack_archive", "tarfile.open", "tempfile.mktemp"),
    # mapped files change, or end the process, when another machine replaces them
    *(
        "mmap.mmap",
        "numpy.memmap",
        "safetensors.safe_open",
        "safetensors.torch.load_file",
        "safetensors.numpy.load_file",
    ),
}
OWN_CODE = {"nsbench/registry/bytecode.py": ["marshal", "compile"], "nsbench/registry/kernels.py": ["pickle"]}
"""Modules that read back what a process of this user compiled from sources that it runs anyway, behind a checksum."""

LOADING = {"numpy.load", "numpy.save", "numpy.savez", "numpy.savez_compressed"}


def faults(source: str) -> list[str]:
    """What a module does that could run what somebody else wrote."""
    tree, names, found = ast.parse(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                (a.asname or a.name.partition(".")[0]): (a.name if a.asname else a.name.partition(".")[0])
                for a in node.names
            }
            found += [a.name for a in node.names if a.name.partition(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names}
            found += [node.module] if node.module.partition(".")[0] in FORBIDDEN_MODULES else []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = full_name(call.func, names)
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in FORBIDDEN_CALLS or name.endswith((".extractall", ".extract", ".read_pickle", ".to_pickle")):
            found.append(name)
        if name in LOADING and "savez" not in name and not is_constant(given.get("allow_pickle"), False):
            found.append(f"{name} without allow_pickle=False")
        found += [f"{name} mapped"] if "mmap_mode" in given else []
        if "shell" in given and not is_constant(given["shell"], False):
            found.append(f"{name} with a shell")
    return found


def full_name(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    return f"{full_name(node.value, names)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def is_constant(node, value):
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(path):
    assert faults(path.read_text()) == OWN_CODE.get(path.relative_to(ROOT).as_posix(), [])


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from pickle import loads", "import joblib as j", "eval('1')", "import os\nos.system('id')"),
        *("from torch import load\nload('x')", "import torch as t\nt.load('x')", "import numpy as np\nnp.load('x')"),
        *("import numpy as np\nnp.load('x', allow_pickle=True)", "import yaml\nyaml.load('x', Loader=yaml.Loader)"),
        *("import subprocess\nsubprocess.run('id', shell=True)", "import tarfile\ntarfile.open('x')", "z.extractall('.')"),
        *("from safetensors.torch import load_file\nload_file('x')", "np.load('x', mmap_mode='r')", "from mmap import mmap\nmmap(0, 0)"),
    ],
)  # fmt: skip
def test_what_is_looked_for_would_be_found(source):
    assert faults(source)


WATCHED = """
import sys
sys.path[:0] = [{tests!r}]
found = []

def watch(event, arguments):
    if event == "pickle.find_class":  # a pickle asks for code
        frame, stack = sys._getframe(1), []
        while frame:
            stack.append(frame.f_code.co_filename)
            frame = frame.f_back
        if not any("/numba/" in file for file in stack):  # Numba's cache of its own compiled code
            found.append((arguments, stack[:4]))

sys.addaudithook(watch)
{work}
assert not found, found
"""


def run_watched(work, tmp_path):
    script = WATCHED.format(tests=str(ROOT / "tests"), work=work)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_unpickles_nothing(tmp_path):
    (tmp_path / "suite.yaml").write_text(SUITE)
    work = """
from importlib.metadata import entry_points
from pathlib import Path
from conftest import TOY
from nsbench.suite.planner import make_plan
from nsbench.registry.registry import Registry
from nsbench.running.run import run
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.store.workspace import Workspace
registry = Registry([*entry_points(group="nsbench"), TOY])
plan = make_plan(read_suite(Path("suite.yaml"), registry), registry)
for _ in range(2):
    assert run(Session(plan, registry, Workspace(Path("out")))).exit_code == 0
"""
    run_watched(work, tmp_path)


def test_weights_and_checkpoints_unpickle_nothing(tmp_path):
    work = """
import torch
from pathlib import Path
from nsbench.neural.checkpoint import read_checkpoint, write_checkpoint
from nsbench.neural.weights import load_weights, save_weights
found.clear()  # what torch does while it is imported is its own
one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
save_weights(Path("w"), one, {})
load_weights(Path("w"), other)
assert torch.equal(one.weight, other.weight)
write_checkpoint(Path("c"), dict(one.state_dict()), {"step": 3})
tensors, facts = read_checkpoint(Path("c"), torch.device("cpu"))
assert facts == {"step": 3} and torch.equal(tensors["bias"], one.bias)
maps = Path("/proc/self/maps").read_text()
assert not any(str(path) in maps for path in Path.cwd().rglob("*"))  # nothing that was read is mapped
"""
    run_watched(work, tmp_path)


BAD_NAMES = [
    *("..", ".", "../up", "a/b", "/etc/passwd", "a\\b", "-rf", "--set", ".hidden", "~", "a b", "$(id)", "`id`", "a;b"),
    *("a|b", "a&b", "a'b", "*", "a\nb", "a\n", "\n", "a\0b", "a\x1b[31m", "\u202eevil", "\u00fc", "\uff0e\uff0e", "x" * 97),
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize(("what", "line"), [("name", 1), ("dataset", 3), ("simulator", 6), ("metric", 7)])
def test_a_name_in_a_suite_cannot_be_a_path_or_a_word_of_a_shell(write_suite, registry, name, what, line):
    quoted = '"' + "".join(f"\\U{ord(c):08x}" for c in name) + '"'
    text = {
        "name": SUITE.replace("name: line", f"name: {quoted}"),
        "dataset": SUITE.replace("{use: line,", f"{{use: line, as: {quoted},"),
        "simulator": SUITE.replace("{use: learner}", f"{{use: learner, as: {quoted}}}"),
        "metric": SUITE.replace("[length,", f"[{{use: length, as: {quoted}}},"),
    }[what]
    path = write_suite(text)
    with pytest.raises(SuiteError) as caught:
        read_suite(path, registry)
    for fault in caught.value.faults:
        assert str(fault).startswith(f"{path}:{line}: ")
        assert str(fault).isprintable()


@pytest.mark.parametrize("name", ["a", "snow32", "cgne-no.dropout_2", "x" * 96, "0"])
def test_an_ordinary_name_is_taken(write_suite, registry, name):
    assert read_suite(write_suite(SUITE.replace("name: line", f"name: '{name}'")), registry).name == name


@pytest.mark.parametrize("uri", ["file:///etc", "/tmp/x", "sqlite:////tmp/x.db", "http://", "http:// x", "plugin://x", "'http://a\n'"])  # fmt: skip
def test_a_suite_sends_its_results_to_a_server_or_nowhere(write_suite, registry, uri):
    with pytest.raises(SuiteError, match=r"suite.yaml:10: tracking.uri: must be the http or https address"):
        read_suite(
            write_suite(SUITE + f"tracking: {{uri: {uri}}}\n".replace("\n'", "\\n'").replace("'", '"')), registry
        )


def test_anchors_that_repeat_each_other_are_not_written_out(write_suite, registry):
    """A billion laughs."""
    laughs = "a0: &a0 [ha, ha]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 10))
    with pytest.raises(SuiteError, match=r"suite.yaml:\d+: .*more than 50,000 values"):
        read_suite(write_suite(SUITE + laughs), registry)


@pytest.mark.parametrize("depth", [40, 5000])
def test_a_suite_cannot_exhaust_the_stack(write_suite, registry, depth):
    with pytest.raises(SuiteError, match=r"suite.yaml:10: .*nested too deeply"):
        read_suite(write_suite(SUITE + "x: " + "[" * depth + "]" * depth + "\n"), registry)


def test_a_suite_of_too_many_values_is_refused_before_it_is_read_to_the_end(write_suite, registry, monkeypatch):
    monkeypatch.setattr("nsbench.suite.yaml.MAX_VALUES", 500)  # 50,000 take seconds
    with pytest.raises(SuiteError, match=r"suite.yaml:10: not YAML: more than 50,000 values"):
        read_suite(write_suite(SUITE + "x: [" + "1," * 1100 + "{ never ends"), registry)


def test_a_suite_has_a_size(tmp_path, registry):
    (tmp_path / "s.yaml").write_text("# " + "x" * MAX_BYTES)
    with pytest.raises(SuiteError, match="a suite has at most 1,048,576 bytes"):
        read_suite(tmp_path / "s.yaml", registry)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("replicates: 1000000000", "2,000,000,000 trials; a suite has at most 10,000"),
        ("seed: 0x" + "F" * 6000, "an integer is at most"),
        ("seed: .nan", "must be a finite number"),
        ('compute: {device: "c\\0pu"}', r"text may not hold the character U\+0000"),
        ('"se\\ed": 1', r"a key may not hold the character U\+001B"),
    ],
)
def test_what_no_suite_can_mean_is_said_once(write_suite, registry, line, message):
    with pytest.raises(SuiteError, match=rf"suite.yaml:10: .*{message}") as caught:
        read_suite(write_suite(SUITE + line + "\n"), registry)
    assert len(caught.value.faults) == 1


def test_a_grid_has_a_size(write_suite, registry):
    values = ", ".join(["0.1"] * 200)
    text = SUITE.replace("{use: learner}", f"{{use: learner, grid: {{rho: [{values}], a: [{values}]}}}}")
    with pytest.raises(SuiteError, match="too many combinations: a suite has at most 10,000 trials"):
        read_suite(write_suite(text), registry)


def test_a_chain_of_suites_ends(write_suite, registry):
    for k in range(40):
        path = write_suite(f"extends: s{k + 1}.yaml\n", name=f"s{k}.yaml")
    with pytest.raises(SuiteError, match="a chain of more than 16 suites"):
        read_suite(path.parent / "s0.yaml", registry)


def test_a_device_is_no_suite(write_suite, registry):
    """Reading /dev/zero would never end."""
    with pytest.raises(SuiteError, match="no such file: /dev/zero"):
        read_suite(write_suite("extends: /dev/zero\n"), registry)


def test_a_message_cannot_command_a_terminal():
    fault = str(Fault("suite.yaml:1", "a", "unknown key \x1b[2J\r\u202e\nroot"))
    assert fault == "suite.yaml:1: a: unknown key \\x1b[2J\\r\\u202e\\nroot"


@pytest.mark.parametrize("outside", ["link", "data"])
def test_data_of_others_cannot_show_other_files(tmp_path, outside):
    """HDF5 can present any file's bytes as its own."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_group("dimensions")
        fields = file.create_group("t0_fields")
        if outside == "link":
            fields["field"] = h5py.ExternalLink("/somewhere/else.h5", "/secret")
        else:
            fields.create_dataset("field", (8,), "u1", external=[("/etc/hostname", 0, 8)])
    with pytest.raises(UnreadableData, match=r"data\.h5: .*another file"):
        Well(WellParams()).header(tmp_path)


def test_hidden_characters_are_named():
    assert hidden_character("plain ü text\n\t") == ""
    assert hidden_character("a\x7f") == "the character U+007F"


def test_mlflows_server_listens_in_a_folder_of_the_user_alone_and_reports_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(ui, "find_tables", lambda workspace, suite: {"line": "/"})
    started = []

    def start(command, env, cwd, **kwargs):
        started.append((command, env, Path(cwd).stat().st_mode & 0o777, list(Path(cwd).iterdir())))
        raise KeyboardInterrupt

    monkeypatch.setattr(ui.subprocess, "Popen", start)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ENABLE_AI_GATEWAY", "MLFLOW_ENABLE_REMOTE_ASSISTANT"):
        monkeypatch.setenv(name, str(name != "MLFLOW_DISABLE_TELEMETRY"))
    assert ui.serve(tmp_path, port=0) == 0
    ((command, environment, mode, files),) = started
    assert (mode, files) == (0o700, [])
    assert "--uds" in command[-1]
    assert not {"--host", "--port"} & set(command)
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_ENABLE_AI_GATEWAY"] == environment["MLFLOW_ENABLE_REMOTE_ASSISTANT"] == "false"


def test_mlflows_client_reports_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    connect(destination(tmp_path), "line", tmp_path / "lock")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
