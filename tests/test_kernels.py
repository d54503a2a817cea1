"""Numba's kernels: never older than the code that they were compiled from, whatever Numba's own index would say."""

from __future__ import annotations

import importlib
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
from nsbench.running.local import Local
from nsbench.running.run import run
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session

PACKAGE = {
    "__init__.py": """
        from nsbench import hookimpl
        from nsbench.components.simulator import SimulatorSpec

        @hookimpl
        def nsbench_simulators():
            return [SimulatorSpec("mine", "{p}.model:Mine", "toy:CoinParams")]
    """,
    "model.py": """
        from toy import Coin, toss
        from {p}.rules import chance

        class Mine(Coin):
            def rollout(self, start, steps, rng):
                return toss(start.params, start.domain, min(steps, 6), rng, chance(0.1))
    """,
    "rules.py": """
        from numba import njit
        from {p}.constants import BASE
        from {p}.vectors import scaled

        @njit(cache=True)
        def chance(x):
            return scaled(x) + BASE
    """,
    "vectors.py": "from numba import njit\n\n@njit\ndef scaled(x):\n    return 1 * x\n",
    "constants.py": "BASE = 0.0\n",
}
"""A kernel that calls another file's function, and freezes another file's constant."""


class Kernels:
    def __init__(self, root: Path, write_suite) -> None:
        self.name = f"kernels_{os.getpid()}_{abs(hash(root)) % 10**8}"
        self.folder, self.workspace = root / self.name, Workspace(root / "w")
        self._write_suite = write_suite
        self.folder.mkdir()
        for name, text in PACKAGE.items():
            (self.folder / name).write_text(textwrap.dedent(text).format(p=self.name).lstrip())

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text by text of the same length, and keep the file's time."""
        path = self.folder / name
        times = path.stat()
        path.write_text(path.read_text().replace(old, new))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def length(self) -> float:
        """The mean length of what workers grow, made anew."""
        shutil.rmtree(self.workspace.store, ignore_errors=True)
        importlib.invalidate_caches()
        registry = Registry([*entry_points(group="nsbench"), TOY, EntryPoint("kernels", self.name, "nsbench")])
        text = SUITE.replace("  - {use: coin, as: truth}\n  - {use: learner}", "  - {use: mine}")
        text = text.replace("[length, elbo, wall_clock]", "[length]")
        plan = make_plan(read_suite(self._write_suite(text), registry), registry)
        (row,) = run(Session(plan, registry, self.workspace), executor=partial(Local, parallel=1)).rows
        assert row.error == ""
        return row.scores[0].extras["simulated"]


@pytest.fixture
def kernels(tmp_path, write_suite, monkeypatch):
    root = tmp_path / "plugins"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.delenv("NUMBA_CACHE_DIR")  # which all other tests share
    made = Kernels(root, write_suite)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.name]:
        del sys.modules[name]


def test_what_a_kernel_calls_and_freezes_in_other_files_is_compiled_anew_when_it_changes(kernels):
    first = kernels.length()
    kernels.edit("vectors.py", "1 * x", "9 * x")
    second = kernels.length()
    kernels.edit("constants.py", "0.0", "-.4")
    third = kernels.length()
    shutil.rmtree(kernels.workspace.kernels)
    shutil.rmtree(kernels.workspace.bytecode)
    assert kernels.length() == third
    assert len({first, second, third}) == 3


@pytest.mark.slow
def test_a_damaged_kernel_is_deleted_and_compiled_again(kernels):
    first = kernels.length()
    files = [file for file in kernels.workspace.kernels.rglob("*") if file.is_file()]
    assert len(files) == 2  # the index, and one kernel
    for damage in (lambda content: content[:40], lambda content: content[:-8] + bytes(8)):
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        assert kernels.length() == first
        assert {file.parent for file in files} == {
            f.parent for f in kernels.workspace.kernels.rglob("*") if f.is_file()
        }


def test_neither_a_home_nor_a_place_for_kernels_is_needed(kernels, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/dev/null/nowhere")
    kernels.workspace.kernels.parent.mkdir(parents=True)
    kernels.workspace.kernels.write_text("not a folder")
    (kernels.folder / "__pycache__").write_text("not a folder")
    assert kernels.length() > 0


def test_in_plain_python_too_a_kernel_follows_what_it_calls(kernels):
    script = (
        f"import nsbench; nsbench.load('metric', 'crps'); from {kernels.name}.rules import chance; print(chance(0.1))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(kernels.folder.parent), *sys.path])}

    def chance() -> str:
        command = [sys.executable, "-B", "-c", script]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    assert chance() == "0.1"
    kernels.edit("vectors.py", "1 * x", "9 * x")
    assert chance() == "0.9"
    assert list((kernels.folder / "__pycache__" / "nsbench").iterdir())
