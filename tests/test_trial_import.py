"""Whatever a plugin does when it is imported, it is listed with it and every command works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import pytest

from nsbench.registry import trial_import
from nsbench.registry.process_state import Keeper
from nsbench.registry.registry import Registry
from nsbench.running.workers.messages import Hello, registry_of

HOOK = "import nsbench\n@nsbench.hookimpl\ndef nsbench_simulators():\n    "

MISCHIEF = {
    "interrupts": ("raise KeyboardInterrupt", "it raises KeyboardInterrupt when it is imported"),
    "closes": ("raise GeneratorExit", "it raises GeneratorExit when it is imported"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "leaves": ("import os; os._exit(0)", "it ends the process (exit status 0) when it is imported"),
    "aborts": ("import os; os.abort()", "it crashes the process (SIGABRT) when it is imported"),
    "reads_nothing": ("import ctypes; ctypes.string_at(0)", "it crashes the process (SIGSEGV) when it is imported"),
    "hook_leaves": (HOOK + "import os; os._exit(4)", "it ends the process (exit status 4) in nsbench_simulators"),
    "hook_interrupts": (HOOK + "raise KeyboardInterrupt", "it raises KeyboardInterrupt in nsbench_simulators"),
    "hook_exits": (HOOK + "raise SystemExit", "it raises SystemExit in nsbench_simulators"),
    "errors": (
        "import numpy; numpy.seterr(all='ignore')",
        "it changes what all components share when it is imported (numpy.seterr: ",
    ),
    "environment": ("import os; os.environ['OF_MINE'] = '1'", "(os.environ: OF_MINE not set -> '1')"),
    "folder": ("import os; os.chdir('/')", "(working directory: "),
    "handler": ("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)", "(signals: SIGINT handled otherwise)"),
    "strict": ("import warnings; warnings.simplefilter('error')", "(warnings: others than before are errors)"),
    "seeds": ("import random; random.seed(0)", "(random: the global generator was used)"),
    "numpy_seeds": ("import numpy; numpy.random.seed(0)", "(numpy.random: the global generator was used)"),
    "search": ("import sys; sys.path.insert(0, '/nowhere')", "(sys.path: + /nowhere)"),
    "hook_changes": (
        HOOK + "import numpy; numpy.seterr(over='raise'); return []",
        "share in nsbench_simulators (numpy.seterr: over warn -> raise)",
    ),
}
"""Module -> (its code, a part of what is listed)."""


@pytest.fixture
def points(tmp_path, monkeypatch):
    """A function that makes plugins of code and returns their entry points; they and their verdicts are forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trial_import, "_verdicts", {})

    def make(codes):
        for name, code in codes.items():
            (tmp_path / f"{name}.py").write_text(code + "\n")
        return [EntryPoint(name, name, "nsbench") for name in codes]

    yield make
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


def fine(name):
    return HOOK + f"return [nsbench.SimulatorSpec('{name}', 'toy:Coin', 'toy:CoinParams')]"


@pytest.mark.parametrize("forks", [True, False])
def test_mischief_is_named_and_the_plugins_after_it_work(points, monkeypatch, forks):
    monkeypatch.setattr(trial_import, "_may_fork", lambda: forks)
    chosen = MISCHIEF if forks else {k: MISCHIEF[k] for k in ("interrupts", "leaves", "errors", "hook_leaves")}
    keeper = Keeper()
    registry = Registry(points({name: code for name, (code, _) in chosen.items()} | {"zz_last": fine("zz")}))
    errors = {plugin.name: plugin.error for plugin in registry.plugins}
    assert {n: e for n, e in errors.items() if n in chosen and chosen[n][1] not in e} == {}
    assert errors["zz_last"] == ""
    assert registry.names("simulator") == ["zz"]
    assert keeper.put_back(everything=True) == []


@pytest.mark.parametrize("forks", [True, False])
def test_a_plugin_that_hangs_is_given_up_with_all_that_it_started(points, monkeypatch, tmp_path, forks):
    monkeypatch.setattr(trial_import, "_may_fork", lambda: forks)
    monkeypatch.setattr(trial_import, "DEADLINE", 1.0 if forks else 8.0)
    code = (
        "import subprocess, time, pathlib\np = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(p.pid))\ntime.sleep(600)"
    )
    registry = Registry(points({"hangs": code, "zz_last": fine("zz")}))
    assert registry.plugins[0].error.endswith("s when it is imported, and was not waited for")
    assert registry.names("simulator") == ["zz"]
    pid = int((tmp_path / "pid").read_text())
    assert _is_gone(pid)


def _is_gone(pid):
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_every_command_works_beside_plugins_that_misbehave(tmp_path):
    info = tmp_path / "mischief-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mischief\nVersion: 1.0\n")
    names = ("interrupts", "leaves", "reads_nothing", "hook_leaves", "errors")
    for name in names:
        (tmp_path / f"{name}.py").write_text(MISCHIEF[name][0] + "\n")
    (info / "entry_points.txt").write_text("[nsbench]\n" + "".join(f"{n} = {n}\n" for n in names))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "400"}
    for command in ("plugins", "list"):
        ended = subprocess.run(
            [sys.executable, "-m", "nsbench", command], env=environment, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        if command == "plugins":
            assert [name for name in names if MISCHIEF[name][1] not in ended.stdout] == []


def test_ctrl_c_during_a_trial_ends_the_command(tmp_path):
    (tmp_path / "sleeps.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(600)\n")
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "from importlib.metadata import EntryPoint\nfrom nsbench.registry.registry import Registry\n"
        "Registry([EntryPoint('sleeps', 'sleeps', 'nsbench')])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    for _ in range(600):
        if (tmp_path / "begun").exists():
            break
        time.sleep(0.1)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=15)
    assert command.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_worker_tries_nothing_that_the_run_has_tried(points, monkeypatch):
    found = points({"leaves": MISCHIEF["leaves"][0], "good": fine("good")})
    Registry(found)
    hello = Hello(sys.path, "", 1, [[point.name, point.value] for point in found])
    monkeypatch.setattr(trial_import, "_verdicts", {})
    monkeypatch.setattr(trial_import, "_try", None)
    registry = registry_of(hello)
    assert {p.name: p.error for p in registry.plugins if p.name in ("leaves", "good")} == {
        "leaves": MISCHIEF["leaves"][1],
        "good": "",
    }


def test_what_a_plugin_prints_at_import_is_printed_once(points, capfd):
    Registry(points({"speaks": "print('hello', flush=True)"}))
    assert capfd.readouterr().out == "hello\n"
